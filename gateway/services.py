"""What a request's handler works with: opened once by the application's lifespan."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

import structlog
from fastapi import Depends, Request

from gateway.health import Watch
from gateway.known_engine import KnownEngine
from gateway.pace import Pace
from shared.addresses import AddressRules
from shared.apikeys import KeyFile
from shared.bell import Bell
from shared.ledger.intake import Intake
from shared.ledger.messages import Rings
from shared.lookup import Resolver
from shared.settings import Settings
from shared.storage import Storage

log = structlog.get_logger()

RING_WAIT_S = 1.0
"""How long a request waits for its wake-up to be sent; the reconciler rings again anyway."""


@dataclass(frozen=True)
class Services:
    """The gateway's parts.

    Attributes:
        keys: None when the gateway is open.
        rules: where webhooks may go.
        draining: set when the server is told to stop; whoever waits then answers at once.
    """

    settings: Settings
    intake: Intake
    storage: Storage
    bell: Bell
    keys: KeyFile | None
    rules: AddressRules
    resolver: Resolver
    watch: Watch
    pace: Pace
    engine: KnownEngine
    draining: asyncio.Event
    # Threads of its own: a broker that hangs must not use up those of the framework.
    ringers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(4, thread_name_prefix="ring")
    )

    async def ring(self, rings: Rings) -> None:
        """Wake workers; a ring that fails or hangs never fails a request."""
        ringing = self.ringers.submit(self.bell.ring, rings)
        ringing.add_done_callback(_log_failure)
        await asyncio.wait({asyncio.wrap_future(ringing)}, timeout=RING_WAIT_S)

    def base_url(self, request: Request) -> str:
        """Return what the URLs in an answer begin with, without a slash at the end."""
        return self.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")


def _log_failure(ringing: Future[None]) -> None:
    error = None if ringing.cancelled() else ringing.exception()
    if error is not None:
        log.warning("ring failed", action="ring", error=str(error))


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(_services)]
"""A handler's parameter of this type gets the services."""
