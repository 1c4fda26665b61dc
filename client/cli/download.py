"""`download`: the audio of a finished job."""

import argparse
from pathlib import Path

from client.answers import Job
from client.cli.exits import Exit
from client.cli.output import duration, note, size, write_json
from client.cli.texts import STDIO, binary_stdout
from client.sync.cluster import KokoroCluster


def download(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Fetch a file of a finished job."""
    to_stdout = binary_stdout() if options.output == STDIO else None
    job = cluster.get(options.id).raise_unless_succeeded()
    if to_stdout is not None:
        for piece in cluster.iter_audio(job, options.format):
            to_stdout.write(piece)
            to_stdout.flush()
        return Exit.OK
    path = Path(options.output or f"{job.id}.{_ending(job, options.format)}")
    fetch(cluster, job, path, options.format)
    if options.json:
        write_json(dict(job.raw))
    return Exit.OK


def fetch(cluster: KokoroCluster, job: Job, path: Path, format: str | None = None) -> None:
    """Write a job's file and say so."""
    cluster.download(job, path, format)
    output = job.output.file(format) if job.output else None
    about = f" ({duration(output.audio_s)}, {size(output.bytes)})" if output else ""
    note(f"{path}{about}")


def _ending(job: Job, format: str | None) -> str:
    return format or (job.output.format if job.output else "audio")
