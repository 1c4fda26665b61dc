"""`…/deliveries` of jobs and batches: what became of their webhooks, and sending one again."""

import structlog
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gateway.batches import BatchId, find_batch
from gateway.callers import CallerOf
from gateway.errors import DeliveryNotFound, DeliveryPending
from gateway.jobs import JobId, find_job
from gateway.openapi import problems
from gateway.schemas import Delivery, DeliveryList
from gateway.services import Services, ServicesOf
from gateway.views import delivery_view
from shared.ledger.states import DeliveryStatus

log = structlog.get_logger()

router = APIRouter(tags=["webhooks"])

MAX_ID_CHARS = 100


@router.get("/v1/jobs/{job_id}/deliveries", response_model=DeliveryList, responses=problems(404))
async def list_deliveries(services: ServicesOf, caller: CallerOf, job_id: JobId) -> Response:
    """List a job's webhook deliveries with their attempts."""
    record = await find_job(services, caller, job_id)
    return await _all_of(services, record.uid)


@router.post(
    "/v1/jobs/{job_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=Delivery,
    responses=problems(404, 409),
)
async def replay_delivery(
    services: ServicesOf, caller: CallerOf, job_id: JobId, delivery_id: str
) -> Response:
    """Send a delivery that has ended once more: the same id, the same bytes."""
    record = await find_job(services, caller, job_id)
    return await _replay(services, record.uid, delivery_id)


@router.get(
    "/v1/batches/{batch_id}/deliveries", response_model=DeliveryList, responses=problems(404)
)
async def list_batch_deliveries(
    services: ServicesOf, caller: CallerOf, batch_id: BatchId
) -> Response:
    """List a batch's own webhook deliveries with their attempts; its jobs' are each job's."""
    record = await find_batch(services, caller, batch_id)
    return await _all_of(services, record.id)


@router.post(
    "/v1/batches/{batch_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=Delivery,
    responses=problems(404, 409),
)
async def replay_batch_delivery(
    services: ServicesOf, caller: CallerOf, batch_id: BatchId, delivery_id: str
) -> Response:
    """Send a batch's delivery that has ended once more: the same id, the same bytes."""
    record = await find_batch(services, caller, batch_id)
    return await _replay(services, record.id, delivery_id)


async def _all_of(services: Services, subject: str) -> Response:
    deliveries = await services.outbox.deliveries(subject)
    return JSONResponse({"object": "list", "data": [delivery_view(item) for item in deliveries]})


async def _replay(services: Services, subject: str, delivery_id: str) -> Response:
    if len(delivery_id) > MAX_ID_CHARS or not delivery_id.isascii():
        raise DeliveryNotFound()
    before = await services.outbox.replay(subject, delivery_id)
    if before is None:
        raise DeliveryNotFound()
    if before in {DeliveryStatus.PENDING, DeliveryStatus.SENDING}:
        raise DeliveryPending()
    log.info("delivery replayed", action="replay", job_id=subject, delivery_id=delivery_id)
    for delivery in await services.outbox.deliveries(subject):
        if delivery.id == delivery_id:
            return JSONResponse(delivery_view(delivery), 202)
    raise DeliveryNotFound()
