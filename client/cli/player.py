"""Programs that play audio, and the audio given to them as it comes."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from client.cli.exits import LocalError


@dataclass(frozen=True)
class Player:
    """A program that plays audio.

    Attributes:
        command: its name and arguments.
        format: what it is given.
        wants_file: a file's path as its last argument, rather than audio on its stdin.
    """

    command: tuple[str, ...]
    format: str
    wants_file: bool = False


PLAYERS = (
    Player(("ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"), "mp3"),
    Player(("mpv", "--no-terminal", "--no-video", "-"), "mp3"),
    Player(("paplay", "--raw", "--format=s16le", "--rate=24000", "--channels=1"), "pcm"),
    Player(("aplay", "-q", "-t", "raw", "-f", "S16_LE", "-r", "24000", "-c", "1", "-"), "pcm"),
    Player(("afplay",), "mp3", wants_file=True),
)
"""The first that is installed is taken."""


def player(which: Callable[[str], str | None] = shutil.which) -> Player:
    """Return a player that is installed.

    Raises:
        LocalError: none is.
    """
    for one in PLAYERS:
        path = which(one.command[0])
        if path is not None:
            return replace(one, command=(path, *one.command[1:]))
    names = ", ".join(one.command[0] for one in PLAYERS)
    raise LocalError(f"Nothing here plays audio (looked for {names}). Write a file: -o speech.mp3")


def play(chosen: Player, pieces: Iterable[bytes]) -> None:
    """Play audio as it comes, and return when it has been heard.

    Raises:
        LocalError: the player failed.
    """
    if chosen.wants_file:
        with tempfile.NamedTemporaryFile(suffix=f".{chosen.format}") as file:
            file.writelines(pieces)
            file.flush()
            code = _feed((*chosen.command, file.name), ())
    else:
        code = _feed(chosen.command, pieces)
    if code != 0:
        raise LocalError(f"{chosen.command[0]} could not play it (exit code {code}).")


def _feed(command: tuple[str, ...], pieces: Iterable[bytes]) -> int:
    """Run a program with audio on its stdin; return its exit code."""
    process = subprocess.Popen(  # noqa: S603 - a program of the table above, where it was found
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin is not None  # noqa: S101 - asked for above
    try:
        # When it stops reading, its exit code tells why.
        with contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                process.stdin.write(piece)
                process.stdin.flush()
            process.stdin.close()
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
