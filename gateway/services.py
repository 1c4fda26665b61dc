"""What a request's handler works with: opened once by the application's lifespan."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from gateway.encoders import Encoders
from gateway.endings import Endings
from gateway.health import Watch
from gateway.known_engine import KnownEngine
from gateway.news import News
from gateway.pace import Pace
from gateway.uploads import Uploads
from shared.addresses import AddressRules
from shared.apikeys import KeyFile
from shared.ledger.asks import Asks
from shared.ledger.batches import Batches
from shared.ledger.intake import Intake
from shared.ledger.lexicons import Lexicons
from shared.ledger.outbox import Outbox
from shared.lookup import Resolver
from shared.settings import Settings
from shared.storage import Storage


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
    lexicons: Lexicons
    storage: Storage
    keys: KeyFile | None
    rules: AddressRules
    resolver: Resolver
    watch: Watch
    endings: Endings
    news: News
    asks: Asks
    encoders: Encoders
    batches: Batches
    outbox: Outbox
    pace: Pace
    engine: KnownEngine
    draining: asyncio.Event
    uploads: Uploads

    def base_url(self, request: Request) -> str:
        """Return what the URLs in an answer begin with, without a slash at the end."""
        return self.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(_services)]
"""A handler's parameter of this type gets the services."""
