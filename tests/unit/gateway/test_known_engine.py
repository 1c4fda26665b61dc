"""What jobs are accepted for is asked seldom, and never remembered as missing."""

import asyncio

from gateway.known_engine import FRESH_S, KnownEngine
from shared.ledger.intake import Intake
from shared.manifest import EngineManifest, EngineName


class Ledger(Intake):
    """Answers with what the test sets, and counts."""

    def __init__(self) -> None:
        self.found: EngineManifest | None = None
        self.asked = 0

    async def engine(self) -> EngineManifest | None:
        self.asked += 1
        return self.found


def manifest(name: str) -> EngineManifest:
    return EngineManifest(EngineName.SCRIPTED, name, "f" * 64, True, "exact", {})


def test_an_engine_is_asked_for_once_a_second_and_its_absence_each_time() -> None:
    now = [100.0]
    ledger = Ledger()
    known = KnownEngine(ledger, clock=lambda: now[0])

    async def go() -> None:
        assert await known.get() is None
        assert await known.get() is None
        ledger.found = manifest("one")
        assert await known.get() == manifest("one")
        ledger.found = manifest("two")
        assert await known.get() == manifest("one")
        assert ledger.asked == 3
        now[0] += FRESH_S
        assert await known.get() == manifest("two")

    asyncio.run(go())


def test_whoever_comes_while_the_ledger_is_asked_goes_by_what_was_known() -> None:
    now = [100.0]
    ledger = Ledger()
    ledger.found = manifest("one")
    known = KnownEngine(ledger, clock=lambda: now[0])

    async def go() -> None:
        await known.get()
        now[0] += FRESH_S
        ledger.found = manifest("two")
        assert await asyncio.gather(*(known.get() for _ in range(3))) == [manifest("two")] * 3
        assert ledger.asked == 2

    asyncio.run(go())
