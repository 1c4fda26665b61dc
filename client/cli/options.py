"""The arguments of every command. Imports nothing that a server's process would not need."""

import argparse
import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

FILE = "FILE"
"""What an argument is called that the shell should complete with files."""

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
    say = _command(commands, "say", "speak a text: into a file, a pipe or a loudspeaker", _SAY)
    say.add_argument("text", nargs="*", help="what to say; without it, stdin")
    _add_file(say, "-f", "--file", help="read the text from a file")
    _add_file(say, "-o", "--output", help="where the audio goes; `-`: stdout, as it comes")
    _add_voice(say)

    submit = _command(commands, "submit", "make a job of a file or a text", _SUBMIT)
    _add_file(submit, "file", help="the text; `-`: stdin")
    _add_voice(submit)
    _add_job(submit)
    submit.add_argument("--watch", action="store_true", help="wait, and show how far it is")
    _add_file(submit, "-o", "--output", help="with --watch: where the audio goes once done")

    batch = _command(commands, "batch", "make many jobs at once, one a line of a file", _BATCH)
    _add_file(batch, "file", help="JSON lines; `-`: stdin")
    batch.add_argument("--watch", action="store_true", help="wait until all have ended")
    batch.add_argument(
        "-o", "--output", metavar="FOLDER", help="with --watch: where the audio goes once done"
    )
    batch.add_argument("--idempotency-key", metavar="KEY", help="as for submit")

    watch = _command(commands, "watch", "show how far a job is until it has ended", _WATCH)
    watch.add_argument("id")

    jobs = _command(commands, "jobs", "list your jobs, newest first")
    jobs.add_argument("--status", choices=STATUSES)
    jobs.add_argument("--custom-id", metavar="ID")
    jobs.add_argument("--since", type=_moment, metavar="TIME", help="2026-01-31, or 90m, 12h, 7d")
    jobs.add_argument("--limit", type=_count, default=20, metavar="N", help="default: 20; 0: all")

    show = _command(commands, "show", "show a job")
    show.add_argument("id")
    show.add_argument("--segments", action="store_true", help="and each stretch of its text")

    for name, text in (
        ("cancel", "end jobs; what was not begun never begins"),
        ("delete", "remove jobs that have ended, and their audio"),
    ):
        _command(commands, name, text).add_argument("ids", nargs="+", metavar="id")

    download = _command(commands, "download", "fetch the audio of a finished job")
    download.add_argument("id")
    _add_file(download, "-o", "--output", help="default: the job's id; `-`: stdout")
    download.add_argument("--format", help="one of those it made; default: its main one")

    captions = _command(commands, "captions", "fetch when each word of a finished job is heard")
    captions.add_argument("id")
    captions.add_argument(
        "--format", choices=["srt", "vtt", "json"], help="default: FILE's, or srt"
    )
    _add_file(captions, "-o", "--output", help="default: stdout")

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


def _command(
    commands: Any, name: str, text: str, description: str | None = None
) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        parents=[_COMMON],
        description=description or f"{text[0].upper()}{text[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.set_defaults(run=functools.partial(_run, name))
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
    "submit": ("client.cli.submit", "submit"),
    "batch": ("client.cli.batch", "batch"),
    "watch": ("client.cli.submit", "watch"),
    "jobs": ("client.cli.jobs", "jobs"),
    "show": ("client.cli.jobs", "show"),
    "cancel": ("client.cli.jobs", "cancel"),
    "delete": ("client.cli.jobs", "delete"),
    "download": ("client.cli.download", "download"),
    "captions": ("client.cli.download", "captions"),
    "voices": ("client.cli.cluster", "voices"),
    "workers": ("client.cli.cluster", "workers"),
}
"""Module and function of each command, imported when it is run."""


def _add_file(parser: argparse.ArgumentParser, *names: str, help: str) -> None:
    parser.add_argument(*names, metavar=FILE, help=help)


def _add_voice(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it sounds")
    group.add_argument("--voice", metavar="NAME", help="a voice, or a mix: 'af_bella(2)+af_sky(1)'")
    group.add_argument(
        "--format", help="mp3, opus, aac, flac, wav, pcm, m4b; default: FILE's ending"
    )
    group.add_argument("--speed", type=float, metavar="N", help="0.25 to 4; default: 1")
    group.add_argument("--language", help="such as en-gb; default: the voice's own")
    group.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        help="say numbers, dates, addresses and the like as one does",
    )
    group.add_argument(
        "--lexicon",
        dest="lexicons",
        action="append",
        metavar="NAME",
        help="a stored one",
    )


def _add_job(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the job")
    group.add_argument("--title", help="of the work; default: the document's")
    group.add_argument("--author", help="of the work; default: the document's")
    group.add_argument("--split", choices=["chapters"], help="a file of each chapter as well")
    group.add_argument("--loudness-lufs", type=float, metavar="N", help="-40 to -5")
    group.add_argument("--formats", type=_list, metavar="A,B", help="several from one synthesis")
    group.add_argument("--timestamps", action="store_true", default=None, help="make captions")
    group.add_argument("--priority", choices=["interactive", "batch"])
    group.add_argument("--deadline-s", type=int, metavar="S", help="expire if not done by then")
    group.add_argument("--ttl-s", type=int, metavar="S", help="keep the audio for so long")
    group.add_argument("--custom-id", metavar="ID", help="yours, to find the job by")
    group.add_argument("--metadata", type=_pair, action="append", metavar="NAME=TEXT")
    group.add_argument("--webhook", metavar="URL", help="told of the job's end")
    group.add_argument(
        "--idempotency-key", metavar="KEY", help="the same key makes no second job within a day"
    )


def _list(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TEXT")
    return name, value


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("not below 0")
    return number


_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def _moment(text: str) -> datetime:
    """Read a date, a time, or an age such as `90m`; without a zone it is this machine's."""
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isascii() and number.isdigit():
        return datetime.now(UTC) - timedelta(seconds=int(number[:9]) * _UNITS[unit])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a time such as 2026-01-31T12:00 nor an age such as 90m"
        ) from None
    return found.astimezone() if found.tzinfo is None else found


_SAY = """\
Speak a text.

  kokoro-cluster say "Good morning." -o morning.mp3
  cat letter.txt | kokoro-cluster say -o - | ffplay -autoexit -nodisp -
  kokoro-cluster say "Good morning."

The last one needs a terminal and a player: ffplay, mpv, paplay, aplay or afplay. Ctrl-C cancels."""

_SUBMIT = """\
Make a job and print its id.

  kokoro-cluster submit book.txt --voice bf_emma --format mp3 --watch -o book.mp3

Ctrl-C while watching leaves the job running; `kokoro-cluster watch ID` comes back to it."""

_BATCH = """\
Make up to 1,000 jobs, all or none, and print the batch's id. A line of the file is a job:

  {"input": "Good morning.", "voice": "bf_emma", "custom_id": "morning"}

Exit code 1 with --watch unless all succeeded. With -o each job's audio is called by its custom_id.
Ctrl-C leaves the jobs running."""

_WATCH = """\
Show how far a job is until it has ended; exit code 1 unless it succeeded.

Ctrl-C leaves the job running. With --json: one update a line, the last one with the whole job."""
