"""Keeps a device busy: while one batch is on it, the last is kept and the next is claimed.

In: how to claim, begin, size and keep a batch. Out: batches to work on, one after another, for the
length of a shift. The caller's thread does the work on the device and nothing else; keeping
and claiming ahead have threads of their own, which the device's work leaves free to run.

    claim 1 ─▶ work 1 ───────▶ work 2 ───────▶ work 3
                      claim 2 ↗  keep 1  claim 3 ↗  keep 2

At most one batch is claimed ahead, and only shortly before the device is expected to be free: until
then alike segments gather, and another worker may take what waits. It waits for what is left of one
batch; if that one overruns its expectation it is given back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

C = TypeVar("C")
R = TypeVar("R")
T = TypeVar("T")

SHIFT_S, SHIFT_BATCHES = 2.0, 256
"""How long a task begins batches, and how many. Between two tasks the device idles for some
milliseconds (all is stored, Celery hands over, memory goes back to the driver), so a task is
many batches; but it ends well within the grace of a worker that is told to stop."""

LEAD_S, LEAD_SHARE = 0.015, 0.1
"""How long before the device's expected end the next batch is claimed: what a claim over a network
takes, and by how much expectations err."""

PATIENCE_S, PATIENCE_SHARE = 1.0, 1.0
"""How far beyond its expectation a batch may run before what was claimed ahead is given back."""

KEPT_MOST = 2
"""Batches being kept at a time, the one just worked off among them: a store that takes as long as
the device does, or stumbles once, then idles no device. Each is a batch's audio in memory."""

STOP_GRACE_S = 0.5
"""How long a process told to end waits for a batch that is being kept; it takes milliseconds."""


class Step(threading.Thread, Generic[T]):
    """A call in a thread of its own, whose result or exception is asked for later.

    A daemon: a process told to end must not wait for a store that is away.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: T | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Make the call."""
        try:
            self._result = self._call()
        except BaseException as error:  # raised again where it is asked for
            self._error = error

    @property
    def failed(self) -> bool:
        """Whether it has ended in an exception."""
        return self._error is not None

    def result(self) -> T:
        """Wait for its end; return what the call returned, or raise what it raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


def together(calls: Sequence[Callable[[], T]], most: int) -> list[T]:
    """Make the calls, `most` at a time; return their results in order or raise the first error."""
    results: list[T] = []
    running: deque[Step[T]] = deque()
    for call in calls:
        if len(running) == most:
            results.append(running.popleft().result())
        running.append(Step(call))
    return results + [step.result() for step in running]


class Pace:
    """How long this process's device takes, learnt batch by batch."""

    def __init__(self) -> None:
        self._s_per_unit: float | None = None

    def expected_s(self, size: float) -> float | None:
        """Return how long a batch of a size will take; None before the first was seen."""
        return None if self._s_per_unit is None else self._s_per_unit * size

    def learn(self, size: float, took_s: float) -> None:
        """Remember how long a batch took; the last few count most."""
        fresh = took_s / max(size, 1e-9)
        known = self._s_per_unit
        self._s_per_unit = fresh if known is None else 0.7 * known + 0.3 * fresh


@dataclass(frozen=True)
class Plan(Generic[C, R]):
    """What a shift's batches are and how they are handled; an empty batch is no work.

    Attributes:
        claim: return the next batch; nothing counts against it before it is begun.
        begin: return what of a claimed batch is still to be done; called right before the work.
        give_back: undo a claim that was not begun.
        size: of a batch, in units that its time on the device grows with.
        alone: whether nothing else may be under way while this batch is worked on and kept.
        keep: put away what came of a batch. Called in a thread of its own, `KEPT_MOST` at a time.
        stopping: whether the process was told to stop, so that nothing new is begun.
    """

    claim: Callable[[], Sequence[C]]
    begin: Callable[[Sequence[C]], Sequence[C]]
    give_back: Callable[[Sequence[C]], None]
    size: Callable[[Sequence[C]], float]
    alone: Callable[[Sequence[C]], bool]
    keep: Callable[[R], None]
    stopping: Callable[[], bool]


class Shift(Generic[C, R]):
    """Batches worked off one after another until none waits or the shift is over.

        with Shift(plan, pace, most=…, within_s=…) as shift:
            for batch in shift:
                shift.keep(work(batch))

    The block's end waits until all is kept, and raises what keeping raised; so does the next
    batch. A process told to exit (`SystemExit`) waits `STOP_GRACE_S` only.

    Args:
        most: batches.
        within_s: seconds after which no batch is begun but one claimed ahead.

    Attributes:
        batches: begun so far.
        wall_s: seconds from the start of the first batch's claim to the end of the block.
    """

    def __init__(self, plan: Plan[C, R], pace: Pace, *, most: int, within_s: float) -> None:
        self._plan = plan
        self._pace = pace
        self._most = most
        self._began_at = time.monotonic()
        self._ends_at = self._began_at + within_s
        self._ahead: Step[Sequence[C]] | None = None
        self._wanted = threading.Event()
        self._over = False
        self._keeping: deque[Step[None]] = deque()
        self._size = 0.0
        self._work_at = 0.0
        self.batches = 0
        self.wall_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[Sequence[C]]:
        while self._may_go_on():
            self._let_keep(KEPT_MOST - 1)
            claimed = self._next_claim()
            if not claimed:
                return
            alone = self._plan.alone(claimed)
            if alone:
                self._let_keep(0)
            batch = self._plan.begin(claimed)
            if batch:
                self._work_begins(batch)
                yield batch
            if alone:
                self._let_keep(0)

    def keep(self, result: R) -> None:
        """Say that the device is free again, and have put away what came of the batch."""
        took_s = time.monotonic() - self._work_at
        self._pace.learn(self._size, took_s)
        self._keeping.append(Step(lambda: self._plan.keep(result)))

    def _may_go_on(self) -> bool:
        if self._plan.stopping() or self.batches >= self._most:
            return False
        return self._ahead is not None or time.monotonic() < self._ends_at

    def _let_keep(self, most: int) -> None:
        """Wait until at most so many batches are being kept; raise what keeping one raised."""
        while len(self._keeping) > most:
            self._keeping.popleft().result()

    def _next_claim(self) -> Sequence[C]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._wanted.set()
            claimed = ahead.result()
            if claimed:
                return claimed
        return self._plan.claim()

    def _work_begins(self, batch: Sequence[C]) -> None:
        self.batches += 1
        self._size = self._plan.size(batch)
        self._work_at = time.monotonic()
        expected_s = self._pace.expected_s(self._size)
        if expected_s is None or self.batches >= self._most:
            return
        if self._work_at + expected_s < self._ends_at:
            self._wanted = wanted = threading.Event()
            self._ahead = Step(lambda: self._claim_ahead(wanted, expected_s))

    def _claim_ahead(self, wanted: threading.Event, expected_s: float) -> Sequence[C]:
        """Claim shortly before the device is expected to be free, or when it is."""
        lead_s = LEAD_S + LEAD_SHARE * expected_s
        wanted.wait(max(0.0, expected_s - lead_s))
        if self._over or self._plan.stopping():
            return ()
        claimed = self._plan.claim()
        if claimed and not wanted.wait(lead_s + PATIENCE_S + PATIENCE_SHARE * expected_s):
            self._plan.give_back(claimed)
            return ()
        return claimed

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over = True
        self._wanted.set()
        told_to_exit = kind is not None and not issubclass(kind, Exception)
        for step in self._keeping:
            step.join(STOP_GRACE_S if told_to_exit else None)
        self.wall_s = time.monotonic() - self._began_at if self.batches else 0.0
        if told_to_exit:
            return
        if self._ahead is not None:
            self._ahead.join()
        if kind is not None:
            return  # what is held is the caller's to let go of, and this error the first
        self._let_keep(0)
        if self._ahead is not None:
            unused = self._ahead.result()
            if unused:
                self._plan.give_back(unused)
