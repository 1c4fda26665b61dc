"""`download` and `captions`: the files of a finished job."""

import argparse
import sys
from pathlib import Path

from client.answers import Job
from client.captions import FILES
from client.cli.exits import Exit
from client.cli.output import duration, note, size, write_json
from client.cli.texts import STDIO, binary_stdout
from client.speech import whole_file
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


def captions(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Fetch a finished job's captions."""
    ending = Path(options.output or "").suffix.lower().removeprefix(".")
    kind = options.format or (ending if ending in FILES else "srt")
    data = cluster.caption_file(options.id, "json" if options.json else kind)
    if options.output in {None, STDIO}:
        sys.stdout.buffer.write(data if data.endswith(b"\n") else data + b"\n")
        return Exit.OK
    path = Path(options.output)
    with whole_file(path) as file:
        file.write(data)
    note(str(path))
    return Exit.OK


def fetch(cluster: KokoroCluster, job: Job, path: Path, format: str | None = None) -> None:
    """Write a job's file and say so."""
    cluster.download(job, path, format)
    output = job.output.file(format) if job.output else None
    about = f" ({duration(output.audio_s)}, {size(output.bytes)})" if output else ""
    note(f"{path}{about}")


def _ending(job: Job, format: str | None) -> str:
    return format or (job.output.format if job.output else "audio")
