"""One batch on the device, one being kept, one claimed ahead: and what may go wrong with each."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from worker import pipeline
from worker.pipeline import SHIFT_CREW, Crew, Pace, Plan, Shift

WAIT_S = 20.0


class Line:
    """A plan over a list of batches that remembers what was done with them."""

    def __init__(self, batches: Sequence[list[int]]) -> None:
        self.waiting = [list(batch) for batch in batches]
        self.events: list[tuple[str, int]] = []
        self.lock = threading.Lock()
        self.kept: list[int] = []
        self.returned: list[int] = []
        self.unbegun = 0
        self.unbegun_most = 0
        self.claimed = threading.Semaphore(0)
        self.stop = False
        self.on_keep: Callable[[int], None] = lambda _: None
        self.on_claim: Callable[[], None] = lambda: None

    def note(self, what: str, number: int) -> None:
        with self.lock:
            self.events.append((what, number))

    def claim(self) -> list[int]:
        self.on_claim()
        with self.lock:
            batch = self.waiting.pop(0) if self.waiting else []
            self.unbegun += bool(batch)
            self.unbegun_most = max(self.unbegun_most, self.unbegun)
        if batch:
            self.note("claim", batch[0])
        self.claimed.release()
        return batch

    def begin(self, batch: list[int]) -> bool:
        with self.lock:
            self.unbegun -= 1
        self.note("begin", batch[0])
        return True

    def give_back(self, batch: list[int]) -> None:
        with self.lock:
            self.unbegun -= 1
            self.returned.extend(batch)

    def keep(self, number: int) -> None:
        self.on_keep(number)
        with self.lock:
            self.kept.append(number)
        self.note("kept", number)

    def shift(
        self, *, pace: Pace | None = None, alone: set[int] | None = None, **limits: Any
    ) -> Any:
        plan: Plan[list[int], int] = Plan(
            claim=self.claim,
            begin=self.begin,
            give_back=self.give_back,
            size=len,
            more=lambda batch: bool(self.waiting),
            alone=lambda batch: batch[0] in (alone or set()),
            keep=self.keep,
            stopping=lambda: self.stop,
        )
        return Shift(plan, pace or Pace(), crew(), **{"most": 100, "within_s": 60.0, **limits})


CREWS: list[Crew] = []


@pytest.fixture(autouse=True)
def _end_threads() -> Iterator[None]:
    yield
    while CREWS:
        CREWS.pop().close()


def crew(size: int = SHIFT_CREW) -> Crew:
    """Return threads of a shift's own: one that hangs on purpose must not stop other tests."""
    made = Crew(size)
    CREWS.append(made)
    return made


def paced(s_per_unit: float) -> Pace:
    pace = Pace()
    pace.learn(1, s_per_unit)
    return pace


def test_every_batch_is_worked_on_and_kept_once_before_the_block_ends() -> None:
    line = Line([[n] for n in range(20)])
    worked = []
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            worked.append(batch[0])
            shift.keep(batch[0])
    assert worked == list(range(20))
    assert sorted(line.kept) == worked
    assert shift.batches == 20
    assert shift.wall_s > 0


def test_one_is_kept_and_the_next_is_claimed_while_one_is_worked_on() -> None:
    line = Line([[0], [1], [2]])
    kept_first = threading.Event()
    line.on_keep = lambda number: kept_first.set() if number == 0 else None
    with line.shift(pace=paced(0.02)) as shift:
        for batch in shift:
            if batch == [1]:
                assert kept_first.wait(WAIT_S), "keeping waits for the device"
                deadline = time.monotonic() + WAIT_S
                while ("claim", 2) not in line.events:
                    assert time.monotonic() < deadline, "the next is not claimed meanwhile"
            shift.keep(batch[0])


def test_at_most_one_batch_is_claimed_and_not_begun() -> None:
    line = Line([[n] for n in range(50)])
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            shift.keep(batch[0])
    assert line.unbegun_most == 1
    assert line.unbegun == 0


def test_the_next_is_claimed_only_shortly_before_the_device_is_expected_to_be_free() -> None:
    line = Line([[0], [1]])
    claims = []
    line.on_claim = lambda: claims.append(time.monotonic())
    with line.shift(pace=paced(0.5)) as shift:
        for batch in shift:
            if batch == [0]:
                began = time.monotonic()
                line.claimed.acquire(timeout=WAIT_S)
                assert line.claimed.acquire(timeout=WAIT_S)
                assert claims[1] - began >= 0.5 - Pace().lead_s(0.5) - 0.01
            shift.keep(batch[0])


def test_a_device_that_is_free_early_waits_for_no_expectation() -> None:
    line = Line([[0], [1]])
    began = time.monotonic()
    with line.shift(pace=paced(30)) as shift:
        for batch in shift:
            shift.keep(batch[0])
    assert line.kept == [0, 1]
    assert time.monotonic() - began < 10


def test_without_an_expectation_nothing_is_claimed_ahead() -> None:
    line = Line([[0], [1]])
    with line.shift() as shift:
        for batch in shift:
            assert line.unbegun == 0
            shift.keep(batch[0])
    assert line.kept == [0, 1]


def test_what_was_claimed_ahead_is_given_back_when_the_batch_overruns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.01)
    line = Line([[0], [1]])
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            deadline = time.monotonic() + WAIT_S
            while not line.returned:
                assert time.monotonic() < deadline, "it keeps what another could render"
            shift.keep(batch[0])
    assert line.returned == [1]
    assert line.kept == [0]


def test_an_error_of_keeping_is_raised_and_what_else_was_rendered_is_kept() -> None:
    line = Line([[n] for n in range(50)])

    def fail(number: int) -> None:
        if number == 3:
            raise ConnectionError("the store is gone")

    line.on_keep = fail
    worked = []

    def work() -> None:
        with line.shift(pace=paced(0.001)) as shift:
            for batch in shift:
                worked.append(batch[0])
                shift.keep(batch[0])

    with pytest.raises(ConnectionError):
        work()
    assert len(worked) < 8, "it goes on though its work is lost"
    assert sorted([*line.kept, 3]) == worked


def test_an_error_of_keeping_the_last_batch_is_raised_too() -> None:
    line = Line([[0]])

    def fail(_: int) -> None:
        raise ConnectionError("the store is gone")

    line.on_keep = fail
    with pytest.raises(ConnectionError), line.shift() as shift:
        for batch in shift:
            shift.keep(batch[0])


def test_an_error_of_claiming_ahead_is_raised_once_the_batch_at_hand_is_kept() -> None:
    line = Line([[0], [1]])

    def fail() -> None:
        if line.events:
            raise ConnectionError("Redis is gone")

    line.on_claim = fail
    with pytest.raises(ConnectionError), line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            shift.keep(batch[0])
    assert line.kept == [0]


def test_what_must_be_alone_has_no_company_in_work_or_in_keeping() -> None:
    line = Line([[n] for n in range(6)])
    line.on_keep = lambda _: time.sleep(0.02)
    with line.shift(pace=paced(0.001), alone={2, 3}) as shift:
        for batch in shift:
            shift.keep(batch[0])
    at = {event: place for place, event in enumerate(line.events)}
    assert at["kept", 1] < at["begin", 2] < at["kept", 2] < at["begin", 3] < at["kept", 3]
    assert at["kept", 3] < at["begin", 4]


def test_a_process_told_to_stop_begins_nothing_and_gives_back_what_it_claimed_ahead() -> None:
    line = Line([[0], [1], [2]])
    with line.shift(pace=paced(0.02)) as shift:
        for batch in shift:
            assert line.claimed.acquire(timeout=WAIT_S)
            assert line.claimed.acquire(timeout=WAIT_S)
            line.stop = True
            shift.keep(batch[0])
    assert line.kept == [0]
    assert line.returned == [1]
    assert line.waiting == [[2]]


def test_a_process_told_to_exit_does_not_wait_for_a_store_that_is_away() -> None:
    line = Line([[0], [1]])
    away = threading.Event()

    def wait_for_the_store(_: int) -> None:
        away.wait(WAIT_S)

    line.on_keep = wait_for_the_store
    began = time.monotonic()

    def work() -> None:
        with line.shift() as shift:
            for batch in shift:
                if batch == [1]:
                    raise SystemExit
                shift.keep(batch[0])

    with pytest.raises(SystemExit):
        work()
    assert time.monotonic() - began < WAIT_S / 2
    away.set()


@pytest.mark.parametrize("store_s", [0.3, WAIT_S])
def test_a_process_about_to_end_waits_shortly_for_what_was_rendered_before(store_s: float) -> None:
    line = Line([[0], [1], [2]])
    away = threading.Event()
    line.on_keep = lambda _: (away.wait(store_s), None)[1]
    with line.shift() as shift:
        for batch in shift:
            if batch == [2]:
                began = time.monotonic()
                shift.settle(1.0)
                took_s = time.monotonic() - began
                assert sorted(line.kept) == ([0, 1] if store_s < 1 else [])
                away.set()
            shift.keep(batch[0])
    assert took_s < 1.5, "for all of them together"


def test_a_shift_ends_after_its_time_or_its_batches() -> None:
    line = Line([[n] for n in range(100)])
    with line.shift(most=7, pace=paced(0.001)) as shift:
        for batch in shift:
            shift.keep(batch[0])
    assert shift.batches == 7
    assert line.unbegun == 0
    line = Line([[n] for n in range(100)])
    with line.shift(within_s=0.0) as shift:
        for batch in shift:
            shift.keep(batch[0])
    assert shift.batches == 0
    assert len(line.waiting) == 100


def test_a_claim_of_which_nothing_is_left_when_it_begins_is_passed_over() -> None:
    line = Line([[0], [1], [2]])
    begin = line.begin
    line.begin = lambda batch: begin(batch) and batch != [1]  # type: ignore[method-assign]
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            shift.keep(batch[0])
    assert sorted(line.kept) == [0, 2]


def test_calls_made_together_answer_in_order_and_raise_what_they_raise() -> None:
    barrier = threading.Barrier(4, timeout=WAIT_S)

    def meet(number: int) -> int:
        barrier.wait()
        return number

    four = crew(4)
    assert four.together([lambda n=n: meet(n) for n in range(8)]) == list(range(8))  # type: ignore[misc]

    def fail() -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        four.together([fail])


def test_the_last_batches_tell_most_of_how_long_the_next_will_take() -> None:
    pace = Pace()
    assert pace.expected_s(100) is None
    pace.learn(100, 1.0)
    assert pace.expected_s(200) == pytest.approx(2.0)
    for _ in range(20):
        pace.learn(100, 3.0)
    assert pace.expected_s(100) == pytest.approx(3.0, rel=0.01)


def test_between_two_batches_the_devices_thread_waits_for_no_other() -> None:
    line = Line([[n] for n in range(6)])
    slow = threading.Event()

    def stumble(number: int) -> None:
        if number == 1:
            slow.wait(WAIT_S)

    line.on_keep = stumble
    began: dict[int, float] = {}
    ended: dict[int, float] = {}
    with line.shift(pace=paced(0.05)) as shift:
        for batch in shift:
            began[batch[0]] = time.monotonic()
            if batch == [3]:
                slow.set()  # 1 is still being kept while 2 is worked on
            time.sleep(0.05)
            ended[batch[0]] = time.monotonic()
            shift.keep(batch[0])
    assert began[2] - ended[1] < 1, "it waits for the store"
    assert sorted(line.kept) == list(range(6))


def test_a_batch_is_kept_only_once_the_next_has_begun_if_that_is_at_hand() -> None:
    line = Line([[0], [1]])
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            deadline = time.monotonic() + WAIT_S
            while batch == [0] and ("claim", 1) not in line.events:
                assert time.monotonic() < deadline
            time.sleep(0.05)  # claimed, and laid ready
            shift.keep(batch[0])
    at = {event: place for place, event in enumerate(line.events)}
    assert at["begin", 1] < at["kept", 0]


def test_the_only_batch_begins_at_once_and_is_kept_without_another() -> None:
    line = Line([[0]])
    began = time.monotonic()
    with line.shift(pace=paced(30)) as shift:
        for batch in shift:
            assert time.monotonic() - began < 1, "it waits for company"
            shift.keep(batch[0])
    assert line.kept == [0]
    assert time.monotonic() - began < 5


def test_batches_of_one_that_take_long_are_each_claimed_in_time() -> None:
    line = Line([[n] for n in range(4)])
    gaps = []
    free = None
    with line.shift(pace=paced(0.3)) as shift:
        for batch in shift:
            if free is not None:
                gaps.append(time.monotonic() - free)
            time.sleep(0.3)
            free = time.monotonic()
            shift.keep(batch[0])
    assert line.kept == [0, 1, 2, 3]
    assert line.returned == []
    assert max(gaps) < 0.2


def test_slow_claims_are_made_earlier_and_a_very_slow_one_not_much() -> None:
    pace = Pace()
    at_first = pace.lead_s(1.0)
    pace.learn_claim(0.1)
    assert pace.lead_s(1.0) == pytest.approx(at_first + 0.1 * pipeline.LEAD_CLAIMS)
    pace.learn_claim(60)
    assert pace.lead_s(1.0) == at_first + pipeline.LEAD_MOST_S
    for _ in range(200):
        pace.learn_claim(0.001)
    assert pace.lead_s(1.0) < at_first + 0.01


@pytest.mark.parametrize(("work_s", "claims"), [(0.001, 1), (0.05, 2)])
def test_what_was_just_found_to_be_all_is_not_asked_after_at_once(
    work_s: float, claims: int
) -> None:
    line = Line([[1]])
    asked = []
    line.on_claim = lambda: asked.append(time.monotonic())
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            time.sleep(work_s)
            shift.keep(batch[0])
    assert line.kept == [1]
    assert len(asked) == claims


def test_while_more_waits_even_the_shortest_batches_are_claimed_ahead() -> None:
    line = Line([[n] for n in range(4)])
    with line.shift(pace=paced(0.001)) as shift:
        for batch in shift:
            if batch[0] == 0:
                assert line.claimed.acquire(timeout=WAIT_S)
                assert line.claimed.acquire(timeout=WAIT_S), "its own, and the next"
            shift.keep(batch[0])
    assert sorted(line.kept) == [0, 1, 2, 3]
