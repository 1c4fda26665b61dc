"""Headers of a submission, and how long a client is told to wait."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from gateway.errors import InvalidHeader
from gateway.pace import Pace
from gateway.preferences import idempotency_key, preferred_wait_s
from shared.ledger.intake import Throughput


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([], None),
        ([("prefer", "wait=5")], 5),
        ([("prefer", "WAIT = 5")], 5),
        ([("prefer", "wait=600")], 60),
        ([("prefer", 'respond-async, wait="7"; foo=1')], 7),
        ([("prefer", "respond-async"), ("prefer", "wait=3")], 3),
        ([("prefer", "wait=-1")], None),
        ([("prefer", "wait=soon")], None),
        ([("prefer", "await=5")], None),
        ([("prefer", "wait=5.5")], None),
    ],
)
def test_a_preference_is_read_or_ignored(
    headers: list[tuple[str, str]], wait_s: int | None
) -> None:
    assert preferred_wait_s(request(*headers)) == wait_s


def test_an_idempotency_key_is_printable_and_short() -> None:
    assert idempotency_key(request()) is None
    assert idempotency_key(request(("idempotency-key", "k" * 255))) == "k" * 255
    for bad in ("", "k" * 256, "é", "a\tb"):
        with pytest.raises(InvalidHeader):
            idempotency_key(request(("idempotency-key", bad)))


class Measured:
    """A ledger that has measured one speed and holds one queue."""

    def __init__(self, chars_per_s: float, queued: int) -> None:
        self.chars_per_s = chars_per_s
        self.queued = queued
        self.asked = 0

    async def throughput(self) -> Throughput:
        self.asked += 1
        return Throughput(self.chars_per_s, 0)

    async def queued_chars(self) -> int:
        return self.queued


@pytest.mark.parametrize(
    ("chars_per_s", "queued", "expected"),
    [(0, 10**6, 1), (100, 0, 1), (100, 950, 10), (100, 10**9, 60)],
)
def test_the_wait_is_the_queue_over_the_speed_within_bounds(
    chars_per_s: float, queued: int, expected: int
) -> None:
    ledger: Any = Measured(chars_per_s, queued)
    assert asyncio.run(Pace(ledger).retry_after_s()) == expected


def test_a_burst_asks_the_ledger_once_a_second() -> None:
    ledger: Any = Measured(1, 5)
    now = [0.0]
    pace = Pace(ledger, clock=lambda: now[0])

    async def burst() -> None:
        for _ in range(100):
            await pace.retry_after_s()
        now[0] = 1.5
        await pace.retry_after_s()

    asyncio.run(burst())
    assert ledger.asked == 2


def test_whoever_comes_while_the_ledger_is_asked_goes_by_what_was_known() -> None:
    ledger: Any = Measured(100, 950)
    now = [0.0]
    pace = Pace(ledger, clock=lambda: now[0])
    answering = asyncio.Event()

    async def slow() -> Throughput:
        ledger.asked += 1
        await answering.wait()
        return Throughput(50, 0)

    async def go() -> None:
        assert await pace.retry_after_s() == 10
        now[0], ledger.throughput = 1.5, slow
        asking = asyncio.create_task(pace.retry_after_s())
        await asyncio.sleep(0)
        assert [await pace.retry_after_s() for _ in range(5)] == [10] * 5
        answering.set()
        assert await asking == await pace.retry_after_s() == 19

    asyncio.run(go())
    assert ledger.asked == 2
