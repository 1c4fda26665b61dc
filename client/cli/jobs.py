"""`jobs`, `show`, `cancel`, `delete`."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from client.answers import Chapter, Job, Segment
from client.cli.exits import Exit, UsageError, exit_code
from client.cli.output import (
    clock,
    duration,
    moment,
    note,
    raw_list,
    size,
    write_fields,
    write_json,
    write_table,
)
from client.cli.texts import read_text
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
    rows_of(found)
    return Exit.OK


def rows_of(found: Iterable[Job]) -> None:
    """Write jobs as a table."""
    heads = ("ID", "STATUS", "CREATED", "CHARS", "DONE", "AUDIO", "CUSTOM ID")
    write_table(heads, (_row(job) for job in found), none="There are no such jobs.")


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
    if job.chapters:
        print()
        chapters = (_chapter_row(n, one) for n, one in enumerate(job.chapters, start=1))
        write_table(("CHAPTER", "START", "END", "TITLE"), chapters, none="")
    if job.segments is not None:
        print()
        heads = ("SEGMENT", "STATUS", "START", "END", "ATTEMPTS", "CHARACTERS", "TEXT")
        said = quotes(cluster, job, None if options.text is None else read_text(options.text))
        rows = (_segment_row(one, said.get(one.index, "")) for one in job.segments)
        write_table(heads, rows, none="None is planned yet.")
    return Exit.OK


def _chapter_row(number: int, chapter: Chapter) -> tuple[str, ...]:
    start, end = (
        "" if seconds is None else clock(seconds) for seconds in (chapter.start_s, chapter.end_s)
    )
    return (str(number), start, end, chapter.title)


def _segment_row(segment: Segment, said: str) -> tuple[str, ...]:
    span = f"{segment.text.start}–{segment.text.end}" if segment.text else ""
    return (
        str(segment.index),
        segment.status,
        "" if segment.start_s is None else f"{segment.start_s:.2f}",
        "" if segment.end_s is None else f"{segment.end_s:.2f}",
        "reused" if segment.reused else str(segment.attempts),
        span,
        "(a pause)" if segment.pause else said,
    )


def quotes(cluster: KokoroCluster, job: Job, text: str | None) -> dict[int, str]:
    """Return what each segment says: quoted from the text, else from the job's captions if any."""
    said: dict[int, str] = {}
    if text is not None:
        if job.redo_of is None and len(text) != job.input_chars:
            raise UsageError(
                f"That is not the text of {job.id}, which has {job.input_chars} characters and not "
                f"{len(text)}. What a document was read as, only captions tell."
            )
        for segment in job.segments or ():
            span = segment.text
            said[segment.index] = " ".join(text[span.start : span.end].split()) if span else ""
        return said
    if not job.succeeded or job.urls.get("captions") is None:
        return said
    try:
        found = cluster.captions(job)
    except ApiError:
        return said  # they were deleted, or the job has none as JSON
    for sentence in found.sentences:
        before = said.get(sentence.segment)
        said[sentence.segment] = f"{before} {sentence.text}" if before else sentence.text
    return said


def _fields(job: Job) -> dict[str, str | None]:
    fields: dict[str, str | None] = {
        "id": job.id,
        "status": job.status,
        "error": f"{job.error.code}: {job.error.message}" if job.error else None,
        "custom id": job.custom_id,
        "batch": job.batch_id,
        "redo of": f"{job.redo_of.job}, segment {job.redo_of.segment}" if job.redo_of else None,
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
        if output.chapter is None:
            fields[output.format] = f"{duration(output.audio_s)}, {size(output.bytes)}"
    if job.output and (files := [one for one in job.output.others if one.chapter is not None]):
        fields["of chapters"] = f"{len(files)} files, {size(sum(one.bytes for one in files))}"
    for captions in job.output.captions if job.output else ():
        fields[captions.format] = size(captions.bytes)
    if job.metrics.model:
        stand_in = " (a stand-in, not Kokoro)" if job.metrics.stand_in else ""
        fields["model"] = f"{job.metrics.model}{stand_in}"
    fields |= {f"metadata {name}": value for name, value in job.metadata.items()}
    for number, warning in enumerate(job.warnings, start=1):
        fields[f"warning {number}"] = f"{warning.code}: {warning.detail}"
    return fields


def cancel(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Cancel jobs, each that can be."""
    return each(
        options.ids,
        lambda job_id: dict(cluster.cancel(job_id).raw),
        "canceled",
        as_json=options.json,
    )


def delete(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Delete jobs, each that can be."""

    def one(job_id: str) -> dict[str, object]:
        cluster.delete(job_id)
        return {"id": job_id, "object": "job", "deleted": True}

    return each(options.ids, one, "deleted", as_json=options.json)


def each(
    names: Iterable[str], act: Callable[[str], Mapping[str, Any]], done: str, *, as_json: bool
) -> int:
    """Do something to each thing; what one of them refuses does not keep it from the others."""
    worst = Exit.OK
    found = []
    for name in names:
        try:
            found.append(act(name))
        except ApiError as error:
            note(f"kokoro-cluster: {name}: {error.message}")
            worst = max(worst, exit_code(error))
        else:
            if not as_json:
                print(f"{name} {done}", flush=True)
    if as_json:
        write_json({"object": "list", "data": found})
    return worst
