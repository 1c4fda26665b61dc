"""Groups of arguments that several commands have, and how values are read."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

FILE = "FILE"
"""What an argument is called that the shell should complete with files."""


def add_file(parser: argparse.ArgumentParser, *names: str, help: str) -> None:
    """Add an argument that the shell completes with files."""
    parser.add_argument(*names, metavar=FILE, help=help)


def add_voice(parser: argparse.ArgumentParser) -> None:
    """Add what is said of the sound and its file."""
    group = parser.add_argument_group("how it sounds")
    group.add_argument(
        "--format", help="mp3, opus, aac, flac, wav, pcm, m4b; default: FILE's ending"
    )
    add_sound(group)


def add_sound(group: argparse._ArgumentGroup) -> None:
    """Add what is said of the sound."""
    group.add_argument("--voice", metavar="NAME", help="a voice, or a mix: 'af_bella(2)+af_sky(1)'")
    group.add_argument("--speed", type=float, metavar="N", help="0.25 to 4; 1 is the voice's own")
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


def add_timing(parser: argparse.ArgumentParser) -> None:
    """Add what is said of subtitles."""
    parser.add_argument(
        "--srt-timing", action="store_true", help="keep the silences between subtitles"
    )


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add what is said of a job beside its sound."""
    group = parser.add_argument_group("the job")
    group.add_argument("--title", help="of the work; default: the document's")
    group.add_argument("--author", help="of the work; default: the document's")
    group.add_argument("--split", choices=["chapters"], help="a file of each chapter as well")
    group.add_argument("--chapter-pause-s", type=float, metavar="S", help="default: 1")
    group.add_argument("--loudness-lufs", type=float, metavar="N", help="-40 to -5")
    group.add_argument("--formats", type=names, metavar="A,B", help="several from one synthesis")
    group.add_argument("--timestamps", action="store_true", default=None, help="make captions")
    add_usual(group)


def add_usual(group: argparse._ArgumentGroup) -> None:
    """Add what is said of a job whatever it is made of."""
    group.add_argument("--priority", choices=["interactive", "batch"])
    group.add_argument("--deadline-s", type=int, metavar="S", help="expire if not done by then")
    group.add_argument("--ttl-s", type=int, metavar="S", help="keep the audio for so long")
    group.add_argument("--custom-id", metavar="ID", help="yours, to find the job by")
    group.add_argument("--metadata", type=pair, action="append", metavar="NAME=TEXT")
    group.add_argument("--webhook", metavar="URL", help="told of the job's end")
    group.add_argument(
        "--idempotency-key", metavar="KEY", help="the same key makes no second job within a day"
    )


def names(text: str) -> Sequence[str]:
    """Read names with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def pair(text: str) -> tuple[str, str]:
    """Read `NAME=TEXT`."""
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TEXT")
    return name, value


def count(text: str) -> int:
    """Read a number from 0 on."""
    return _number(text, 0)


def place(text: str) -> int:
    """Read a number from 1 on."""
    return _number(text, 1)


def _number(text: str, least: int) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"not below {least}")
    return number


_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def moment(text: str) -> datetime:
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
