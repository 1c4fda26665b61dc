"""`submit` and `watch`: a job that goes on without this program."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from client.answers import Job
from client.cli.bar import Bar
from client.cli.download import fetch
from client.cli.exits import Exit, UsageError
from client.cli.output import note, write_json
from client.cli.texts import format_for, read_text
from client.requests import JobOptions
from client.sync.cluster import KokoroCluster
from client.watching import Update

DOCUMENTS = frozenset({".md", ".markdown", ".srt", ".epub"})
"""Endings of files that the server is to read; all others are plain text."""


def submit(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Make a job of a file; with --watch, wait for its end."""
    if options.output and not options.watch:
        raise UsageError("-o needs --watch: without it nobody is there to fetch the audio.")
    if Path(options.file).suffix.lower() in DOCUMENTS:
        job = cluster.upload(
            options.file, idempotency_key=options.idempotency_key, **job_options(options)
        )
    else:
        text = read_text(options.file)
        job = cluster.submit(text, idempotency_key=options.idempotency_key, **job_options(options))
    if not options.watch:
        if options.json:
            write_json(dict(job.raw))
        else:
            print(job.id)
        return Exit.OK
    note(job.id)
    ended = follow(cluster, job, as_json=options.json)
    ended.raise_unless_succeeded()
    if options.output:
        fetch(cluster, ended, Path(options.output))
    elif not options.json:
        print(ended.id)
    return Exit.OK


def watch(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Show a job until it has ended."""
    job = cluster.get(options.id)
    ended = follow(cluster, job, as_json=options.json)
    ended.raise_unless_succeeded()
    if not options.json:
        print(f"{ended.id} {ended.status}")
    return Exit.OK


def follow(cluster: KokoroCluster, job: Job, *, as_json: bool) -> Job:
    """Show a job's way to its end; Ctrl-C leaves it running and says so."""
    with _coming_back(job):
        if as_json:
            return cluster.wait(job, _write_update)
        with Bar() as bar:
            return cluster.wait(job, bar.show)


def _write_update(update: Update) -> None:
    write_json({"event": update.event, "data": dict(update.raw)})


@contextmanager
def _coming_back(job: Job) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        note(f"\nThe job goes on. Come back to it: kokoro-cluster watch {job.id}")
        raise


def job_options(options: argparse.Namespace) -> JobOptions:
    """Return what the command line says of the job."""
    named: dict[str, Any] = {
        name: getattr(options, name)
        for name in JobOptions.__annotations__
        if getattr(options, name, None) is not None
    }
    if "formats" not in named:
        format = format_for(options.format, options.output)
        named |= {} if format is None else {"format": format}
    if "metadata" in named:
        named["metadata"] = dict(named["metadata"])
    return cast(JobOptions, named)
