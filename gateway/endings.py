"""Word that a job has ended, for those who hold an answer back until it has.

The ledger publishes the end of each job in the step that writes it. One subscription serves all who
wait in this process. What is published may be lost with the connection, so whoever waits
also looks for himself, now and then.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from shared.ledger.intake import ENDED_CHANNEL

log = structlog.get_logger()

SUBSCRIBED_WITHIN_S = 1.0
LISTEN_S = 5.0
"""How long to listen before the connection's health is looked after again."""
RETRY_S = 0.5


class Endings:
    """Hears of jobs' ends, once somebody waits for one.

    Args:
        client: decodes replies.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._subscribed = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    @property
    def heard(self) -> bool:
        """Whether ends are being heard of now."""
        return self._subscribed.is_set()

    @asynccontextmanager
    async def of(self, uid: str) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set if the job ends within the block, and is heard of.

        An end from before the block is not heard of: look once, first thing in it.
        """
        ended = asyncio.Event()
        self._waiting.setdefault(uid, set()).add(ended)
        try:
            if self._listener is None:
                self._listener = asyncio.create_task(self._listen())
            if not self.heard:
                # Not wait_for: before Python 3.12 it may take a cancellation for what it waits for.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
                        await self._subscribed.wait()
            yield ended
        finally:
            others = self._waiting[uid]
            others.discard(ended)
            if not others:
                del self._waiting[uid]

    async def stop(self) -> None:
        """Hear of nothing more."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(ENDED_CHANNEL)
                    while True:
                        message = await subscription.get_message(timeout=LISTEN_S)
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self._subscribed.set()
                        for ended in self._waiting.get(str(message["data"]), ()):
                            ended.set()
            except (RedisError, OSError) as error:
                log.warning("endings not heard", action="listen", error=str(error)[:200])
            finally:
                self._subscribed.clear()
            await asyncio.sleep(RETRY_S)
