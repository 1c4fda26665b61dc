"""Following a job: look, wait for word of it, look again, until it has ended."""

import asyncio
import math
import time
from collections.abc import AsyncIterator

import structlog
from redis.exceptions import RedisError

from gateway.services import Services
from shared.ledger.following import Look, look
from shared.ledger.states import TERMINAL

log = structlog.get_logger()

LOOK_TIMEOUT_S = 5.0
PATIENCE_S = 30.0
"""How long Redis may be away before those who follow a job are told."""
AGAIN_S = 0.25


async def follow(
    services: Services, uid: str, *, start: int = 0, drain_s: float = 0.0
) -> AsyncIterator[Look | None]:
    """Yield looks at a job until one shows its end, or that it is gone, or the gateway drains.

    There is one at once, then one whenever there is word of the job, and one every few seconds.
    Each goes on where the one before it ended; None stands for one that Redis did not answer.

    Args:
        services: of the gateway.
        uid: of the job.
        start: index of the first segment that is not known to be done.
        drain_s: seconds for which to go on once the gateway drains.

    Raises:
        RedisError, OSError: Redis has been away for `PATIENCE_S`.
    """
    answered_at = time.monotonic()
    stop_at = math.inf
    async with services.news.of(uid) as word:
        while True:
            if services.draining.is_set():
                stop_at = min(stop_at, time.monotonic() + drain_s)
            if time.monotonic() >= stop_at:
                return
            await word.wait()
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    seen = await look(services.intake.client, uid, start)
            except (RedisError, OSError) as error:  # a timeout is an OSError
                if time.monotonic() - answered_at > PATIENCE_S:
                    raise
                log.warning(
                    "ledger does not answer", action="follow", job_id=uid, error=repr(error)[:200]
                )
                yield None
                await asyncio.sleep(AGAIN_S)
                word.tell()
                continue
            answered_at = time.monotonic()
            start += len(seen.done)
            yield seen
            if seen.more:
                word.tell()
            elif seen.job is None or seen.job.status in TERMINAL:
                return
