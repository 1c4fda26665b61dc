"""How long things will take, from what the cluster is measured to do."""

import math
import time
from collections.abc import Callable

from shared.ledger.intake import Intake
from shared.ledger.outlook import Outlook, Places, eta_s
from shared.ledger.records import JobRecord, NewJob
from shared.ledger.states import TERMINAL, Lane

FRESH_S = 1.0
"""An estimate is used for this long, so that a burst of submissions asks the ledger once."""

MIN_S, MAX_S = 1, 60

OUTLOOKS_KEPT = 1000
"""Of owners and lanes, of which one is asked for no more than once in `FRESH_S`."""


class Pace:
    """Estimates when the queue will have been worked off.

    Args:
        intake: says how much waits and how fast it goes.
        clock: seconds, monotonic.
    """

    def __init__(self, intake: Intake, clock: Callable[[], float] = time.monotonic) -> None:
        self._intake = intake
        self._clock = clock
        self._known: tuple[float, int] | None = None
        self._outlooks: dict[tuple[str, Lane], tuple[float, Outlook]] = {}

    async def retry_after_s(self) -> int:
        """Return whole seconds in [1, 60]; 1 when nothing was measured over the last minute.

        Raises:
            RedisError: Redis is away.
        """
        now = self._clock()
        if self._known is None or now - self._known[0] >= FRESH_S:
            if self._known is not None:
                # Whoever comes while this one asks answers by what was known.
                self._known = (now, self._known[1])
            self._known = (now, await self._measure())
        return self._known[1]

    async def eta_s(self, job: JobRecord, places: Places) -> float | None:
        """Return seconds until a job will have ended; None if it has, or it can't be known.

        Raises:
            RedisError: Redis is away.
        """
        if job.status in TERMINAL:
            return None
        asked_at, outlook = await self._outlook(job.owner, job.lane)
        return eta_s(job, places, outlook, outlook.now + self._clock() - asked_at)

    async def wait_s(self, job: NewJob, phonemes: float) -> float | None:
        """Return seconds until a job would have ended if it were accepted now; None if unknown.

        Args:
            job: as it would be accepted.
            phonemes: that its text comes to.

        Raises:
            RedisError: Redis is away.
        """
        _, outlook = await self._outlook(job.owner, job.lane)
        record = JobRecord.before(job, outlook.now)
        places = Places(plan=outlook.to_plan)
        return eta_s(record, places, outlook, outlook.now, own=phonemes)

    async def _outlook(self, owner: str, lane: Lane) -> tuple[float, Outlook]:
        """Return an outlook, and when it was asked for by this process's clock."""
        known = self._outlooks.pop((owner, lane), None)
        now = self._clock()
        if known is None or now - known[0] >= FRESH_S:
            known = (now, await self._intake.outlook(owner, lane))
        self._outlooks[owner, lane] = known
        while len(self._outlooks) > OUTLOOKS_KEPT:
            self._outlooks.pop(next(iter(self._outlooks)))
        return known

    async def _measure(self) -> int:
        throughput = await self._intake.throughput()
        if throughput.chars_per_s <= 0:
            return MIN_S
        wait_s = await self._intake.queued_chars() / throughput.chars_per_s
        return min(MAX_S, max(MIN_S, math.ceil(wait_s)))
