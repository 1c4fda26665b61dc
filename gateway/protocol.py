"""HTTP/1.1 on a connection, with bounds on the head of a request: its size, and its time.

uvicorn bounds neither for its fast parser. The head is the request line and the headers; the body
has bounds of its own in `gateway.body_limit`.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import ApiError, HeadTooLarge, HeadTooSlow, MalformedHttp, error_response

log = structlog.get_logger()

HEAD_TIMEOUT_S = 15.0
"""Seconds from the opening of a connection, or a head's first byte, to the head's end."""
MAX_HEAD_BYTES = 32 * 1024


class BoundedHttp(HttpToolsProtocol):
    """One connection; a head that breaks a bound is answered, and the connection closed.

    Args:
        head_timeout_s: seconds for a head.
        options: as uvicorn gives them.
    """

    def __init__(self, *, head_timeout_s: float = HEAD_TIMEOUT_S, **options: Any) -> None:
        super().__init__(**options)
        self._head_timeout_s = head_timeout_s
        self._head_bytes = 0
        self._in_head = False
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: ApiError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the first head its time."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that is still open has grown by it."""
        began_in_head = self._in_head
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        # Bytes before a head's first one belong to the message before.
        self._head_bytes += len(data) if began_in_head else 0
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge())
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large."""
        self._in_head = False
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refusal = HeadTooLarge()
            raise self._refusal  # the parser stops, and asks for an answer below
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or not acceptable as such, like every other error."""
        self._refuse(self._refusal or MalformedHttp())

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._head_timeout_s, self._out_of_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        if self._in_head:
            self._refuse(HeadTooSlow())
        elif not self.transport.is_closing():  # nothing came at all
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        self._in_head = False
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            answer = error_response(error)
            self.transport.write(
                f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}\r\n"
                f"content-type: {answer.media_type}\r\n"
                f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n".encode()
                + bytes(answer.body)
            )
        # Else a request is being answered, and bytes in between would garble that.
        self.transport.close()
        log.warning("refused", action="request", code=error.code)
