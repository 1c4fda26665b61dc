"""Keeps a device busy: while one batch is on it, the last is kept and the next is claimed.

In: how to claim, begin, size and keep a batch. Out: batches to work on, one after another, for the
length of a shift. The caller's thread does the work on the device and nothing else; keeping
and claiming ahead have threads of their own, which the device's work leaves free to run. Between
two batches the caller's thread waits for none of them: on a machine whose cores are all taken each
such wait costs milliseconds, because both sides have to be given a core in turn.

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
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

B = TypeVar("B")
R = TypeVar("R")
T = TypeVar("T")

SHIFT_S, SHIFT_BATCHES = 10.0, 2048
"""How long a task begins batches, and how many. Between two tasks the device idles for 10 to 50 ms
(all is stored, Celery hands over, memory goes back to the driver, a first batch is claimed), so a
task is many batches. A worker that is told to stop begins no other batch, however long a task."""

LEAD_S, LEAD_SHARE, LEAD_CLAIMS, LEAD_MOST_S = 0.01, 0.15, 2.0, 0.5
"""How long before the device's expected end the next batch is claimed: so many seconds, by how much
expectations err, and so many times what the slower of the last claims took; the latter bounded,
lest an outage of Redis have the next batches claimed too early."""

EMPTY_S = 0.005
"""What was found to be all that waited is not asked after for so long: what comes meanwhile rings,
and a claim that finds nothing competes with the keeping of what was rendered."""

PATIENCE_S, PATIENCE_SHARE = 1.0, 1.0
"""How far beyond its expectation a batch may run before what was claimed ahead is given back."""

KEPT_MOST = 2
"""Batches being kept at a time, the one just worked off among them: a store that takes as long as
the device does, or stumbles once, then idles no device. Each is a batch's audio in memory."""

SHIFT_CREW = KEPT_MOST + 2
"""Threads of a shift: one claims ahead while another may still be giving back."""

STOP_GRACE_S = 0.5
"""How long a process told to end waits for a batch that is being kept; it takes milliseconds."""


class Step(Generic[T]):
    """A call that another thread makes, whose result or exception is asked for later."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._over = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make the call."""
        try:
            self._result = self._call()
        except BaseException as error:  # raised again where it is asked for
            self._error = error
        finally:
            self._over.set()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._over.wait(timeout_s)

    def result(self) -> T:
        """Wait for its end; return what the call returned, or raise what it raised."""
        self._over.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Crew:
    """A few threads that make calls for others, kept from one call to the next.

    They are daemons: a process told to end must not wait for a store that is away.

    Args:
        size: calls made at a time.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._steps: SimpleQueue[Step[object] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = False

    def do(self, call: Callable[[], T]) -> Step[T]:
        """Have a call made as soon as one of the threads is free; does not wait for it to begin."""
        step = Step(call)
        if not self._started:
            self._start()
        self._steps.put(step)  # type: ignore[arg-type]
        return step

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Make the calls; return their results in order or raise the first error."""
        if len(calls) == 1:
            return [calls[0]()]
        return [step.result() for step in [self.do(call) for call in calls]]

    def close(self) -> None:
        """End the threads, each after the call it is making; what waits is made before."""
        for _ in range(self._size if self._started else 0):
            self._steps.put(None)

    def _start(self) -> None:
        with self._lock:
            if not self._started:
                for _ in range(self._size):
                    threading.Thread(target=self._work, daemon=True).start()
                self._started = True

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            step.make()
            del step  # a kept batch is tens of megabytes


class Pace:
    """How long this process's device takes, learnt batch by batch."""

    def __init__(self) -> None:
        self._s_per_unit: float | None = None
        self._claim_s = 0.0

    def expected_s(self, size: float) -> float | None:
        """Return how long a batch of a size will take; None before the first was seen."""
        return None if self._s_per_unit is None else self._s_per_unit * size

    def learn(self, size: float, took_s: float) -> None:
        """Remember how long a batch took; the last few count most."""
        fresh = took_s / max(size, 1e-9)
        known = self._s_per_unit
        self._s_per_unit = fresh if known is None else 0.7 * known + 0.3 * fresh

    def lead_s(self, expected_s: float) -> float:
        """Return how long before the expected end of a batch the next is to be claimed."""
        claim_s = min(LEAD_CLAIMS * self._claim_s, LEAD_MOST_S)
        return LEAD_S + LEAD_SHARE * expected_s + claim_s

    def learn_claim(self, took_s: float) -> None:
        """Remember how long a claim took: a slow one for some twenty more."""
        self._claim_s = max(took_s, 0.9 * self._claim_s)


@dataclass(frozen=True)
class Plan(Generic[B, R]):
    """What a shift's batches are and how they are handled; a batch that is false is no work.

    Attributes:
        claim: return the next batch; nothing counts against it before it is begun.
        begin: say that the work on a claimed batch begins; called right before. False if nothing of
            it is left to be done. It should not wait for an answer.
        give_back: undo a claim that was not begun.
        size: of a batch, in units that its time on the device grows with.
        more: whether others waited when a batch was claimed; who comes later rings.
        alone: whether nothing else may be under way while this batch is worked on and kept.
        keep: put away what came of a batch. Called in a thread of its own, `KEPT_MOST` at a time.
        stopping: whether the process was told to stop, so that nothing new is begun.
    """

    claim: Callable[[], B]
    begin: Callable[[B], bool]
    give_back: Callable[[B], None]
    size: Callable[[B], float]
    more: Callable[[B], bool]
    alone: Callable[[B], bool]
    keep: Callable[[R], None]
    stopping: Callable[[], bool]


class Ahead(Generic[B]):
    """One batch claimed while another is worked on: by one thread, taken by the device's."""

    def __init__(self, plan: Plan[B, R], pace: Pace, expected_s: float) -> None:
        self._plan = plan
        self._pace = pace
        self._expected_s = expected_s
        self._changed = threading.Condition()
        self._wanted = False
        self._settled = False
        self._over = False
        self._batch: B | None = None
        self._error: BaseException | None = None
        self.settled_at = 0.0

    def claim(self) -> None:
        """Claim shortly before the device is expected to be free, or when it is."""
        lead_s = self._pace.lead_s(self._expected_s)
        wait_s = max(0.0, self._expected_s - lead_s)
        due_at = time.monotonic() + wait_s
        if wait_s:
            self._wait_until_wanted(wait_s)
        try:
            batch = None if self._over or self._plan.stopping() else self._plan.claim()
        except BaseException as error:  # raised again where the batch is taken
            self._settle(error=error)
            return
        self._settle(batch)
        # From when it should have woken: on a machine without a core to spare that is most of it.
        self._pace.learn_claim(time.monotonic() - due_at)
        if batch:
            patience_s = PATIENCE_S + PATIENCE_SHARE * self._expected_s
            self._wait_until_wanted(lead_s + patience_s)
            with self._changed:
                if self._wanted:
                    return  # whoever wants it has it
                self._batch = None
            self._plan.give_back(batch)

    @property
    def settled(self) -> bool:
        """Whether `take` would return at once."""
        return self._settled

    def take(self, *, over: bool = False) -> B | None:
        """Return the batch, waiting for the claim; None if there is none or it was given back.

        Args:
            over: the shift is; what is not claimed yet need not be.
        """
        with self._changed:
            self._wanted, self._over = True, over
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._settled)
            if self._error is not None:
                raise self._error
            batch, self._batch = self._batch, None
            return batch

    def abandon(self) -> None:
        """Claim nothing more, and wait for nobody; what is claimed stays with this process."""
        with self._changed:
            self._wanted = self._over = True
            self._changed.notify_all()

    def _settle(self, batch: B | None = None, error: BaseException | None = None) -> None:
        with self._changed:
            self._batch, self._error, self._settled = batch, error, True
            self.settled_at = time.monotonic()
            self._changed.notify_all()

    def _wait_until_wanted(self, within_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted, within_s)


class Shift(Generic[B, R]):
    """Batches worked off one after another until none waits or the shift is over.

        with Shift(plan, pace, crew, most=…, within_s=…) as shift:
            for batch in shift:
                shift.keep(work(batch))

    The block's end waits until all is kept, and raises what keeping raised; so does the next
    batch. A process told to exit (`SystemExit`) waits `STOP_GRACE_S` only.

    Args:
        crew: of `SHIFT_CREW` threads, to keep and to claim ahead.
        most: batches.
        within_s: seconds after which no batch is begun but one claimed ahead.

    Attributes:
        batches: begun so far.
        wall_s: seconds from the start of the first batch's claim to the end of the block.
    """

    def __init__(
        self, plan: Plan[B, R], pace: Pace, crew: Crew, *, most: int, within_s: float
    ) -> None:
        self._plan = plan
        self._pace = pace
        self._crew = crew
        self._most = most
        self._began_at = time.monotonic()
        self._ends_at = self._began_at + within_s
        self._ahead: Ahead[B] | None = None
        self._claiming: Step[None] | None = None
        self._rendered: deque[R] = deque()
        self._keeping: deque[Step[None]] = deque()
        self._size = 0.0
        self._work_at = 0.0
        self._emptied_at: float | None = None
        self.batches = 0
        self.wall_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[B]:
        while self._may_go_on():
            self._let_keep(KEPT_MOST - 1)
            batch = self._next_claim()
            if not batch:
                return
            alone = self._plan.alone(batch)
            if alone:
                self._let_keep(0)
            if self._plan.begin(batch):
                self._work_begins(batch)
                yield batch
            if alone:
                self._let_keep(0)

    def keep(self, result: R) -> None:
        """Say that the device is free again, and have put away what came of the batch.

        That begins with the device's next batch, if that is at hand: whoever is woken before
        would compete with it for a core.
        """
        took_s = time.monotonic() - self._work_at
        self._pace.learn(self._size, took_s)
        self._rendered.append(result)

    def settle(self, within_s: float) -> None:
        """Wait so long at most for what is being kept: for a process that ends right after."""
        give_up_at = time.monotonic() + within_s
        self._hand_over()
        for step in self._keeping:
            step.join(max(0.0, give_up_at - time.monotonic()))

    def _hand_over(self) -> None:
        while self._rendered:
            result = self._rendered.popleft()
            self._keeping.append(self._crew.do(lambda kept=result: self._plan.keep(kept)))  # type: ignore[misc]

    def _done_here(self) -> Step[None]:
        result = self._rendered.popleft()
        step = Step(lambda: self._plan.keep(result))
        step.make()
        return step

    def _may_go_on(self) -> bool:
        if self._plan.stopping() or self.batches >= self._most:
            return False
        return self._ahead is not None or time.monotonic() < self._ends_at

    def _let_keep(self, most: int) -> None:
        """Wait until at most so many batches are being kept; raise what keeping one raised."""
        if not most:
            self._hand_over()
        while len(self._keeping) > most:
            self._keeping.popleft().result()

    def _next_claim(self) -> B | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if not ahead.settled:
                self._hand_over()
            batch = ahead.take()
            self._note_emptiness(batch, ahead.settled_at)
            if batch:
                return batch
        now = time.monotonic()
        if self._emptied_at is not None and now - self._emptied_at < EMPTY_S:
            return None
        self._hand_over()
        batch = self._plan.claim()
        self._note_emptiness(batch, now)
        return batch

    def _note_emptiness(self, batch: B | None, at: float) -> None:
        self._emptied_at = None if batch and self._plan.more(batch) else at

    def _work_begins(self, batch: B) -> None:
        self.batches += 1
        self._size = self._plan.size(batch)
        expected_s = self._pace.expected_s(self._size)
        self._work_at = now = time.monotonic()
        if expected_s is not None and self._should_claim_ahead(now, expected_s):
            self._ahead = Ahead(self._plan, self._pace, expected_s)
            self._claiming = self._crew.do(self._ahead.claim)
        self._hand_over()

    def _should_claim_ahead(self, now: float, expected_s: float) -> bool:
        if self.batches >= self._most or now + expected_s >= self._ends_at:
            return False
        # To claim at once what was not there a moment ago is of no use.
        return self._emptied_at is None or expected_s > self._pace.lead_s(expected_s)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ahead is not None:
            self._ahead.abandon()
        told_to_exit = kind is not None and not issubclass(kind, Exception)
        if kind is None and len(self._rendered) == 1 and not self._keeping:
            # This thread has nothing else to do: to wake another for it costs more than it saves.
            self._keeping.append(self._done_here())
        self._hand_over()
        for step in self._keeping:
            step.join(STOP_GRACE_S if told_to_exit else None)
        self.wall_s = time.monotonic() - self._began_at if self.batches else 0.0
        if told_to_exit:
            return
        if self._claiming is not None:
            self._claiming.join()
        if kind is not None:
            return  # what is held is the caller's to let go of, and this error the first
        self._let_keep(0)
        if self._ahead is not None:
            unused = self._ahead.take(over=True)
            if unused:
                self._plan.give_back(unused)
        if self._claiming is not None:
            self._claiming.result()
