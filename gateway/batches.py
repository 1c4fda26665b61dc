"""`/v1/batches`: many jobs as one resource."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from gateway.batch_requests import BatchRequest, read_batch_request
from gateway.batch_submission import submit_batch
from gateway.callers import Caller, CallerOf
from gateway.errors import BatchNotFound, BatchRunning, BatchTerminal
from gateway.job_ids import is_batch_id
from gateway.jobs import IDEMPOTENCY_KEY
from gateway.openapi import accepted, json_body, problems
from gateway.preferences import idempotency_key
from gateway.schemas import Batch, BatchList, JobList
from gateway.services import Services, ServicesOf
from gateway.views import job_rows
from shared.batch_view import batch_view
from shared.ledger.batch_record import BatchRecord
from shared.ledger.batches import CURSOR
from shared.ledger.states import BatchStatus, JobStatus

log = structlog.get_logger()

router = APIRouter(tags=["batches"])

BatchId = Annotated[str, Path(description="The batch's id.")]


class BatchesQuery(BaseModel):
    """How many batches."""

    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(None, description="`after` of the page before.", pattern=CURSOR)


class BatchJobsQuery(BaseModel):
    """Which jobs of a batch, and how many."""

    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(
        None, description="`after` of the page before.", pattern=r"^[0-9]{1,4}$"
    )
    status: JobStatus | None = None


async def find_batch(services: Services, caller: Caller, batch_id: str) -> BatchRecord:
    """Return the caller's batch.

    Raises:
        BatchNotFound: unknown, another's, or no id at all: they look the same.
    """
    known = is_batch_id(batch_id)
    record = await services.batches.get(caller.owner, batch_id) if known else None
    if record is None:
        raise BatchNotFound()
    return record


@router.post(
    "/v1/batches",
    status_code=202,
    response_model=Batch,
    responses={
        200: {"model": Batch, **accepted("All its jobs have ended.", what="batch")},
        202: {"model": Batch, **accepted("Accepted: all of its jobs.", what="batch")},
        **problems(400, 408, 413, 415, 422, 429),
    },
    openapi_extra={**json_body(BatchRequest), "parameters": IDEMPOTENCY_KEY},
)
async def create_batch(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Submit many jobs at once: all are accepted, or none is and the error names the item.

    To your rate a batch is one request.
    """
    key = idempotency_key(request)
    record = await submit_batch(services, caller, await read_batch_request(request), key)
    base_url = services.base_url(request)
    headers = {"Location": f"{base_url}/v1/batches/{record.id}"}
    ended = record.status is not BatchStatus.IN_PROGRESS
    if not ended:
        headers["Retry-After"] = str(await services.pace.retry_after_s())
    return JSONResponse(batch_view(record, base_url=base_url), 200 if ended else 202, headers)


@router.get("/v1/batches", response_model=BatchList, responses=problems(422))
async def list_batches(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    wanted: Annotated[BatchesQuery, Query()],
) -> Response:
    """List your batches, newest first."""
    page = await services.batches.list(caller.owner, limit=wanted.limit, after=wanted.after)
    base_url = services.base_url(request)
    data = [batch_view(record, base_url=base_url) for record in page.batches]
    more = page.after is not None
    return JSONResponse({"object": "list", "data": data, "has_more": more, "after": page.after})


@router.get("/v1/batches/{batch_id}", response_model=Batch, responses=problems(404))
async def get_batch(
    request: Request, services: ServicesOf, caller: CallerOf, batch_id: BatchId
) -> Response:
    """Look at a batch: how many of its jobs have ended, and how."""
    record = await find_batch(services, caller, batch_id)
    return JSONResponse(batch_view(record, base_url=services.base_url(request)))


@router.get("/v1/batches/{batch_id}/jobs", response_model=JobList, responses=problems(404, 422))
async def list_batch_jobs(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    batch_id: BatchId,
    wanted: Annotated[BatchJobsQuery, Query()],
) -> Response:
    """List a batch's jobs in the order they were submitted. Warnings are left to the job itself."""
    record = await find_batch(services, caller, batch_id)
    page = await services.batches.jobs(
        record.id, limit=wanted.limit, after=int(wanted.after or 0), status=wanted.status
    )
    data = await job_rows(services, page.jobs, services.base_url(request))
    more = page.after is not None
    after = str(page.after) if more else None
    return JSONResponse({"object": "list", "data": data, "has_more": more, "after": after})


@router.post(
    "/v1/batches/{batch_id}/cancel",
    status_code=202,
    response_model=Batch,
    responses=problems(404, 409),
)
async def cancel_batch(
    request: Request, services: ServicesOf, caller: CallerOf, batch_id: BatchId
) -> Response:
    """End all jobs of a batch that have not ended; work that has not begun never begins."""
    record = await find_batch(services, caller, batch_id)
    before = await services.batches.cancel(record.id)
    if before is None:
        raise BatchNotFound()
    if before is not BatchStatus.IN_PROGRESS:
        raise BatchTerminal(f"All jobs of the batch have ended already: it is {before}.")
    log.info("batch canceled", action="cancel", batch_id=record.id)
    record = await find_batch(services, caller, record.id)
    return JSONResponse(batch_view(record, base_url=services.base_url(request)), 202)


@router.delete(
    "/v1/batches/{batch_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_batch(services: ServicesOf, caller: CallerOf, batch_id: BatchId) -> Response:
    """Remove a batch that has ended, with all its jobs and all they left."""
    record = await find_batch(services, caller, batch_id)
    if record.status is BatchStatus.IN_PROGRESS:
        raise BatchRunning()
    await services.batches.delete(record.id)
    log.info("batch deleted", action="delete", batch_id=record.id)
    return Response(status_code=204)
