"""Refuses bodies that are too large before they are held, and those that arrive too slowly."""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BodyTooLarge, BodyTooSlow, error_response
from gateway.uploads import FORM, FORM_BYTES
from shared.settings import Settings

BODY_TIMEOUT_S = 60.0
"""Seconds from a request's headers to the end of its body."""

BYTES_PER_CHAR = 12
"""A character outside the first plane, written as two `\\uXXXX` escapes."""

FIELDS_BYTES = 64 * 1024
"""For all fields but the input."""

LEXICON_BYTES = 4 * 1024 * 1024
"""For a lexicon; one at its limits has half of that, generously indented."""


def max_body_bytes(max_input_chars: int) -> int:
    """Return the size that no request within the limits exceeds."""
    return BYTES_PER_CHAR * max_input_chars + FIELDS_BYTES


class BodyBounds:
    """How many bytes the body of each request may have."""

    def __init__(self, settings: Settings) -> None:
        self._job_bytes = max_body_bytes(settings.max_input_chars)
        self._upload_bytes = settings.max_upload_bytes + FORM_BYTES

    def most(self, scope: Scope) -> int:
        """Return the bound of a request, by its method, path and kind of body."""
        method, path = scope["method"], scope["path"]
        if method == "PUT" and path.startswith("/v1/lexicons/"):
            return LEXICON_BYTES
        if (method == "POST" and path in {"/v1/jobs", "/v1/estimate"}) or (
            method == "PUT" and path.startswith("/v1/jobs/")
        ):
            kind = dict(scope["headers"]).get(b"content-type", b"")
            if kind.partition(b";")[0].strip().lower() == FORM.encode():
                return self._upload_bytes
        return self._job_bytes


class BodyLimit:
    """ASGI middleware; the errors it raises while the body is read become answers further in.

    Args:
        app: what it protects.
        bounds: of each body.
        timeout_s: for one body.
    """

    def __init__(self, app: ASGIApp, bounds: BodyBounds, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._bounds = bounds
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a guarded `receive`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        most = self._bounds.most(scope)
        if not declared.isdigit() or int(declared) > most:
            await error_response(_too_large(most))(scope, receive, send)
            return
        deadline = time.monotonic() + self._timeout_s
        received = 0
        complete = False

        async def guarded() -> Message:
            nonlocal received, complete
            if complete:  # what is still to come is the client's leaving, at its leisure
                return await receive()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTooSlow(headers={"Connection": "close"}) from error
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > most:
                raise _too_large(most)
            return message

        await self._app(scope, guarded, send)


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {most} bytes, and so than any that is taken here.",
        param="input",
        headers={"Connection": "close"},
    )
