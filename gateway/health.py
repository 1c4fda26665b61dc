"""Health: whether the event loop turns, and whether a job can be accepted.

A background task keeps watch, so no probe ever waits for Redis or the store. A busy cluster is
healthy, and so is one whose workers are being recycled.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request
from redis.exceptions import RedisError
from starlette.responses import JSONResponse

from gateway.schemas import Healthy, Live, Ready
from shared.errors import ClusterError
from shared.ledger.intake import Intake
from shared.storage import Storage

log = structlog.get_logger()

PING_EVERY_S = 1.0
PING_TIMEOUT_S = 2.0
REDIS_PATIENCE_S = 60.0
"""A pause of Redis that is shorter flips no probe. All gateways share one Redis: to take them
all out of service helps nobody. Each answers 503 itself, and takes jobs as soon as Redis does."""

SETUP_EVERY_S, SETUP_AGAIN_S = 60.0, 5.0
"""How often Redis's set-up is looked at: somebody may change it, and it may be another Redis."""

STORE_EVERY_S = 30.0
STORE_AGAIN_S = 5.0
"""How soon the store is tried again after it failed."""
STORE_TIMEOUT_S = 20.0
STORE_PATIENCE_S = 75.0
"""Longer than one write that failed and the next that did not."""


class Watch:
    """Looks after what accepting a job hangs on.

    Args:
        intake: of Redis.
        storage: whose writability is tried.
        clock: seconds, monotonic.
    """

    def __init__(
        self, intake: Intake, storage: Storage, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._intake = intake
        self._storage = storage
        self._clock = clock
        self._redis_seen_at: float | None = None
        self._store_seen_at: float | None = None
        self._engine = False
        self._weaknesses: list[str] = []
        self._lost_at: str | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Look once, so that the first probe is told the truth, and keep looking."""
        await asyncio.gather(self.look_at_ledger(), self.look_at_store(), self.look_at_setup())
        self._tasks = [
            asyncio.create_task(self._keep(self.look_at_ledger, PING_EVERY_S, PING_EVERY_S)),
            asyncio.create_task(self._keep(self.look_at_store, STORE_EVERY_S, STORE_AGAIN_S)),
            asyncio.create_task(self._keep(self.look_at_setup, SETUP_EVERY_S, SETUP_AGAIN_S)),
        ]

    async def stop(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(
        self, look: Callable[[], Awaitable[bool]], every_s: float, again_s: float
    ) -> None:
        fine = True
        while True:
            await asyncio.sleep(every_s if fine else again_s)
            fine = await look()

    async def look_at_ledger(self) -> bool:
        """Ask Redis for the engine; return whether it answered."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                engine = await self._intake.engine() is not None
        except (RedisError, OSError) as error:  # a timeout is an OSError
            log.warning("ledger does not answer", action="watch", error=repr(error))
            return False
        self._redis_seen_at = self._clock()
        if self._engine and not engine:  # it is never deleted: all else went with it
            self._lost_at = datetime.now(UTC).isoformat(timespec="seconds")
            log.critical("the ledger lost its data", action="watch")
        self._engine = engine
        return True

    async def look_at_setup(self) -> bool:
        """Ask Redis how it is set up, log what is new and unsafe; return whether it answered."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                found = await self._intake.weaknesses()
        except (RedisError, OSError):
            return False
        for weakness in found:
            if weakness not in self._weaknesses:
                log.warning("accepted jobs are not safe", action="watch", reason=weakness)
        self._weaknesses = found
        return True

    def warnings(self) -> list[str]:
        """Return what may lose accepted jobs, or has, though all is well now."""
        lost = f"Redis lost its data at {self._lost_at}, and every job of before with it."
        return [*self._weaknesses, *([lost] if self._lost_at else [])]

    async def look_at_store(self) -> bool:
        """Write, read and delete a small object; return whether that went well."""
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                await self._storage.ping_async()
        except (ClusterError, OSError) as error:
            log.warning("store does not answer", action="watch", error=str(error))
            return False
        self._store_seen_at = self._clock()
        return True

    def checks(self) -> dict[str, str]:
        """Return `ok`, or what is wrong, for each dependency."""
        return {
            "redis": self._seen(self._redis_seen_at, REDIS_PATIENCE_S),
            "engine": "ok" if self._engine else "no synth worker has reported in yet",
            "storage": self._seen(self._store_seen_at, STORE_PATIENCE_S),
        }

    def _seen(self, at: float | None, patience_s: float) -> str:
        if at is None:
            return "has not answered yet"
        silent_s = self._clock() - at
        return "ok" if silent_s < patience_s else f"has not answered for {silent_s:.0f} s"


router = APIRouter(tags=["health"])


@router.get("/health/live", response_model=Live)
async def live() -> JSONResponse:
    """Answer as long as the event loop turns."""
    return JSONResponse({"status": "live"})


@router.get("/health", response_model=Healthy)
async def healthy() -> JSONResponse:
    """Answer as `/health/live` does, to probes written for Kokoro-FastAPI."""
    return JSONResponse({"status": "healthy"})


@router.get("/health/ready", response_model=Ready, responses={503: {"model": Ready}})
async def ready(request: Request) -> JSONResponse:
    """Say whether a job can be accepted."""
    watch = request.app.state.services.watch
    checks = watch.checks()
    fine = all(state == "ok" for state in checks.values())
    status = "ready" if fine else "not_ready"
    body = {"status": status, "checks": checks, "warnings": watch.warnings()}
    return JSONResponse(body, 200 if fine else 503)
