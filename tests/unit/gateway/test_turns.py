import asyncio
from collections.abc import Coroutine

import pytest

from gateway.turns import Turns


async def hold(turns: Turns, owner: str, order: list[str], done: asyncio.Event) -> None:
    async with turns.place(owner, wait_s=5):
        order.append(owner)
        await done.wait()


async def begun(*works: Coroutine[None, None, None]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.ensure_future(work) for work in works]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def test_who_brings_many_lets_another_in_at_the_next_place() -> None:
    async def run() -> list[str]:
        turns, order = Turns(2), list[str]()
        ends = [asyncio.Event() for _ in range(7)]
        tasks = await begun(*(hold(turns, "many", order, end) for end in ends[:5]))
        tasks += await begun(hold(turns, "one", order, ends[5]), hold(turns, "two", order, ends[6]))
        assert order == ["many", "many"]
        ends[0].set()
        await begun()
        assert order == ["many", "many", "one"]
        ends[1].set()
        await begun()
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == ["many", "many", "one", "two", "many", "many", "many"]


def test_one_owner_alone_has_all_places_in_the_order_it_came() -> None:
    async def run() -> None:
        turns, order = Turns(2), list[str]()
        done = asyncio.Event()
        done.set()
        await asyncio.gather(*(hold(turns, "a", order, done) for _ in range(9)))
        assert order == ["a"] * 9

    asyncio.run(run())


def test_who_gives_up_or_fails_takes_no_place_with_it() -> None:
    async def run() -> None:
        turns, order, done = Turns(1), list[str](), asyncio.Event()
        tasks = await begun(hold(turns, "a", order, done))
        with pytest.raises(TimeoutError):
            async with turns.place("b", wait_s=0.01):
                raise AssertionError("there was none")
        (left,) = await begun(hold(turns, "c", order, done))
        left.cancel()
        # Its turn comes, and it leaves, in the same moment.
        (late,) = await begun(hold(turns, "d", order, done))
        done.set()
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.gather(*tasks, left, late, return_exceptions=True)
        with pytest.raises(RuntimeError, match="its own"):
            async with turns.place("e", wait_s=1):
                raise RuntimeError("its own")
        async with turns.place("f", wait_s=1):
            assert order[0] == "a"
        assert not turns._held
        assert not turns._served, "nothing is kept of those who have gone"

    asyncio.run(run())
