"""`batch`: many jobs at once; `batches`: what became of them."""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from client.answers import Job
from client.batches import Batch
from client.cli.download import fetch
from client.cli.exits import Exit, UsageError
from client.cli.jobs import each, rows_of
from client.cli.output import moment, note, raw_list, write_fields, write_json, write_table
from client.cli.submit import job_options
from client.cli.texts import is_document, read_text
from client.requests import RENAMED
from client.sync.cluster import KokoroCluster

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")

TEXTS = frozenset({".txt", ".text"})
"""Endings of files that are a text each; others are JSON lines."""


def batch(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Make a batch of files; with --watch, wait for its end."""
    if options.output and not options.watch:
        raise UsageError("-o needs --watch: without it nobody is there to fetch the audio.")
    folder, options.output = options.output, None  # its name tells no format
    items = [with_shared(item, job_options(options)) for item in _items(options)]
    made = cluster.batches.submit(items, idempotency_key=options.idempotency_key)
    if not options.watch:
        if options.json:
            write_json(dict(made.raw))
        else:
            print(made.id)
        return Exit.OK
    note(made.id)
    return _follow(cluster, made, folder, as_json=options.json)


def listing(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """List batches."""
    found = list(islice(cluster.batches.list(), options.limit or None))
    if options.json:
        write_json(raw_list(found))
        return Exit.OK
    heads = ("ID", "STATUS", "CREATED", "CHARS", "ENDED", "SUCCEEDED")
    write_table(heads, (_row(one) for one in found), none="There are no batches.")
    return Exit.OK


def _row(found: Batch) -> tuple[str, ...]:
    counts = found.request_counts
    return (
        found.id,
        found.status,
        moment(found.created_at),
        f"{found.input_chars:,}",
        f"{counts.ended}/{counts.total}",
        str(counts.succeeded),
    )


def show(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Show a batch and its jobs."""
    found = cluster.batches.get(options.id)
    jobs = list(cluster.batches.jobs(found))
    if options.json:
        write_json({**found.raw, "jobs": [dict(job.raw) for job in jobs]})
        return Exit.OK
    counts = found.request_counts
    fields: dict[str, str | None] = {
        "id": found.id,
        "status": found.status,
        "created": moment(found.created_at),
        "ended": moment(found.completed_at) or None,
        "characters": f"{found.input_chars:,}",
        "jobs": f"{counts.ended} of {counts.total} ended, {counts.succeeded} of them well",
    }
    write_fields(fields | {f"metadata {name}": text for name, text in found.metadata.items()})
    print()
    rows_of(jobs)
    return Exit.OK


def watch(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Show a batch until all its jobs have ended."""
    return _follow(cluster, cluster.batches.get(options.id), options.output, as_json=options.json)


def cancel(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Cancel batches, each that can be."""

    def one(batch_id: str) -> Mapping[str, Any]:
        return dict(cluster.batches.cancel(batch_id).raw)

    return each(options.ids, one, "canceled", as_json=options.json)


def delete(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Delete batches, each that can be."""

    def one(batch_id: str) -> Mapping[str, Any]:
        cluster.batches.delete(batch_id)
        return {"id": batch_id, "object": "batch", "deleted": True}

    return each(options.ids, one, "deleted", as_json=options.json)


def _follow(cluster: KokoroCluster, made: Batch, folder: str | None, *, as_json: bool) -> int:
    try:
        ended = cluster.batches.wait(made, _tell)
    except KeyboardInterrupt:
        note(f"\nThe jobs go on. Come back to them: kokoro-cluster batches watch {made.id}")
        raise
    for job in cluster.batches.jobs(ended):
        if not job.succeeded:
            reason = f": {job.error.message}" if job.error else ""
            note(f"{job.custom_id or job.id} {job.status}{reason}")
        elif folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            fetch(cluster, job, Path(folder) / file_name(job))
    if as_json:
        write_json(dict(ended.raw))
    elif not folder:
        print(ended.id)
    counts = ended.request_counts
    return Exit.OK if counts.succeeded == counts.total else Exit.JOB_UNSUCCESSFUL


def _items(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for path in options.files:
        if is_document(path):
            raise UsageError(f"{path} is for the server to read: submit it by itself.")
        text = read_text(path)
        if options.lines:
            yield from lines_of(text, Path(path).stem if len(options.files) > 1 else "")
        elif Path(path).suffix.lower() in TEXTS:
            yield {"input": text, "custom_id": Path(path).stem[:64]}
        else:
            yield from items_of(text)


def with_shared(item: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item with what the command line says of all; what it says itself counts."""
    rest = dict(shared)
    if item.keys() & {"format", "formats", *RENAMED.values()}:
        rest.pop("format", None)
    return {**rest, **item}


def lines_of(text: str, called: str) -> Iterator[dict[str, Any]]:
    """Read a text a line, called by its number; blank ones are passed over."""
    rows = text.splitlines()
    digits = len(str(len(rows)))
    for number, line in enumerate(rows, start=1):
        if line.strip():
            name = f"{number:0{digits}}"
            yield {"input": line.strip(), "custom_id": f"{called[:50]}-{name}" if called else name}


def items_of(text: str) -> Iterator[dict[str, Any]]:
    """Read JSON lines; blank ones are passed over.

    Raises:
        UsageError: a line is no JSON object; the message has its number.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise UsageError(
                f"Line {number} is not JSON: {error}. For a text use --lines, or a .txt file."
            ) from error
        if not isinstance(item, dict):
            raise UsageError(f"Line {number} is not a JSON object.")
        yield item


def file_name(job: Job) -> str:
    """Return what a job's audio is called: by its custom_id if that is a plain name."""
    plain = job.custom_id and _PLAIN_NAME.fullmatch(job.custom_id)
    ending = job.output.format if job.output else "audio"
    return f"{job.custom_id if plain else job.id}.{ending}"


def _tell(found: Batch) -> None:
    counts = found.request_counts
    note(f"{counts.ended}/{counts.total} ended, {counts.succeeded} of them well")
