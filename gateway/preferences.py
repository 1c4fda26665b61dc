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
LOOK_EVERY_S, LOOK_UNHEARD_S = 2.0, 0.25
"""How often a job's status is looked up while its end would be heard of, and while not."""

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
    draining = asyncio.create_task(services.draining.wait())
    try:
        async with services.endings.of(uid) as ended:
            hearing = asyncio.create_task(ended.wait())
            try:
                while (left_s := deadline - time.monotonic()) > 0:
                    status = await services.intake.status(uid)
                    if status is None or status in TERMINAL or draining.done():
                        return
                    if await request.is_disconnected():
                        return
                    look_s = LOOK_EVERY_S if services.endings.heard else LOOK_UNHEARD_S
                    await asyncio.wait(
                        {hearing, draining},
                        timeout=min(look_s, left_s),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if hearing.done():
                        return
            finally:
                hearing.cancel()
    finally:
        draining.cancel()
