"""`jobs`, `show`, `cancel`, `delete`."""

import argparse
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from client.answers import Job, Segment
from client.cli.exits import Exit, exit_code
from client.cli.output import (
    duration,
    moment,
    note,
    raw_list,
    size,
    write_fields,
    write_json,
    write_table,
)
from client.errors import ApiError
from client.requests import JobFilter
from client.sync.cluster import KokoroCluster


def jobs(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """List jobs."""
    wanted = JobFilter(
        status=options.status, custom_id=options.custom_id, created_after=options.since
    )
    found = list(islice(cluster.jobs(**wanted), options.limit or None))
    if options.json:
        write_json(raw_list(found))
        return Exit.OK
    heads = ("ID", "STATUS", "CREATED", "CHARS", "DONE", "AUDIO", "CUSTOM ID")
    write_table(heads, (_row(job) for job in found), none="There are no such jobs.")
    return Exit.OK


def _row(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.status,
        moment(job.created_at),
        f"{job.input_chars:,}",
        done(job),
        duration(job.output.audio_s if job.output else job.progress.audio_s),
        job.custom_id or "",
    )


def done(job: Job) -> str:
    """Write how many of a job's segments are done, as `12/40`."""
    progress = job.progress
    total = progress.segments_total
    return f"{progress.segments_done}/{total}" if total else ""


def show(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Show a job."""
    job = cluster.get(options.id, segments=options.segments)
    if options.json:
        write_json(dict(job.raw))
        return Exit.OK
    write_fields(_fields(job))
    if job.segments is not None:
        print()
        heads = ("SEGMENT", "STATUS", "TEXT", "START", "END", "ATTEMPTS")
        write_table(heads, (_segment_row(one) for one in job.segments), none="None is planned yet.")
    return Exit.OK


def _segment_row(segment: Segment) -> tuple[str, ...]:
    span = f"{segment.text.start}–{segment.text.end}" if segment.text else ""
    reused = "reused" if segment.reused else str(segment.attempts)
    return (
        str(segment.index),
        segment.status,
        "pause" if segment.pause else span,
        "" if segment.start_s is None else f"{segment.start_s:.2f}",
        "" if segment.end_s is None else f"{segment.end_s:.2f}",
        reused,
    )


def _fields(job: Job) -> dict[str, str | None]:
    fields: dict[str, str | None] = {
        "id": job.id,
        "status": job.status,
        "error": f"{job.error.code}: {job.error.message}" if job.error else None,
        "custom id": job.custom_id,
        "created": moment(job.created_at),
        "started": moment(job.started_at) or None,
        "ended": moment(job.completed_at) or None,
        "kept until": moment(job.expires_at) or None,
        "characters": f"{job.input_chars:,}",
        "ahead of it": None if job.queue_position is None else str(job.queue_position),
        "segments": done(job) or None,
        "still takes": duration(job.eta_s) or None,
    }
    for output in (job.output, *job.output.others) if job.output else ():
        fields[output.format] = f"{duration(output.audio_s)}, {size(output.bytes)}"
    if job.metrics.model:
        stand_in = " (a stand-in, not Kokoro)" if job.metrics.stand_in else ""
        fields["model"] = f"{job.metrics.model}{stand_in}"
    fields |= {f"metadata {name}": value for name, value in job.metadata.items()}
    for number, warning in enumerate(job.warnings, start=1):
        fields[f"warning {number}"] = f"{warning.code}: {warning.detail}"
    return fields


def cancel(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Cancel jobs, each that can be."""
    return _each(options, lambda job_id: dict(cluster.cancel(job_id).raw), "canceled")


def delete(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Delete jobs, each that can be."""

    def one(job_id: str) -> dict[str, object]:
        cluster.delete(job_id)
        return {"id": job_id, "object": "job", "deleted": True}

    return _each(options, one, "deleted")


def _each(options: argparse.Namespace, act: Callable[[str], Mapping[str, Any]], done: str) -> int:
    """Do something to each job; what one of them refuses does not keep it from the others."""
    worst = Exit.OK
    found = []
    for job_id in options.ids:
        try:
            found.append(act(job_id))
        except ApiError as error:
            note(f"kokoro-cluster: {job_id}: {error.message}")
            worst = max(worst, exit_code(error))
        else:
            if not options.json:
                print(f"{job_id} {done}", flush=True)
    if options.json:
        write_json({"object": "list", "data": found})
    return worst
