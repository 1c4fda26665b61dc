"""HTTP/1.1 on a connection, with bounds that uvicorn's fast parser lacks.

They are on the head of a request, its size and its time, and on how long an answer may lie unread.
The head is the request line and the headers; the body has bounds of its own in
`gateway.body_limit`.
"""

import asyncio
import contextlib
from array import array
from fcntl import ioctl
from http import HTTPStatus
from termios import TIOCOUTQ
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import ApiError, HeadTooLarge, HeadTooSlow, MalformedHttp, error_response

log = structlog.get_logger()

HEAD_TIMEOUT_S = 15.0
"""Seconds from the opening of a connection, or a head's first byte, to the head's end."""
MAX_HEAD_BYTES = 32 * 1024
UNREAD_TIMEOUT_S = 60.0
"""Seconds in which a client must have taken in some of an answer that waits for it."""


class BoundedHttp(HttpToolsProtocol):
    """One connection; a head that breaks a bound is answered, and the connection closed.

    Args:
        head_timeout_s: seconds for a head.
        unread_timeout_s: seconds without progress after which an answer is given up.
        options: as uvicorn gives them.
    """

    def __init__(
        self,
        *,
        head_timeout_s: float = HEAD_TIMEOUT_S,
        unread_timeout_s: float = UNREAD_TIMEOUT_S,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._head_timeout_s = head_timeout_s
        self._unread_timeout_s = unread_timeout_s
        self._unread_bytes = 0
        self._unread_timer: asyncio.TimerHandle | None = None
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
        self._stop_unread_timer()
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

    def pause_writing(self) -> None:
        """Hold the application back, and give the client time to read."""
        super().pause_writing()
        self._watch_unread()

    def on_response_complete(self) -> None:
        """Watch over what is left of the answer, too little to hold anybody back."""
        super().on_response_complete()
        self._watch_unread()

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
        self._watch_unread()
        log.warning("refused", action="request", code=error.code)

    def _watch_unread(self) -> None:
        # Closing alone does not free a connection: it waits until all is sent.
        self._stop_unread_timer()
        if self.transport.get_write_buffer_size():
            self._unread_bytes = self._count_unread()
            self._unread_timer = self.loop.call_later(self._unread_timeout_s, self._look_at_unread)

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _look_at_unread(self) -> None:
        # Held back, the application adds nothing: so any other count means that some was read, or
        # that an answer goes on.
        waits = self.transport.get_write_buffer_size() > 0
        if not waits or self._count_unread() != self._unread_bytes:
            self._watch_unread()
            return
        self.transport.abort()
        log.warning("answer not read", action="request", unread_bytes=self._unread_bytes)

    def _count_unread(self) -> int:
        """Return the bytes that the client's machine has not confirmed."""
        # The kernel takes in more only when a third of megabytes has gone, which takes a slow
        # client minutes: so what it holds counts too.
        in_kernel = array("i", [0])
        with contextlib.suppress(OSError):  # not every system tells
            ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, in_kernel)
        return self.transport.get_write_buffer_size() + in_kernel[0]
