"""What each key's jobs came to, by day: written once a job, in the script that ends it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast

import redis.asyncio

DAYS_KEPT = 400
"""Days for which a day's usage is kept after its last job; `_lib.lua` knows the same."""

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class DayUsage:
    """What an owner's jobs that ended on one day came to.

    Attributes:
        day: by Redis's clock, UTC.
        jobs: that ended, by status.
        chars: of the inputs of those that succeeded.
        audio_s: seconds of speech in those.
    """

    day: date
    jobs: dict[str, int]
    chars: int
    audio_s: float


class Usage:
    """Async view of what was used. Raises redis-py's `RedisError` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def today(self) -> date:
        """Return the day it is by Redis's clock, UTC."""
        seconds, _ = await self._client.time()
        return datetime.fromtimestamp(int(seconds), UTC).date()

    async def most(self, owners: int) -> Sequence[tuple[str, int, float]]:
        """Return the owners that used most since the ledger began: (owner, characters, audio s)."""
        if not owners:
            return []
        rows = cast(
            "list[tuple[str, float]]",
            await self._client.zrange("kc:used_chars", 0, owners - 1, desc=True, withscores=True),
        )
        if not rows:
            return []
        names = [owner for owner, _ in rows]
        audio_s = await cast(
            "Awaitable[list[str | None]]", self._client.hmget("kc:used_audio_s", names)
        )
        return [
            (owner, int(chars), float(seconds or 0))
            for owner, (_, chars), seconds in zip(names, rows, audio_s, strict=True)
        ]

    async def by_day(self, owner: str, first: date, last: date) -> Sequence[DayUsage]:
        """Return each day on which a job of the owner's ended, the oldest first.

        Args:
            owner: whose jobs.
            first: included.
            last: included.
        """
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        pipe = self._client.pipeline(transaction=False)
        for day in days:
            pipe.hgetall(f"kc:usage:{owner}:{(day - EPOCH).days}")
        rows = await pipe.execute()
        return [_read(day, row) for day, row in zip(days, rows, strict=True) if row]


def _read(day: date, row: dict[str, str]) -> DayUsage:
    jobs = {
        name.removeprefix("jobs."): int(number)
        for name, number in row.items()
        if name.startswith("jobs.")
    }
    return DayUsage(day, jobs, int(row.get("chars", 0)), float(row.get("audio_s", 0)))
