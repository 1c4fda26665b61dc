"""What a worker's child tells its parent: a small file, written whole, read every second.

The child says who it is and by when its present work must be done; the parent renews the child's
lease while it lives and keeps to that, and ends it when it doesn't. A file can be read whatever
the child is doing.

A child that has many short things to do, or several at a time, keeps their deadlines in a second
file, mapped into its memory: writing one is a store of eight bytes, which waits for no disk and no
other thread, and is on file before the next instruction. How many segments it has finished stands
there too: by that the parent tells a child that dies of its device from one that worked.
"""

import json
import math
import mmap
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from shared.ledger.states import Recycled

log = structlog.get_logger()

DEADLINES = 16
"""Things one process does at a time, at most; the first place is its main thread's."""

FINISHED = DEADLINES
"""The place in the mapped row, after all deadlines, for the number of segments finished."""


@dataclass(frozen=True)
class ChildState:
    """One child as its note describes it.

    Attributes:
        incarnation: the name it holds leases under.
        pid: its process.
        phase: `loading`, `idle`, or what it is doing.
        deadline: `time.monotonic()` by which the first of all it is doing must be over, the same
            clock in all processes of a machine; None while idle.
        fatal: why it can never work, if so.
        facts: for the list of workers: device, model, batch, device memory.
        lost: what this process ends of, as it says itself, though another may work.
        replaced: whether it ends because its time was up.
        reason: what it ends of, as far as it says so itself.
        finished: segments finished since its start; None where that can't be known.
        born: when its process started, in ticks since the machine did; tells it from a later one
            of the same number. None where the system does not say.
    """

    incarnation: str
    pid: int
    phase: str
    deadline: float | None
    fatal: str | None
    facts: dict[str, Any]
    born: int | None = None
    lost: str | None = None
    replaced: bool = False
    reason: Recycled | None = None
    finished: int | None = None

    @property
    def running(self) -> bool:
        """Whether this very process still runs."""
        return is_running(self.pid) and self.born in {None, _born(self.pid)}

    @property
    def fruitless(self) -> bool:
        """Whether it has certainly finished no segment since its start."""
        unbegun = self.finished is None and self.phase in {"loading", "idle"}
        return self.finished == 0 or unbegun

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
        self._born = _born(os.getpid())
        self._written = False
        self._shown = ("", False)
        self._front: tuple[str, float | None] = ("loading", None)
        self._lock = threading.Lock()
        self._due: memoryview[float] | None = None
        self._free = list(range(1, DEADLINES))
        self._lost: str | None = None
        self._replaced = False
        self._reason: Recycled | None = None

    @property
    def leaving(self) -> bool:
        """Whether the worker was told to stop, so that nothing new should be begun."""
        return leaving_mark(self._path.parent).exists()

    @property
    def folder(self) -> Path:
        """The worker's own, shared with the parent."""
        return self._path.parent

    @property
    def scratch(self) -> Path:
        """Folder for temporary files of this process; the parent deletes it when it has ended."""
        return self._path.with_suffix("")

    def write(
        self, phase: str, *, within_s: float | None = None, fatal: str | None = None, **facts: Any
    ) -> None:
        """Say what this process does now, and for how long at most.

        Raises:
            OSError: not even the first note could be written; a later one may be missed.
        """
        with self._lock:
            self._facts |= facts
            self._front = (phase, None if within_s is None else time.monotonic() + within_s)
            if self._due is not None:
                self._due[0] = math.inf
            self._put(fatal)

    def begin(self, phase: str, *, within_s: float, **facts: Any) -> None:
        """Be in a phase again and again: only the first time does this write the note.

        The deadline is on file when this returns, always.
        """
        due = self._deadlines()
        due[0] = time.monotonic() + within_s
        self._facts |= facts
        if self._shown != (phase, True):
            with self._lock:
                self._front = (phase, None)
                self._put()

    def done(self) -> None:
        """Have nothing more to do for now: without a deadline in its row, a child reads as idle."""
        self._deadlines()[0] = math.inf

    def count_finished(self, segments: int) -> None:
        """Add to the segments this process has finished; on file when this returns."""
        row = self._deadlines()
        with self._lock:
            row[FINISHED] += segments

    def end(self, reason: Recycled = Recycled.PLANNED, *, lost: str | None = None) -> None:
        """Say that this process ends here: of what `lost` tells, or with that None in its time."""
        with self._lock:
            self._lost, self._replaced, self._reason = lost, lost is None, None if lost else reason
            self._put()

    def _deadlines(self) -> "memoryview[float]":
        if self._due is None:
            with self._lock:
                self._due = _map_deadlines(self._path.with_suffix(".due"))
        return self._due

    def _put(self, fatal: str | None = None) -> None:
        phase, deadline = self._front
        state = ChildState(
            self._incarnation,
            os.getpid(),
            phase,
            deadline,
            fatal,
            dict(self._facts),
            self._born,
            self._lost,
            self._replaced,
            self._reason,
        )
        staged = self._path.with_suffix(".tmp")
        try:
            staged.write_text(json.dumps(asdict(state)))
            staged.replace(self._path)
        except OSError as error:
            # A full disk must cost no attempt: the last note stands, and the lease with it.
            if not self._written:
                raise
            log.warning("note not written", action="note", phase=phase, error=str(error))
        else:
            self._written = True
            self._shown = (phase, deadline is None)

    def tell(self, **facts: Any) -> None:
        """Add to the list of workers' facts."""
        with self._lock:
            self._facts |= facts
            self._put()

    @contextmanager
    def busy(self, phase: str, *, within_s: float) -> Iterator[None]:
        """Be in a phase for the length of a block, and idle after it."""
        self.begin(phase, within_s=within_s)
        try:
            yield
        finally:
            self.done()

    @contextmanager
    def beside(self, phase: str, *, within_s: float) -> Iterator[None]:
        """Do something in another thread, with a deadline of its own, for the length of a block.

        Nothing but the deadline is told of it.
        """
        due = self._deadlines()
        with self._lock:
            place = self._free.pop()
        due[place] = time.monotonic() + within_s
        try:
            yield
        finally:
            due[place] = math.inf
            with self._lock:
                self._free.append(place)


def _map_deadlines(path: Path) -> "memoryview[float]":
    """Return a row of deadlines, all infinitely far, that is also a file; nothing is finished."""
    none = memoryview(bytearray(8 * (DEADLINES + 1))).cast("d")
    for place in range(DEADLINES):
        none[place] = math.inf
    try:
        # Written, not stretched: a page that a full disk has no room for would end the process.
        path.write_bytes(none.cast("B"))
        with path.open("r+b") as file:
            return memoryview(mmap.mmap(file.fileno(), len(none) * none.itemsize)).cast("d")
    except OSError as error:
        log.warning("deadlines not on file", action="note", error=str(error))
        return none


def _read_row(path: Path) -> tuple[float, int] | None:
    """Return a row's first deadline, infinity if it has none, and what is finished; None if not."""
    try:
        row = memoryview(path.read_bytes()).cast("d")
        return min(row[:DEADLINES]), int(row[FINISHED])
    except (OSError, TypeError, ValueError, IndexError):  # none there, or not whole yet
        return None


def asleep_mark(folder: Path) -> Path:
    """Return the file whose presence has a worker's next child load nothing until it has work."""
    return folder / "asleep"


def leaving_mark(folder: Path) -> Path:
    """Return the file whose presence tells a worker's children that it was told to stop."""
    return folder / "leaving"


def read_notes(folder: Path) -> list[tuple[Path, ChildState]]:
    """Return the notes in a worker's folder; one that is gone or half gone is left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            child = ChildState(**json.loads(path.read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            continue
        row = _read_row(path.with_suffix(".due"))
        if row is not None:
            first, finished = row
            child = replace(child, finished=finished)
            if first < math.inf:
                deadline = first if child.deadline is None else min(first, child.deadline)
                child = replace(child, deadline=deadline)
            elif child.deadline is None and child.fatal is None:
                child = replace(child, phase="idle")
        found.append((path, child))
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


def _born(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
