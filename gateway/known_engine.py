"""The engine that jobs are accepted for, asked of the ledger once a second and not once a job."""

import time
from collections.abc import Callable

from shared.ledger.intake import Intake
from shared.manifest import EngineManifest

FRESH_S = 1.0
"""What was loaded since shows this much later; a job stamped with the engine before is rendered by
the new one all the same."""


class KnownEngine:
    """Remembers what the synth workers speak with.

    Args:
        intake: knows it.
        clock: seconds, monotonic.
    """

    def __init__(self, intake: Intake, clock: Callable[[], float] = time.monotonic) -> None:
        self._intake = intake
        self._clock = clock
        self._known: tuple[float, EngineManifest] | None = None

    async def get(self) -> EngineManifest | None:
        """Return it; None, which is asked anew each time, until a synth worker has said so.

        Raises:
            RedisError: Redis is away.
        """
        now = self._clock()
        if self._known is not None and now - self._known[0] < FRESH_S:
            return self._known[1]
        if self._known is not None:
            # Whoever comes while this one asks goes by what was known.
            self._known = (now, self._known[1])
        engine = await self._intake.engine()
        self._known = None if engine is None else (now, engine)
        return engine
