"""`/v1/jobs/{id}/deliveries`: what became of a job's webhooks, and sending one again."""

import structlog
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.errors import DeliveryNotFound, DeliveryPending
from gateway.jobs import JobId, find_job
from gateway.openapi import problems
from gateway.schemas import Delivery, DeliveryList
from gateway.services import ServicesOf
from gateway.views import delivery_view
from shared.ledger.states import DeliveryStatus

log = structlog.get_logger()

router = APIRouter(tags=["webhooks"])

MAX_ID_CHARS = 100


@router.get("/v1/jobs/{job_id}/deliveries", response_model=DeliveryList, responses=problems(404))
async def list_deliveries(services: ServicesOf, caller: CallerOf, job_id: JobId) -> Response:
    """List a job's webhook deliveries with their attempts."""
    record = await find_job(services, caller, job_id)
    deliveries = await services.intake.deliveries(record.uid)
    return JSONResponse({"object": "list", "data": [delivery_view(item) for item in deliveries]})


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
    if len(delivery_id) > MAX_ID_CHARS or not delivery_id.isascii():
        raise DeliveryNotFound()
    before = await services.intake.replay(record.uid, delivery_id)
    if before is None:
        raise DeliveryNotFound()
    if before in {DeliveryStatus.PENDING, DeliveryStatus.SENDING}:
        raise DeliveryPending()
    log.info("delivery replayed", action="replay", job_id=record.uid, delivery_id=delivery_id)
    for delivery in await services.intake.deliveries(record.uid):
        if delivery.id == delivery_id:
            return JSONResponse(delivery_view(delivery), 202)
    raise DeliveryNotFound()
