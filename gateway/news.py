"""Word that a job got on, for those who follow it.

The ledger publishes on a channel of the job's own whenever it was planned, a segment got done or it
ended. One connection serves all who follow a job through this process; it hears of followed jobs
only. What is published may be lost with the connection, so whoever follows looks now and then,
whether there was word or not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from shared.ledger.following import NEWS_CHANNEL

log = structlog.get_logger()

LISTEN_S = 5.0
"""How long to listen before the connection's health is looked after again."""
RETRY_S = 0.5
LOOK_EVERY_S, LOOK_UNHEARD_S = 2.0, 0.25
"""How often a followed job is looked at without any word of it, and while none could be heard."""


class Word:
    """What one follower of a job hears.

    It stands at "there is news" in the beginning, and whenever the job's channel is heard anew.
    """

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._news.set()
        self.heard = False

    def tell(self) -> None:
        """Say that there is news."""
        self._news.set()

    async def wait(self, at_most_s: float = LOOK_EVERY_S) -> None:
        """Return when there is news, or it is time to look without any."""
        most_s = min(at_most_s, LOOK_EVERY_S if self.heard else LOOK_UNHEARD_S)
        # Not wait_for: before Python 3.12 it may take a cancellation for the news it came with.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._news.wait()
        self._news.clear()


class News:
    """Hears of jobs' progress, once somebody follows one.

    Args:
        client: decodes replies.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._followers: dict[str, set[Word]] = {}
        self._heard: set[str] = set()
        self._changed = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, uid: str) -> AsyncIterator[Word]:
        """Give what is heard of a job within the block."""
        word = Word()
        word.heard = uid in self._heard
        self._followers.setdefault(uid, set()).add(word)
        self._changed.set()
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        try:
            yield word
        finally:
            others = self._followers[uid]
            others.discard(word)
            if not others:
                del self._followers[uid]
                self._changed.set()

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
                    await self._hear(subscription)
            except (RedisError, OSError) as error:
                log.warning("news not heard", action="listen", error=str(error)[:200])
            finally:
                self._heard.clear()
                for uid in self._followers:
                    self._say(uid, heard=False)
            await asyncio.sleep(RETRY_S)

    async def _hear(self, subscription: Any) -> None:
        """Keep to the channels of the jobs that are followed, and pass on what they say."""
        subscribed: set[str] = set()
        reading: asyncio.Task[Any] | None = None
        try:
            while True:
                self._changed.clear()
                wanted = set(self._followers)
                if new := wanted - subscribed:
                    await subscription.subscribe(*(NEWS_CHANNEL + uid for uid in new))
                if gone := subscribed - wanted:
                    await subscription.unsubscribe(*(NEWS_CHANNEL + uid for uid in gone))
                    self._heard -= gone
                subscribed = wanted
                if reading is None and subscribed:
                    reading = asyncio.create_task(subscription.get_message(timeout=LISTEN_S))
                changed = asyncio.create_task(self._changed.wait())
                try:
                    await asyncio.wait(
                        {changed, reading} if reading else {changed},
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                finally:
                    changed.cancel()
                if reading is not None and reading.done():
                    message, reading = reading.result(), None
                    self._pass_on(message)
        finally:
            if reading is not None:
                reading.cancel()
                # Its error, if it has one by now, is what ended this block or of no interest.
                await asyncio.gather(reading, return_exceptions=True)

    def _pass_on(self, message: dict[str, Any] | None) -> None:
        if message is None or message["type"] not in {"subscribe", "message"}:
            return
        uid = str(message["channel"]).removeprefix(NEWS_CHANNEL)
        if message["type"] == "subscribe" and uid in self._followers:
            self._heard.add(uid)
        self._say(uid, heard=uid in self._heard)

    def _say(self, uid: str, *, heard: bool) -> None:
        for word in self._followers.get(uid, ()):
            word.heard = heard
            word.tell()
