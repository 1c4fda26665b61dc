"""The watch over what accepting a job hangs on."""

import asyncio
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.health import REDIS_PATIENCE_S, Watch
from shared.errors import StorageUnavailable


class Parts:
    """A Redis and a store that can be taken away."""

    def __init__(self) -> None:
        self.redis = True
        self.store = True
        self.known = True

    async def engine(self) -> object:
        if not self.redis:
            raise RedisConnectionError("away")
        return object() if self.known else None

    async def ping_async(self) -> None:
        if not self.store:
            raise StorageUnavailable()


def watching(parts: Any, now: list[float]) -> Watch:
    return Watch(parts, parts, clock=lambda: now[0])


def test_nothing_is_fine_before_it_was_seen() -> None:
    checks = watching(Parts(), [0.0]).checks()
    assert all(state != "ok" for state in checks.values())


def test_a_short_pause_of_redis_flips_nothing_and_a_long_one_does() -> None:
    parts, now = Parts(), [0.0]
    watch = watching(parts, now)

    async def look() -> None:
        assert await watch.look_at_ledger()
        assert await watch.look_at_store()
        parts.redis = False
        now[0] = REDIS_PATIENCE_S - 1
        assert not await watch.look_at_ledger()
        assert set(watch.checks().values()) == {"ok"}
        now[0] = REDIS_PATIENCE_S + 1
        assert watch.checks()["redis"] == "has not answered for 61 s"
        parts.redis = True
        assert await watch.look_at_ledger()
        assert watch.checks()["redis"] == "ok"

    asyncio.run(look())


def test_a_store_that_refuses_writes_is_named() -> None:
    parts = Parts()
    parts.store = False
    watch = watching(parts, [0.0])

    async def look() -> None:
        assert await watch.look_at_ledger()
        assert not await watch.look_at_store()

    asyncio.run(look())
    checks = watch.checks()
    assert (checks["redis"], checks["engine"]) == ("ok", "ok")
    assert checks["storage"] != "ok"


def test_a_ledger_that_lost_its_data_is_told_of_from_then_on() -> None:
    parts, now = Parts(), [0.0]
    parts.known = False
    watch = watching(parts, now)

    async def look() -> None:
        await watch.look_at_ledger()
        assert watch.warnings() == []  # no worker was ever there
        parts.known = True
        await watch.look_at_ledger()
        parts.redis = False
        await watch.look_at_ledger()
        assert watch.warnings() == []
        parts.redis, parts.known = True, False
        await watch.look_at_ledger()
        parts.known = True
        await watch.look_at_ledger()
        (warning,) = watch.warnings()
        assert "lost its data at 2" in warning

    asyncio.run(look())
