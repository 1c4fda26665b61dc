"""`/v1/jobs`: create, look, list, cancel, delete."""

from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import JSONResponse, Response

from gateway.callers import Caller, CallerOf
from gateway.errors import JobNotFound, JobRunning, JobTerminal
from gateway.job_ids import is_client_id, is_job_id
from gateway.openapi import JOB_BODY, Responses, accepted, problems
from gateway.preferences import idempotency_key, preferred_wait_s, wait_until_ended
from gateway.schemas import Job, JobList
from gateway.services import Services, ServicesOf
from gateway.submission import Accepted, Naming, submit
from gateway.upload_requests import read_submission
from gateway.views import add_chapters, job_rows, whole_job
from shared.errors import InvalidInput
from shared.job_view import job_view
from shared.ledger.intake import CURSOR
from shared.ledger.outlook import Places, queue_position
from shared.ledger.records import JobRecord
from shared.ledger.states import TERMINAL, JobStatus

log = structlog.get_logger()

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(description="The job's id, or the client's own.")]

CREATED: Responses = {
    200: {"model": Job, **accepted("The job has ended.")},
    202: {"model": Job, **accepted("Accepted: it will end in exactly one outcome.")},
    **problems(400, 408, 413, 415, 422, 429),
}

IDEMPOTENCY_KEY = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes repeating this safe: the same key gets the same job.",
        "schema": {"type": "string", "maxLength": 255},
    }
]
PREFER = [
    {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=N` holds the answer for up to N ≤ 60 seconds, until the job ends.",
        "schema": {"type": "string"},
    }
]


class ListQuery(BaseModel):
    """Which jobs, and how many."""

    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(None, description="`after` of the page before.", pattern=CURSOR)
    status: JobStatus | None = None
    custom_id: str | None = Field(None, min_length=1, max_length=64)
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None


async def find_job(services: Services, caller: Caller, job_id: str) -> JobRecord:
    """Return the caller's job.

    Raises:
        JobNotFound: unknown, another's, or no id at all: they look the same.
    """
    record = await services.intake.get(caller.owner, job_id) if is_job_id(job_id) else None
    if record is None:
        raise JobNotFound()
    return record


@router.post(
    "/v1/jobs",
    status_code=202,
    response_model=Job,
    responses=CREATED,
    openapi_extra={**JOB_BODY, "parameters": IDEMPOTENCY_KEY + PREFER},
)
async def create_job(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Submit a job."""
    naming = Naming(idempotency_key=idempotency_key(request))
    return await _create(request, services, caller, naming)


@router.put(
    "/v1/jobs/{client_id}",
    status_code=202,
    response_model=Job,
    responses=CREATED,
    openapi_extra={**JOB_BODY, "parameters": PREFER},
)
async def put_job(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    client_id: Annotated[str, Path(description="3 to 64 of `A-Za-z0-9_-`, not `job_…`.")],
) -> Response:
    """Submit a job under an id of your own; repeating it is safe."""
    if not is_client_id(client_id):
        raise InvalidInput(
            "An id of your own has 3 to 64 of A-Z a-z 0-9 _ - and does not begin with job_.",
            param="client_id",
        )
    return await _create(request, services, caller, Naming(client_id=client_id))


async def _create(request: Request, services: Services, caller: Caller, naming: Naming) -> Response:
    wanted, source = await read_submission(request, services, caller.owner)
    accepted = await submit(services, caller, wanted, naming, source=source)
    return await answer_submission(request, services, caller, accepted)


async def answer_submission(
    request: Request, services: Services, caller: Caller, accepted: Accepted
) -> Response:
    """Answer with an accepted job, held back for as long as the request prefers."""
    record, places = accepted.record, Places(plan=accepted.queue_position)
    request.scope["kc.job_id"] = record.uid
    headers = {}
    wait_s = preferred_wait_s(request)
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
        await wait_until_ended(services, request, record.uid, timeout_s=wait_s)
        record = await find_job(services, caller, record.uid)
        if record.status not in TERMINAL:
            (places,) = await services.intake.places([record])
    base_url = services.base_url(request)
    headers["Location"] = f"{base_url}/v1/jobs/{record.id}"
    ended = record.status in TERMINAL
    if not ended:
        headers["Retry-After"] = str(await services.pace.retry_after_s())
    warnings = await services.intake.warnings(record.uid) if record.warnings_total else []
    view = job_view(
        record,
        warnings=warnings,
        queue_position=queue_position(record, places),
        eta_s=await services.pace.eta_s(record, places),
        base_url=base_url,
    )
    await add_chapters(services.intake, record, view)
    return JSONResponse(view, 200 if ended else 202, headers)


@router.get("/v1/jobs", response_model=JobList, responses=problems(422))
async def list_jobs(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    wanted: Annotated[ListQuery, Query()],
) -> Response:
    """List your jobs, newest first. Warnings are left to the job itself."""
    page = await services.intake.jobs(
        caller.owner,
        limit=wanted.limit,
        after=wanted.after,
        status=wanted.status,
        custom_id=wanted.custom_id,
        created_after=wanted.created_after.timestamp() if wanted.created_after else None,
        created_before=wanted.created_before.timestamp() if wanted.created_before else None,
    )
    base_url = services.base_url(request)
    data = await job_rows(services, page.jobs, base_url)
    more = page.after is not None
    return JSONResponse({"object": "list", "data": data, "has_more": more, "after": page.after})


@router.get("/v1/jobs/{job_id}", response_model=Job, responses=problems(404, 422))
async def get_job(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    include: Annotated[Literal["segments"] | None, Query()] = None,
) -> Response:
    """Look at a job."""
    record = await find_job(services, caller, job_id)
    base_url = services.base_url(request)
    view = await whole_job(services, record, base_url, segments=include == "segments")
    return JSONResponse(view)


@router.post(
    "/v1/jobs/{job_id}/cancel", status_code=202, response_model=Job, responses=problems(404, 409)
)
async def cancel_job(
    request: Request, services: ServicesOf, caller: CallerOf, job_id: JobId
) -> Response:
    """End a job; work that has not begun never begins."""
    record = await find_job(services, caller, job_id)
    before = await services.intake.cancel(record.uid)
    if before is None:
        raise JobNotFound()
    if before in TERMINAL:
        raise JobTerminal(f"The job has ended already: it is {before}.")
    log.info("job canceled", action="cancel", job_id=record.uid)
    record = await find_job(services, caller, record.uid)
    return JSONResponse(await whole_job(services, record, services.base_url(request)), 202)


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_job(services: ServicesOf, caller: CallerOf, job_id: JobId) -> Response:
    """Remove a job that has ended, with all it left."""
    record = await find_job(services, caller, job_id)
    status = await services.intake.delete(record.uid)
    if status is None:
        raise JobNotFound()
    if status not in TERMINAL:
        raise JobRunning(f"The job is {status}; cancel it first.")
    log.info("job deleted", action="delete", job_id=record.uid)
    return Response(status_code=204)
