"""How long a client should wait before it asks again, from what the cluster is measured to do."""

import math
import time
from collections.abc import Callable

from shared.ledger.intake import Intake

FRESH_S = 1.0
"""An estimate is used for this long, so that a burst of submissions asks the ledger once."""

MIN_S, MAX_S = 1, 60


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

    async def _measure(self) -> int:
        throughput = await self._intake.throughput()
        if throughput.chars_per_s <= 0:
            return MIN_S
        wait_s = await self._intake.queued_chars() / throughput.chars_per_s
        return min(MAX_S, max(MIN_S, math.ceil(wait_s)))
