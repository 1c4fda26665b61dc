"""`/metrics` for Prometheus: the ledger's numbers, read at each scrape, and the gateway's own.

It needs no key: it carries counts, no text, no names of keys or jobs. Where even that is too much,
keep the path from strangers at the proxy.
"""

import asyncio
from collections.abc import Sequence

import structlog
from anyio import to_thread
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from redis.exceptions import RedisError
from starlette.responses import Response

from gateway.ledger_meters import LedgerCollector, Snapshot
from gateway.services import Services
from gateway.usage_meters import UsageCollector
from shared.apikeys import list_keys
from shared.ledger.batches import Batches
from shared.ledger.intake import Intake
from shared.ledger.meters import measure
from shared.ledger.usage import Usage

log = structlog.get_logger()

SCRAPE_TIMEOUT_S = 3.0


async def take_snapshot(intake: Intake) -> Snapshot:
    """Read the ledger.

    Raises:
        RedisError: Redis is away.
    """
    return Snapshot(
        jobs=await intake.jobs_by_status(),
        batches=await Batches(intake.client).by_status(),
        backlog=await intake.backlog(),
        totals=await intake.totals(),
        batch_sizes=await intake.batch_sizes(),
        workers=await intake.workers(),
        queued_chars=await intake.queued_chars(),
        measured=await measure(intake.client),
        engine=await intake.engine(),
    )


router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Answer a scrape; when Redis is away, with `kc_ledger_up 0` and the gateway's own numbers."""
    services: Services = request.app.state.services
    snapshot: Snapshot | None = None
    used: Sequence[tuple[str, int, float]] = ()
    names: dict[str, str] = {}
    try:
        async with asyncio.timeout(SCRAPE_TIMEOUT_S):
            snapshot = await take_snapshot(services.intake)
            used = await Usage(services.intake.client).most(services.settings.metrics_keys)
            if used and services.settings.api_keys_file is not None:
                keys = await to_thread.run_sync(list_keys, services.settings.api_keys_file)
                names = {key.id: key.name for key in keys}
    except (RedisError, OSError) as error:
        log.warning("ledger does not answer", action="scrape", error=repr(error))
    ledger = CollectorRegistry()
    ledger.register(LedgerCollector(snapshot))
    ledger.register(UsageCollector(used, names))
    body = generate_latest(ledger) + generate_latest(request.app.state.meters.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)
