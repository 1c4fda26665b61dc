"""Texts and audio formats from what a user typed."""

import sys
from pathlib import Path
from typing import BinaryIO

from client.cli.exits import UsageError

STDIO = "-"

DOCUMENTS = frozenset({".md", ".markdown", ".srt", ".epub"})
"""Endings of files that the server is to read; all others are plain text."""

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm", "m4b")


def read_text(path: str | None, words: list[str] | None = None) -> str:
    """Return the text: words of the command line, a file's, or what comes on stdin.

    Raises:
        UsageError: there is none, or it is not UTF-8.
    """
    if words and path:
        raise UsageError("Give the text as words or as a file, not both.")
    if words and words != [STDIO]:
        return _not_empty(" ".join(words))
    if path and path != STDIO:
        return _not_empty(_decoded(Path(path).read_bytes(), path))
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError('There is no text: kokoro-cluster say "Good morning.", or pipe one in.')
    return _not_empty(_decoded(sys.stdin.buffer.read(), "stdin"))


def is_document(path: str) -> bool:
    """Tell whether a file is for the server to read."""
    return Path(path).suffix.lower() in DOCUMENTS


def is_folder(path: str | None) -> bool:
    """Tell whether an output is a folder: one that is there, or a name with a slash behind it."""
    return path not in {None, STDIO} and (str(path).endswith("/") or Path(str(path)).is_dir())


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not a UTF-8 text at byte {error.start}.") from error


def _not_empty(text: str) -> str:
    if not text.strip():
        raise UsageError("The text is empty.")
    return text


def format_for(wanted: str | None, output: str | None) -> str | None:
    """Return the format asked for, or the one that a file's ending names; None for neither.

    Raises:
        UsageError: the ending is of no format known here, and none was named.
    """
    if wanted or output in {None, STDIO} or is_folder(output):
        return wanted
    ending = ending_of(str(output))
    if ending and ending not in FORMATS:
        raise UsageError(f"No format is known by the ending .{ending}; name one with --format.")
    return ending or None


def ending_of(path: str) -> str:
    """Return a file's ending as formats are called, without its dot."""
    ending = Path(path).suffix.lower().removeprefix(".")
    return {"ogg": "opus"}.get(ending, ending)


def binary_stdout() -> BinaryIO:
    """Return stdout for audio.

    Raises:
        UsageError: it is a terminal, which audio would only garble.
    """
    if sys.stdout.isatty():
        raise UsageError("Audio would garble this terminal. Pipe it on, or write a file: -o FILE.")
    return sys.stdout.buffer
