"""`download` and `captions`: the files of a finished job."""

import argparse
import re
import sys
from pathlib import Path

from client.answers import Job
from client.captions import FILES
from client.cli.exits import Exit, UsageError
from client.cli.output import duration, note, size, write_json
from client.cli.texts import FORMATS, STDIO, binary_stdout, ending_of, is_folder
from client.speech import whole_file
from client.sync.cluster import KokoroCluster


def download(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Fetch a file of a finished job, or into a folder those of all its chapters."""
    to_stdout = binary_stdout() if options.output == STDIO else None
    job = cluster.get(options.id).raise_unless_succeeded()
    if to_stdout is not None:
        for piece in cluster.iter_audio(job, options.format, chapter=options.chapter):
            to_stdout.write(piece)
            to_stdout.flush()
        return Exit.OK
    name = default_name(job, options.format, options.chapter)
    fetch_to(cluster, job, options.output or name, options.format, options.chapter)
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


def fetch_to(
    cluster: KokoroCluster,
    job: Job,
    output: str,
    format: str | None = None,
    chapter: int | None = None,
) -> None:
    """Write a job's file; into a folder one of each chapter, where there are such files."""
    if not is_folder(output):
        fetch(cluster, job, Path(output), format_in(job, output, format), chapter)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    chapters: list[int | None] = [chapter]
    if chapter is None:
        # Lists and events leave chapters' files out.
        job = cluster.get(job)
        files = job.output.chapter_files(format) if job.output else ()
        chapters = [file.chapter for file in files] or [None]
    for one in chapters:
        fetch(cluster, job, folder / default_name(job, format, one), format, one)


def fetch(
    cluster: KokoroCluster,
    job: Job,
    path: Path,
    format: str | None = None,
    chapter: int | None = None,
) -> None:
    """Write a job's file and say so."""
    cluster.download(job, path, format, chapter=chapter)
    output = job.output.file(format, chapter) if job.output else None
    about = f" ({duration(output.audio_s)}, {size(output.bytes)})" if output else ""
    note(f"{path}{about}")


def format_in(job: Job, output: str | None, wanted: str | None) -> str | None:
    """Return the format asked for, or the one that a file's ending names; None: the main one.

    Raises:
        UsageError: the file would be called as what the job did not make.
    """
    if wanted or output in {None, STDIO} or is_folder(output):
        return wanted
    ending = ending_of(str(output))
    if ending not in FORMATS:
        return None
    if job.output and job.output.file(ending) is None:
        made = ", ".join(one.format for one in (job.output, *job.output.others) if not one.chapter)
        raise UsageError(f"{job.id} made {made} and no {ending}: call the file by one of those.")
    return ending


def default_name(job: Job, format: str | None, chapter: int | None) -> str:
    """Return what a job's file is called: by its id, or by a chapter's number and title."""
    ending = format or (job.output.format if job.output else "audio")
    if chapter is None:
        return f"{job.id}.{ending}"
    chapters = job.chapters or ()
    title = chapters[chapter - 1].title if chapter <= len(chapters) else ""
    plain = _UNPRINTED.sub(" ", title).strip(". ")[:80].rstrip(". ")
    number = f"{chapter:0{max(2, len(str(len(chapters))))}}"
    return f"{number} {plain}.{ending}" if plain else f"{number}.{ending}"


_UNPRINTED = re.compile(r'[\s\x00-\x1f\x7f/\\:*?"<>|]+')
"""What some file system does not have in a name."""
