"""`estimate`: what a job would come to."""

import argparse
from pathlib import Path

from client.cli.exits import Exit
from client.cli.output import duration, write_fields, write_json
from client.cli.submit import job_options
from client.cli.texts import STDIO, is_document, read_text
from client.estimates import Estimate
from client.sync.cluster import KokoroCluster

SHOWN_WORDS = 20


def estimate(cluster: KokoroCluster, options: argparse.Namespace) -> int:
    """Say what a job of a text or a file would come to; the exit code says whether it would be."""
    found = _ask(cluster, options)
    if options.json:
        write_json(dict(found.raw))
    else:
        write_fields(_fields(found))
    return Exit.JOB_UNSUCCESSFUL if found.fatal else Exit.OK


def _ask(cluster: KokoroCluster, options: argparse.Namespace) -> Estimate:
    given, said = options.file, job_options(options)
    is_file = given == STDIO or _exists(given)
    if is_file and is_document(given):
        return cluster.estimate_document(given, srt_timing=options.srt_timing, **said)
    if is_file:
        return cluster.estimate(read_text(given), **said)
    return cluster.estimate(read_text(None, [given]), **said)


def _exists(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a NUL: a text
        return False


def _fields(found: Estimate) -> dict[str, str | None]:
    fields: dict[str, str | None] = {}
    if not found.fatal:
        about = "about " if found.sampled else ""
        fields = {
            "title": found.title,
            "author": found.author,
            "characters": f"{found.input_chars:,}" if found.input_chars else None,
            "chapters": f"{found.chapters:,}" if found.chapters else None,
            "audio": None if found.audio_s is None else about + duration(found.audio_s),
            "segments": None if found.segments is None else f"{about}{found.segments:,}",
            "done in": duration(found.wait_s) or "not known before something was spoken here",
        }
    words = [
        word.word if word.phonemes is None else f"{word.word} /{word.phonemes}/"
        for word in found.oov
    ]
    if words:
        more = f", and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else ""
        fields["not in the dictionary"] = ", ".join(words[:SHOWN_WORDS]) + more
    for number, problem in enumerate(found.problems, start=1):
        label = "would fail" if problem in found.fatal else f"problem {number}"
        fields[label] = f"{problem.code}: {problem.detail}"
    return fields
