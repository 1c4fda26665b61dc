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
FIRST_POLL_S = 0.02
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
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_POLL_S
    while (left_s := deadline - time.monotonic()) > 0:
        status = await services.intake.status(uid)
        if status is None or status in TERMINAL or services.draining.is_set():
            return
        if await request.is_disconnected():
            return
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_POLL_S)
