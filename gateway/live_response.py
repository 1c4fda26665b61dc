"""An answer whose bytes come while a job is worked on: it ends cleanly only if they do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.errors import ClusterError

log = structlog.get_logger()

T = TypeVar("T")


class StreamBroken(ClusterError):
    """An answer that had begun can't be completed."""

    code = "stream_broken"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, unless the client leaves first: then it is cancelled.

    Args:
        request: whose body has been read.
        work: what takes long.

    Raises:
        ClientDisconnect: the client left.
    """
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


class LiveResponse(Response):
    """Sends chunks as they come, of which none is held while the client does not read.

    When `chunks` raises `StreamBroken`, the connection is closed without the end of the answer, so
    that no client takes what it has for the whole.

    Args:
        chunks: the body; closed in the end, however that comes.
        headers: besides `Content-Type`.
        media_type: of the body.
        on_left: awaited when the client left before the end.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        headers: dict[str, str],
        media_type: str,
        on_left: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._chunks = chunks
        self._on_left = on_left
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"Content-Type": media_type, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; see the class."""
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (chunk := await self._next(gone)) is not None:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if gone.done():
                if self._on_left is not None:
                    await self._on_left()
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except StreamBroken as error:
            # Without its end the server closes the connection, and the client knows.
            log.warning("stream broken", action="stream", reason=error.message[:300])
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            close = getattr(self._chunks, "aclose", None)
            if close is not None:
                with contextlib.suppress(StreamBroken):
                    await close()

    async def _next(self, gone: asyncio.Task[None]) -> bytes | None:
        """Return the next chunk; None after the last, or when the client has left."""
        if gone.done():
            return None
        coming = asyncio.ensure_future(anext(self._chunks, None))
        try:
            await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() and not gone.done() else None
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
