"""The application: its parts opened and closed, its routes put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig

from gateway import (
    audio,
    batches,
    captioned_speech,
    captions,
    cluster,
    deliveries,
    dev,
    downloads,
    estimates,
    events,
    health,
    jobs,
    lexicons,
    metrics,
    models,
    redo,
    segments,
    speech,
    usage,
)
from gateway.access import Access
from gateway.body_limit import BODY_TIMEOUT_S, BodyBounds, BodyLimit
from gateway.cross_origin import cross_origin
from gateway.encoders import Encoders
from gateway.endings import Endings
from gateway.error_handlers import install_error_handlers
from gateway.health import Watch
from gateway.http_meters import HttpMeters
from gateway.known_engine import KnownEngine
from gateway.news import News
from gateway.openapi import install_openapi
from gateway.pace import Pace
from gateway.page import page_routes
from gateway.services import Services
from gateway.uploads import Uploads
from shared.addresses import parse_rules
from shared.apikeys import KeyFile
from shared.connections import connect_async
from shared.ledger.asks import Asks
from shared.ledger.batches import Batches
from shared.ledger.intake import Intake
from shared.ledger.lexicons import Lexicons
from shared.ledger.outbox import Outbox
from shared.lookup import Resolver, system_resolver
from shared.settings import Settings
from shared.storage import open_storage

NO_TELEMETRY: TelemetryConfig = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
}


def create_app(
    settings: Settings,
    *,
    resolver: Resolver = system_resolver,
    body_timeout_s: float = BODY_TIMEOUT_S,
) -> FastAPI:
    """Return the gateway's application; it connects to Redis when it is started.

    Args:
        settings: of this process.
        resolver: looks up webhooks' hosts.
        body_timeout_s: seconds in which a request's body must have arrived.

    Raises:
        InvalidSettings: the key file, the webhook rules, the storage URL or the origins are
            unusable.
    """
    # Opened here, so that a bad setting stops the process before it listens; none needs a network.
    keys = KeyFile(settings.api_keys_file) if settings.api_keys_file else None
    rules = parse_rules(settings.webhook_allow_private, settings.webhook_ports)
    storage = open_storage(
        settings.storage,
        endpoint=settings.storage_endpoint,
        public_endpoint=settings.storage_public_endpoint,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        intake = Intake(connect_async(settings.redis))
        endings = Endings(intake.client)
        services = Services(
            settings=settings,
            intake=intake,
            lexicons=Lexicons(intake.client),
            storage=storage,
            keys=keys,
            rules=rules,
            resolver=resolver,
            watch=Watch(intake, storage),
            news=News(intake.client),
            endings=endings,
            asks=Asks(intake.client, endings),
            encoders=Encoders(settings),
            batches=Batches(intake.client),
            outbox=Outbox(intake.client),
            pace=Pace(intake),
            engine=KnownEngine(intake),
            draining=asyncio.Event(),
            uploads=Uploads(settings),
        )
        await services.watch.start()
        app.state.meters.show_readiness(services.watch.checks, services.watch.warnings)
        app.state.meters.count_streams(lambda: services.encoders.active)
        app.state.services = services
        try:
            yield
        finally:
            services.draining.set()
            await services.watch.stop()
            await services.endings.stop()
            await services.news.stop()
            await services.encoders.stop()
            await intake.client.aclose()

    app = FastAPI(
        title="Kokoro Cluster",
        version=_version(),
        description="Text to speech as a service of your own: submit a job, poll it, fetch audio.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its own would have browsers load scripts from elsewhere
        redoc_url=None,
        # FastAPI's own would tell a collector what validation errors and exceptions quote.
        telemetry=NO_TELEMETRY,
    )
    app.state.meters = HttpMeters()
    of_jobs = (jobs, audio, captions, segments, redo, events, deliveries, batches, estimates)
    of_speech = (speech, captioned_speech, downloads, dev)
    for part in (*of_jobs, *of_speech, models, lexicons, cluster, usage, health, metrics):
        app.include_router(part.router)
    app.router.routes += page_routes()
    install_error_handlers(app)
    install_openapi(app)
    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit,
        bounds=BodyBounds(settings),
        timeout_s=body_timeout_s,
    )
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, **cross_origin(settings.cors_origins))
    app.add_middleware(Access, meters=app.state.meters)
    return app


def _version() -> str:
    try:
        return version("kokoro-cluster")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
