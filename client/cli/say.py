"""`say`: a text to a file, a pipe or a loudspeaker."""

import argparse
import contextlib
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from client.answers import Job
from client.cli.bar import Bar
from client.cli.download import fetch
from client.cli.exits import Exit, UsageError
from client.cli.output import note, write_json
from client.cli.player import play, player
from client.cli.submit import job_options
from client.cli.texts import STDIO, binary_stdout, read_text
from client.errors import KokoroClusterError
from client.sync.cluster import KokoroCluster


def say(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Speak a text."""
    if options.output is None:
        return _play(cluster, options)
    if options.output == STDIO:
        return _pipe(cluster, options)
    text = read_text(options.file, options.text)
    job = cluster.submit(text, **job_options(options))
    with _canceling(cluster, job), Bar() as bar:
        job = cluster.wait(job, bar.show)
    fetch(cluster, job.raise_unless_succeeded(), Path(options.output))
    if options.json:
        write_json(dict(job.raw))
    return Exit.OK


def _pipe(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    if options.json:
        raise UsageError("With -o - stdout is for the audio; --json has no place there.")
    stdout = binary_stdout()
    with closing(_pieces(cluster, options, "mp3")) as pieces:
        for piece in pieces:
            stdout.write(piece)
            stdout.flush()
    return Exit.OK


def _play(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    if not sys.stdout.isatty():
        raise UsageError("Say where the audio goes: -o FILE, or -o - for this pipe.")
    chosen = player()
    if options.format:
        raise UsageError(
            "--format is for files and pipes; what is played is the player's to choose."
        )
    with closing(_pieces(cluster, options, chosen.format)) as pieces:
        play(chosen, pieces)
    return Exit.OK


def _pieces(
    cluster: KokoroCluster, options: argparse.Namespace, format: str
) -> Generator[bytes, None, None]:
    text = read_text(options.file, options.text)
    options.format = options.format or format
    return cluster.stream(text, **job_options(options))


@contextmanager
def _canceling(cluster: KokoroCluster, job: Job) -> Iterator[None]:
    """Cancel a job that nobody waits for any more."""
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(KokoroClusterError):
            cluster.cancel(job)
            note("\nCanceled.")
        raise
