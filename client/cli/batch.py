"""`batch`: many jobs, one a line of a file."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client.answers import Job
from client.batches import Batch
from client.cli.download import fetch
from client.cli.exits import Exit, UsageError
from client.cli.output import note, write_json
from client.cli.texts import read_text
from client.sync.cluster import KokoroCluster

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


def batch(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Make a batch of a file; with --watch, wait for its end."""
    if options.output and not options.watch:
        raise UsageError("-o needs --watch: without it nobody is there to fetch the audio.")
    items = list(items_of(read_text(options.file)))
    made = cluster.batches.submit(items, idempotency_key=options.idempotency_key)
    if not options.watch:
        if options.json:
            write_json(dict(made.raw))
        else:
            print(made.id)
        return Exit.OK
    note(made.id)
    try:
        ended = cluster.batches.wait(made, _tell)
    except KeyboardInterrupt:
        note(f"\nThe jobs of {made.id} go on.")
        raise
    for job in cluster.batches.jobs(ended):
        if not job.succeeded:
            note(
                f"{job.custom_id or job.id} {job.status}: {job.error.message if job.error else ''}"
            )
        elif options.output:
            folder = Path(options.output)
            folder.mkdir(parents=True, exist_ok=True)
            fetch(cluster, job, folder / file_name(job))
    if options.json:
        write_json(dict(ended.raw))
    elif not options.output:
        print(ended.id)
    counts = ended.request_counts
    return Exit.OK if counts.succeeded == counts.total else Exit.JOB_UNSUCCESSFUL


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
            raise UsageError(f"Line {number} is not JSON: {error}.") from error
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
