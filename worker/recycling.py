"""Whether a worker's child should be replaced, asked between two of its tasks.

In: what it holds of the machine's and of the device's memory, and how long nothing came. Out: the
reason why it should end now, if there is one. How many tasks it has had is the pool's to count.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from shared.ledger.states import Recycled
from shared.settings import Settings

log = structlog.get_logger()

MIB = 1024 * 1024

SETTLED_AFTER = 5
"""Tasks in which a child comes to hold what it needs; what it holds then is usual, not grown."""

ROOM = 1.25
"""A child may hold so many times what is usual, whatever the bound: one that is above it as soon as
it works would else be replaced after every few tasks, for nothing."""


class Wear:
    """Judges one child by what its first tasks have shown to be usual.

    Args:
        settings: the bounds; 0 is none.
        resident: bytes of the machine's memory that this process holds.
        device: (used, total) bytes of its device; None without one.
        unloads: whether it should end after `idle_unload_s` without a task.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resident: Callable[[], int],
        device: Callable[[], tuple[int, int] | None],
        unloads: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident = resident
        self._device = device
        self._clock = clock
        self._resident_most = settings.recycle_rss_mib * MIB
        self._growth_most = settings.recycle_gpu_growth_mib * MIB
        self._idle_most_s = settings.idle_unload_s if unloads else 0.0
        self._idle_since = clock()
        self._device_usual: int | None = None
        self._tasks = 0

    def after_task(self) -> Recycled | None:
        """Return why to end after a task, if so; the first few show what is usual."""
        self._idle_since = self._clock()
        self._tasks += 1
        if self._tasks <= SETTLED_AFTER:
            self._learn()
            return None
        if self._resident_most and self._resident() > self._resident_most:
            return Recycled.HOST_MEMORY
        if self._device_usual is not None:
            now = self._device()
            if now is not None and now[0] - self._device_usual > self._growth_most:
                return Recycled.DEVICE_MEMORY
        return None

    def while_idle(self) -> Recycled | None:
        """Return why to end though nothing was done, if so."""
        if self._idle_most_s and self._clock() - self._idle_since >= self._idle_most_s:
            return Recycled.IDLE
        return None

    def _learn(self) -> None:
        if self._resident_most:
            held = self._resident()
            if held * ROOM > self._resident_most:
                log.warning(
                    "KC_RECYCLE_RSS_MIB leaves no room over what a child needs",
                    action="recycle",
                    held_mib=held // MIB,
                    bound_mib=self._resident_most // MIB,
                )
                self._resident_most = int(held * ROOM)
        if self._growth_most:
            device = self._device()
            if device is not None:
                self._device_usual = max(self._device_usual or 0, device[0])


def resident_bytes(pid: int) -> int:
    """Return what a process holds of the machine's memory; 0 where that can't be known."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
