"""Questions to plan workers: put, taken once, answered, forgotten."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from gateway.endings import Endings
from shared.bell import Stage
from shared.errors import InvalidInput, LanguageUnavailable, PlannersBusy, PlannersSilent
from shared.ledger.asks import OWN_MOST, WAITING_MOST, Answers, Ask, Asks
from tests.integration.ledger.conftest import LedgerDriver


@asynccontextmanager
async def asking(ledger: LedgerDriver) -> AsyncIterator[Asks]:
    client = redis.asyncio.Redis.from_url(ledger.url, decode_responses=True)
    endings = Endings(client)
    try:
        yield Asks(client, endings)
    finally:
        await endings.stop()
        await client.aclose()


def run(ledger: LedgerDriver, question: Callable[[Asks], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with asking(ledger) as asks:
            return await question(asks)

    return asyncio.run(go())


async def take(answers: Answers) -> Ask:
    """Take the next question, waiting until there is one."""
    for _ in range(1000):
        ask = answers.take()
        if ask is not None:
            return ask
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was asked")


def test_an_answer_comes_back_to_who_asked_and_at_once(ledger: LedgerDriver) -> None:
    answers = Answers(ledger.client)

    async def both(asks: Asks) -> float:
        one = asyncio.create_task(asks.ask("phonemize", {"text": "one"}, 10))
        first = await take(answers)
        two = asyncio.create_task(asks.ask("estimate", {"texts": ["two"]}, 10))
        second = await take(answers)
        assert (first.kind, first.body) == ("phonemize", {"text": "one"})
        answers.give(second, {"said": 2})
        answered_at = time.monotonic()
        assert await two == {"said": 2}
        assert time.monotonic() - answered_at < 0.5, "it was heard of, not looked for"
        assert not one.done()
        answers.give(first, {"said": 1})
        assert await one == {"said": 1}
        return 0

    run(ledger, both)
    assert not ledger.client.keys("kc:ask*") and not ledger.client.keys("kc:answer*")
    assert ledger.rung() == {Stage.PLAN}


def test_what_a_planner_refuses_is_raised_as_what_it_is(ledger: LedgerDriver) -> None:
    answers = Answers(ledger.client)

    async def refused(asks: Asks) -> None:
        asked = asyncio.create_task(asks.ask("phonemize", {}, 10))
        problem = LanguageUnavailable("Install it.", param="language")
        answers.refuse(await take(answers), problem)
        with pytest.raises(LanguageUnavailable, match="Install it") as raised:
            await asked
        assert raised.value.param == "language"

    run(ledger, refused)


def test_without_a_planner_it_is_said_in_time_and_nothing_is_left(ledger: LedgerDriver) -> None:
    async def alone(asks: Asks) -> float:
        began = time.monotonic()
        with pytest.raises(PlannersSilent):
            await asks.ask("phonemize", {}, 0.3)
        return time.monotonic() - began

    assert 0.3 <= run(ledger, alone) < 2
    assert not ledger.client.keys("kc:ask:*")
    assert Answers(ledger.client).take() is None
    assert ledger.client.hget("kc:totals", "asks_unanswered") == b"1"


def test_a_question_that_was_taken_is_given_to_nobody_else(ledger: LedgerDriver) -> None:
    answers = Answers(ledger.client)

    async def taken(asks: Asks) -> None:
        asked = asyncio.create_task(asks.ask("phonemize", {}, 0.5))
        await take(answers)  # and ends of it
        assert answers.take() is None
        with pytest.raises(PlannersSilent):
            await asked

    run(ledger, taken)


def test_the_row_is_bounded_and_no_owner_takes_all_of_it(ledger: LedgerDriver) -> None:
    async def crowd(asks: Asks) -> None:
        async def ask(owner: str) -> str:
            try:
                await asks.ask("phonemize", {}, 1, owner=owner)
            except (PlannersBusy, PlannersSilent) as error:
                return error.code
            return "answered"

        greedy = await asyncio.gather(*(ask("greedy") for _ in range(OWN_MOST + 5)))
        assert greedy.count("planners_busy") == 5
        many = await asyncio.gather(*(ask(f"key-{i}") for i in range(WAITING_MOST + 3)))
        # Those of before wait no more, and make room.
        assert many.count("planners_busy") == 3
        with pytest.raises(InvalidInput):
            await asks.ask("phonemize", {"text": "x" * 300_000}, 1)

    run(ledger, crowd)
    assert ledger.client.hget("kc:totals", "asks_refused") == b"8"


class Word:
    """Gives one event to everybody."""

    heard = True

    def __init__(self) -> None:
        self.told = asyncio.Event()

    @asynccontextmanager
    async def of(self, uid: str) -> AsyncIterator[asyncio.Event]:
        yield self.told


async def is_canceled(task: asyncio.Task[Any], turns: int = 0) -> bool:
    """Cancel a task after so many turns of the loop; return whether that ends it."""
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    return bool((await asyncio.gather(task, return_exceptions=True)) and task.cancelled())


def test_a_cancellation_that_comes_with_word_of_the_answer_is_not_lost(
    ledger: LedgerDriver,
) -> None:
    async def canceled() -> bool:
        client = redis.asyncio.Redis.from_url(ledger.url, decode_responses=True)
        word = Word()
        try:
            asking = asyncio.create_task(Asks(client, word).ask("phonemize", {}, 2))
            await take(Answers(ledger.client))
            await asyncio.sleep(0.2)
            word.told.set()
            return await is_canceled(asking)
        finally:
            await client.aclose()

    assert asyncio.run(canceled())


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_that_comes_with_the_subscription_is_not_lost(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    async def canceled() -> bool:
        client = redis.asyncio.Redis.from_url(ledger.url, decode_responses=True)
        endings = Endings(client)

        async def wait() -> None:
            async with endings.of("job_x"):
                await asyncio.sleep(1)

        # The subscription's word comes when the test says so.
        monkeypatch.setattr(endings, "_listen", lambda: asyncio.sleep(10))
        try:
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.05)
            endings._subscribed.set()
            return await is_canceled(waiting, turns)
        finally:
            await endings.stop()
            await client.aclose()

    assert asyncio.run(canceled())
