"""An answer whose bytes come while a job is worked on: it ends cleanly only if they do."""

import asyncio
import time
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

STOP_AGAIN_S = 0.2


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; what it ends with is of no interest."""
    # Again and again, as a library under it may take one cancellation for a time-out of its own.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=STOP_AGAIN_S)
    if not task.cancelled():
        task.exception()  # looked at, or it would be logged as forgotten


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
        await _stop(working)
        await _stop(gone)


async def close(chunks: AsyncIterator[bytes]) -> None:
    """End a stream of chunks that nobody reads to its end."""
    end = getattr(chunks, "aclose", None)
    if end is not None:
        await end()


async def begun(request: Request, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the same chunks once there is a first one: until then an error is still an answer.

    Raises:
        ClientDisconnect: the client left before.
    """

    async def first_one() -> bytes:
        async for chunk in chunks:
            if chunk:
                return chunk
        return b""

    began_at = time.monotonic()
    try:
        first = await unless_gone(request, first_one())
    except BaseException:
        await close(chunks)
        raise

    route = getattr(request.scope.get("route"), "path", "unmatched")
    request.app.state.meters.observe_first_byte(route, time.monotonic() - began_at)

    async def all_chunks() -> AsyncIterator[bytes]:
        try:
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            await close(chunks)

    return all_chunks()


class LiveResponse(Response):
    """Sends chunks as they come, of which none is held while the client does not read.

    When `chunks` raises an error of the project's, the connection is closed without the end of the
    answer, so that no client takes what it has for the whole.

    Args:
        chunks: the body; closed in the end, however that comes.
        headers: besides `Content-Type`.
        media_type: of the body.
        on_incomplete: awaited when the client left before the end, or the end could not be sent.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        headers: dict[str, str],
        media_type: str,
        on_incomplete: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._chunks = chunks
        self._on_incomplete = on_incomplete
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"Content-Type": media_type, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; see the class."""
        gone = asyncio.create_task(_until_gone(receive))
        try:
            complete = await self._send_all(send, gone)
        finally:
            await _stop(gone)
            await close(self._chunks)
        if not complete and self._on_incomplete is not None:
            await self._on_incomplete()

    async def _send_all(self, send: Send, gone: asyncio.Task[None]) -> bool:
        """Send the answer; return whether it was sent to its end, as far as is known."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            while (chunk := await self._next(gone)) is not None:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except ClusterError as error:
            # Without an end the server closes the connection, and the client knows.
            log.warning(
                "stream broken", action="stream", code=error.code, reason=error.message[:300]
            )
            return False
        if gone.done():
            return False
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    async def _next(self, gone: asyncio.Task[None]) -> bytes | None:
        """Return the next chunk; None after the last, or when the client has left."""
        if gone.done():
            return None
        coming = asyncio.ensure_future(anext(self._chunks, None))
        try:
            await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() and not gone.done() else None
        finally:
            await _stop(coming)
