"""The arguments of every command. Imports nothing that a server's process would not need."""

import argparse
import functools
from typing import Any

from client.cli import helptexts
from client.cli.arguments import (
    add_file,
    add_job,
    add_sound,
    add_timing,
    add_usual,
    add_voice,
    count,
    moment,
    place,
)

STATUSES = ("queued", "processing", "succeeded", "failed", "canceled", "expired")

_COMMON = argparse.ArgumentParser(add_help=False)
_COMMON.add_argument("--url", help="the gateway's address; default: KC_URL, or this machine")
_COMMON.add_argument("--json", action="store_true", help="write JSON, as the API has it")


def add_commands(commands: Any, parser: argparse.ArgumentParser) -> None:
    """Add the user's commands to a program's.

    Args:
        commands: what `add_subparsers` returned.
        parser: the whole program's, for completion.
    """
    _add_speaking(commands)
    _add_jobs(commands)
    _add_files(commands)
    _add_batches(commands)
    _add_lexicons(commands)

    voices = _command(commands, "voices", "list the voices, or hear one")
    voices.add_argument("--play", metavar="NAME", help="hear this one say a sentence")
    voices.add_argument("--language", help="only those of a language, such as en-gb")
    _command(commands, "workers", "list the cluster's workers")

    completion = commands.add_parser(
        "completion",
        help="print a shell's completion script",
        description="Print a completion script. For bash: "
        'eval "$(kokoro-cluster completion bash)", best in ~/.bashrc.',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    completion.set_defaults(run=functools.partial(_completion, parser))


def _add_speaking(commands: Any) -> None:
    say = _command(
        commands, "say", "speak a text: into a file, a pipe or a loudspeaker", helptexts.SAY
    )
    say.add_argument("text", nargs="*", help="what to say; without it, stdin")
    add_file(say, "-f", "--file", help="read the text from a file")
    add_file(say, "-o", "--output", help="where the audio goes; `-`: stdout, as it comes")
    add_voice(say)

    estimate = _command(commands, "estimate", "say what a job would come to", helptexts.ESTIMATE)
    add_file(estimate, "file", help="a file or a text; `-`: stdin")
    add_timing(estimate)
    add_voice(estimate)

    submit = _command(commands, "submit", "make a job of a file or a text", helptexts.SUBMIT)
    add_file(submit, "file", help="the text; `-`: stdin")
    add_timing(submit)
    add_voice(submit)
    add_job(submit)
    _add_watch(submit)

    redo = _command(commands, "redo", "say one segment of a finished job anew", helptexts.REDO)
    redo.add_argument("id")
    redo.add_argument("segment", type=count, help="its number, from `show ID --segments`")
    redo.add_argument("text", nargs="*", help="what is said instead; without it, stdin")
    add_sound(redo.add_argument_group("how it sounds; default: as it was"))
    add_usual(redo.add_argument_group("the job"))
    _add_watch(redo)


def _add_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="wait, and show how far it is")
    add_file(
        parser,
        "-o",
        "--output",
        help="with --watch: where the audio goes once done; FOLDER/: a file of each chapter",
    )


def _add_jobs(commands: Any) -> None:
    watch = _command(commands, "watch", "show how far a job is until it has ended", helptexts.WATCH)
    watch.add_argument("id")

    jobs = _command(commands, "jobs", "list your jobs, newest first")
    jobs.add_argument("--status", choices=STATUSES)
    jobs.add_argument("--custom-id", metavar="ID")
    jobs.add_argument("--since", type=moment, metavar="TIME", help="2026-01-31, or 90m, 12h, 7d")
    _add_limit(jobs)

    show = _command(commands, "show", "show a job")
    show.add_argument("id")
    show.add_argument("--segments", action="store_true", help="and each stretch of its text")
    add_file(show, "--text", help="with --segments: the text it was made of, to quote from")

    for name, text in (
        ("cancel", "end jobs; what was not begun never begins"),
        ("delete", "remove jobs that have ended, and their audio"),
    ):
        _command(commands, name, text).add_argument("ids", nargs="+", metavar="id")


def _add_files(commands: Any) -> None:
    download = _command(commands, "download", "fetch the audio of a finished job")
    download.add_argument("id")
    add_file(
        download,
        "-o",
        "--output",
        help="default: the job's id; `-`: stdout; FOLDER/: a file of each chapter",
    )
    download.add_argument("--format", help="one of those it made; default: its main one")
    download.add_argument(
        "--chapter", type=place, metavar="N", help="of a job with --split; 1 for the first"
    )

    captions = _command(commands, "captions", "fetch when each word of a finished job is heard")
    captions.add_argument("id")
    captions.add_argument(
        "--format", choices=["srt", "vtt", "json"], help="default: FILE's, or srt"
    )
    add_file(captions, "-o", "--output", help="default: stdout")


def _add_batches(commands: Any) -> None:
    batch = _command(commands, "batch", "make many jobs at once", helptexts.BATCH)
    batch.add_argument("files", nargs="+", metavar="FILE", help="JSON lines or texts; `-`: stdin")
    batch.add_argument("--lines", action="store_true", help="a job of each line of a text")
    batch.add_argument("--watch", action="store_true", help="wait until all have ended")
    batch.add_argument(
        "-o", "--output", metavar="FOLDER", help="with --watch: where the audio goes once done"
    )
    batch.add_argument("--idempotency-key", metavar="KEY", help="as for submit")
    add_voice(batch)

    actions = _group(commands, "batches", "look at batches, and end them")
    _add_limit(_command(actions, "list", "list your batches, newest first", group="batches"))
    show = _command(actions, "show", "show a batch and its jobs", group="batches")
    show.add_argument("id")
    watch = _command(
        actions,
        "watch",
        "show how far a batch is until it has ended",
        helptexts.BATCH_WATCH,
        group="batches",
    )
    watch.add_argument("id")
    watch.add_argument("-o", "--output", metavar="FOLDER", help="where the audio goes once done")
    for name, text in (
        ("cancel", "end all jobs of batches that have not ended"),
        ("delete", "remove batches that have ended, and their jobs"),
    ):
        one = _command(actions, name, text, group="batches")
        one.add_argument("ids", nargs="+", metavar="id")


def _add_lexicons(commands: Any) -> None:
    actions = _group(commands, "lexicons", "keep how words are said, for jobs to name")
    _command(actions, "list", "list your lexicons", group="lexicons")
    show = _command(actions, "show", "show a lexicon's words", group="lexicons")
    show.add_argument("name")
    show.add_argument("--version", type=place, metavar="N", help="default: the newest")
    put = _command(
        actions, "put", "store a lexicon's words", helptexts.LEXICON_PUT, group="lexicons"
    )
    put.add_argument("name")
    add_file(put, "file", help="`-`: stdin")
    put.add_argument("--language", metavar="TAG", help="of the jobs it counts for; default: all")
    delete = _command(actions, "delete", "remove lexicons", group="lexicons")
    delete.add_argument("names", nargs="+", metavar="name")


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="default: 20; 0: all")


def _group(commands: Any, name: str, text: str) -> Any:
    found = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return found.add_subparsers(required=True, metavar="ACTION")


def _command(
    commands: Any, name: str, text: str, description: str | None = None, group: str = ""
) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        parents=[_COMMON],
        description=description or f"{text[0].upper()}{text[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.set_defaults(run=functools.partial(_run, f"{group} {name}".strip()))
    return found


def _run(name: str, options: argparse.Namespace) -> int:
    # Here, since httpx and rich are of no use to a worker, whose command line this is too.
    from client.cli.running import run  # noqa: PLC0415

    return run(options, *_WHERE[name])


def _completion(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from client.cli.completion import script  # noqa: PLC0415

    print(script(parser, options.shell))
    return 0


_WHERE = {
    "say": ("client.cli.say", "say"),
    "estimate": ("client.cli.estimate", "estimate"),
    "submit": ("client.cli.submit", "submit"),
    "redo": ("client.cli.submit", "redo"),
    "watch": ("client.cli.submit", "watch"),
    "jobs": ("client.cli.jobs", "jobs"),
    "show": ("client.cli.jobs", "show"),
    "cancel": ("client.cli.jobs", "cancel"),
    "delete": ("client.cli.jobs", "delete"),
    "download": ("client.cli.download", "download"),
    "captions": ("client.cli.download", "captions"),
    "batch": ("client.cli.batch", "batch"),
    "batches list": ("client.cli.batch", "listing"),
    "batches show": ("client.cli.batch", "show"),
    "batches watch": ("client.cli.batch", "watch"),
    "batches cancel": ("client.cli.batch", "cancel"),
    "batches delete": ("client.cli.batch", "delete"),
    "lexicons list": ("client.cli.lexicons", "listing"),
    "lexicons show": ("client.cli.lexicons", "show"),
    "lexicons put": ("client.cli.lexicons", "put"),
    "lexicons delete": ("client.cli.lexicons", "delete"),
    "voices": ("client.cli.cluster", "voices"),
    "workers": ("client.cli.cluster", "workers"),
}
"""Module and function of each command, imported when it is run."""
