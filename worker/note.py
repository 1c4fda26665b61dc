"""What a worker's child tells its parent: a small file, written whole, read every second.

The child says who it is and by when its present work must be done; the parent renews the child's
lease while it lives and keeps to that, and ends it when it doesn't. A file can be read whatever
the child is doing.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ChildState:
    """One child as its note describes it.

    Attributes:
        incarnation: the name it holds leases under.
        pid: its process.
        phase: `loading`, `idle`, or what it is doing.
        deadline: `time.monotonic()` by which the phase must be over, the same clock in all
            processes of a machine; None while idle.
        fatal: why it can never work, if so.
        facts: for the list of workers: device, model, batch, device memory.
    """

    incarnation: str
    pid: int
    phase: str
    deadline: float | None
    fatal: str | None
    facts: dict[str, Any]

    @property
    def overdue(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and time.monotonic() > self.deadline


class Note:
    """The child's end of its note.

    Args:
        folder: the worker's own, shared with the parent.
        incarnation: unique name of this process.
    """

    def __init__(self, folder: Path, incarnation: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{os.getpid()}.json"
        self._incarnation = incarnation
        self._facts: dict[str, Any] = {}

    def write(
        self, phase: str, *, within_s: float | None = None, fatal: str | None = None, **facts: Any
    ) -> None:
        """Say what this process does now, and for how long at most."""
        self._facts |= facts
        deadline = None if within_s is None else time.monotonic() + within_s
        state = ChildState(
            self._incarnation, os.getpid(), phase, deadline, fatal, dict(self._facts)
        )
        staged = self._path.with_suffix(".tmp")
        staged.write_text(json.dumps(asdict(state)))
        staged.replace(self._path)

    @contextmanager
    def busy(self, phase: str, *, within_s: float, **facts: Any) -> Iterator[None]:
        """Be in a phase for the length of a block."""
        self.write(phase, within_s=within_s, **facts)
        try:
            yield
        finally:
            self.write("idle")


def read_notes(folder: Path) -> list[tuple[Path, ChildState]]:
    """Return the notes in a worker's folder; one that is gone or half gone is left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append((path, ChildState(**json.loads(path.read_text()))))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            continue
    return found


def is_running(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    return fields[0] not in {"Z", "X"}
