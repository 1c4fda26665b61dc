"""The job as clients see it: in answers of the gateway and in webhooks, from one function."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from shared.formats import CAPTIONS, SAMPLE_RATE_HZ
from shared.ledger.records import CaptionFile, JobRecord, OutputFile
from shared.ledger.states import JobStatus


def timestamp(seconds: float | None) -> str | None:
    """Write seconds since 1970 as RFC 3339 UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    if seconds is None:
        return None
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def job_view(
    record: JobRecord,
    *,
    warnings: Sequence[dict[str, Any]],
    queue_position: int | None,
    base_url: str,
    eta_s: float | None = None,
) -> dict[str, Any]:
    """Return the Job object of the API; what is not known yet is None.

    Args:
        record: the job.
        warnings: as `Intake.warnings` returns them.
        queue_position: jobs ahead of this one; None once work on it has begun.
        base_url: put before every path, without a slash at its end; empty for bare paths.
        eta_s: seconds until the job will have ended; None once it has, or where it is not known.
    """
    url = f"{base_url}/v1/jobs/{record.id}"
    return {
        "id": record.id,
        "object": "job",
        "status": record.status.value,
        "created_at": timestamp(record.created_at),
        "started_at": timestamp(record.started_at),
        "completed_at": timestamp(record.completed_at),
        "expires_at": timestamp(record.expires_at),
        "input_chars": record.input_chars,
        "progress": {
            "segments_total": record.segments_total,
            "segments_done": record.segments_done,
            "segments_reused": record.segments_reused,
            "audio_s": round(record.audio_s, 3),
        },
        "queue_position": queue_position,
        "eta_s": None if eta_s is None else round(eta_s, 1),
        "output": _output(record, url),
        "warnings": list(warnings),
        "error": _error(record),
        "metrics": _metrics(record),
        "custom_id": record.custom_id,
        "batch_id": record.batch,
        "metadata": record.spec.metadata,
        "title": record.spec.title or None,
        "author": record.spec.author or None,
        "lexicons": list(record.lexicons),
        "redo_of": _redo_of(record),
        "urls": {
            "self": url,
            "audio": f"{url}/audio",
            "captions": f"{url}/captions" if record.spec.captions else None,
            "cancel": f"{url}/cancel",
            "events": f"{url}/events",
        },
    }


def _redo_of(record: JobRecord) -> dict[str, Any] | None:
    redo = record.redo
    return None if redo is None else {"job": redo.job, "segment": redo.segment}


def _output(record: JobRecord, url: str) -> dict[str, Any] | None:
    if record.status != JobStatus.SUCCEEDED or not record.outputs:
        return None
    main, *others = (file_view(output, url) for output in record.outputs)
    captions = [_caption_file(file, url) for file in record.captions]
    return {**main, "sample_rate_hz": SAMPLE_RATE_HZ, "others": others, "captions": captions}


def file_view(output: OutputFile, url: str) -> dict[str, Any]:
    """Return a file as the API has it; `url` is its job's."""
    chapter = {} if output.chapter is None else {"chapter": output.chapter}
    query = "".join(f"&{name}={value}" for name, value in chapter.items())
    return {
        **chapter,
        "url": f"{url}/audio?format={output.format}{query}",
        "format": output.format.value,
        "bytes": output.bytes,
        "audio_s": round(output.audio_s, 3),
        "sha256": output.sha256,
    }


def _caption_file(file: CaptionFile, url: str) -> dict[str, Any]:
    return {
        "url": f"{url}/captions.{CAPTIONS[file.format].extension}",
        "format": file.format.value,
        "bytes": file.bytes,
        "sha256": file.sha256,
    }


def _error(record: JobRecord) -> dict[str, str] | None:
    if record.error_code is None:
        return None
    return {"code": record.error_code, "message": record.error_message or record.error_code}


def _metrics(record: JobRecord) -> dict[str, Any]:
    started, ended = record.started_at, record.completed_at
    # From wall time, not from synthesis_s: reused segments cost none, and would flatter it.
    worked_s = ended - started if started is not None and ended is not None else 0.0
    succeeded = record.status == JobStatus.SUCCEEDED
    return {
        "queue_s": None if started is None else round(started - record.created_at, 3),
        "synthesis_s": round(record.synthesis_s, 3),
        "encode_s": round(record.encode_s, 3),
        "realtime_factor": (
            round(record.audio_s / worked_s, 2) if succeeded and worked_s > 0 else None
        ),
        "attempts": record.attempts,
        "worker": record.worker,
        "model": record.model or record.spec.model,
        "stand_in": record.stand_in,
        "precision": record.precision,
    }
