"""Headers of a submission: `Idempotency-Key`, and `Prefer: wait=N` with the waiting itself."""

import asyncio
import re
import time

from fastapi import Request

from gateway.errors import InvalidHeader
from gateway.services import Services
from shared.ledger.states import TERMINAL

MAX_WAIT_S = 60
MAX_KEY_CHARS = 255
POLL_SHARE = 0.1
"""A job's status is looked up again after this share of the time waited so far, so that nobody
waits a tenth longer than the job took, and a long wait costs few look-ups."""
SHORTEST_POLL_S = 0.002
LONGEST_POLL_S = 0.25

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


def idempotency_key(request: Request) -> str | None:
    """Return the client's `Idempotency-Key`.

    Raises:
        InvalidHeader: it is empty, too long or not printable ASCII.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise InvalidHeader(
            f"Idempotency-Key has 1 to {MAX_KEY_CHARS} printable ASCII characters.",
            param="Idempotency-Key",
        )
    return key


def preferred_wait_s(request: Request) -> int | None:
    """Return the seconds asked for by `Prefer: wait=N`, at most 60; None without it.

    A preference that makes no sense is ignored, as RFC 7240 wants it.
    """
    found = _WAIT.search(", ".join(request.headers.getlist("prefer")))
    return min(int(found[1]), MAX_WAIT_S) if found else None


async def wait_until_ended(
    services: Services, request: Request, uid: str, *, timeout_s: float
) -> None:
    """Return once the job has ended, or the client is gone, or the time is over."""
    began = time.monotonic()
    deadline = began + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        status = await services.intake.status(uid)
        if status is None or status in TERMINAL or services.draining.is_set():
            return
        if await request.is_disconnected():
            return
        pause_s = POLL_SHARE * (time.monotonic() - began)
        await asyncio.sleep(min(max(pause_s, SHORTEST_POLL_S), LONGEST_POLL_S, left_s))
