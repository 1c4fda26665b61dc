"""`submit`, `redo` and `watch`: a job that goes on without this program."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from client.answers import Job
from client.cli.bar import Bar
from client.cli.download import fetch_to, format_in
from client.cli.exits import Exit, UsageError
from client.cli.output import note, write_json
from client.cli.texts import format_for, is_document, is_folder, read_text
from client.errors import InvalidRequest
from client.requests import JobOptions, RedoOptions
from client.sync.cluster import KokoroCluster
from client.watching import Update


def submit(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Make a job of a file; with --watch, wait for its end."""
    _check_output(options)
    text = None if is_document(options.file) else read_text(options.file)
    implied = is_folder(options.output) and options.split is None
    if implied:
        options.split = "chapters"
    try:
        job = _hand_in(cluster, options, text)
    except InvalidRequest as error:
        if not implied or error.param != "split":
            raise
        options.split = None  # it has no chapters: the folder gets the one file
        job = _hand_in(cluster, options, text)
    return _go_on(cluster, job, options)


def _hand_in(cluster: KokoroCluster, options: argparse.Namespace, text: str | None) -> Job:
    key, said = options.idempotency_key, job_options(options)
    if text is not None:
        return cluster.submit(text, idempotency_key=key, **said)
    timing = options.srt_timing
    return cluster.upload(options.file, srt_timing=timing, idempotency_key=key, **said)


def redo(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Make a job of a finished one with one segment said anew."""
    _check_output(options)
    # Its files will be in the formats of that job.
    format_in(cluster.get(options.id), options.output, None)
    said = cast(RedoOptions, _named(options, RedoOptions.__annotations__))
    job = cluster.redo(
        options.id,
        options.segment,
        read_text(None, options.text),
        idempotency_key=options.idempotency_key,
        **said,
    )
    return _go_on(cluster, job, options)


def _check_output(options: argparse.Namespace) -> None:
    if options.output and not options.watch:
        raise UsageError("-o needs --watch: without it nobody is there to fetch the audio.")


def _go_on(cluster: KokoroCluster, job: Job, options: argparse.Namespace) -> int:
    """Say which job it is; with --watch, go on with it to its end."""
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
        fetch_to(cluster, ended, options.output, getattr(options, "format", None))
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
    named = _named(options, JobOptions.__annotations__)
    if "formats" not in named:
        format = format_for(options.format, getattr(options, "output", None))
        named |= {} if format is None else {"format": format}
    return cast(JobOptions, named)


def _named(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    given: dict[str, Any] = {name: getattr(options, name, None) for name in names}
    if given.get("metadata") is not None:
        given["metadata"] = dict(given["metadata"])
    return {name: value for name, value in given.items() if value is not None}
