"""Tells a local store's folder from what is left when its disk is not mounted: an empty one.

In a folder that isn't the store's every object would read as missing, and jobs would fail for good.
"""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MARK = ".kokoro-cluster"
"""A small file in the store's root that holds a number of its own; `Storage.list` leaves it out."""


@dataclass(frozen=True)
class Folder:
    """A local store's root as it was when it was opened.

    A process that opens the store while its disk is away marks the empty folder anew and can't
    know better; those that opened it before can, and so can all as soon as the disk is back.

    Attributes:
        path: where it is.
        mark: what its mark said; None if it could be neither read nor made (a read-only disk).
    """

    path: Path
    mark: str | None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Remember the folder's mark, made by the first who opens it."""
        if _read(path) is None:
            with contextlib.suppress(OSError):
                _leave(path)
        return cls(path, _read(path))

    def is_there(self) -> bool:
        """Return whether this is still the folder that was opened."""
        return self.path.is_dir() if self.mark is None else _read(self.path) == self.mark


def _read(folder: Path) -> str | None:
    try:
        return (folder / MARK).read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _leave(folder: Path) -> None:
    # Whole or not at all, and never over another's; the name is one that `sweep_staged` knows.
    staged = folder / f"{MARK}#{secrets.randbelow(10**9)}"
    staged.write_text(f"{secrets.token_hex(16)}\n")
    try:
        os.link(staged, folder / MARK)
    finally:
        staged.unlink()
