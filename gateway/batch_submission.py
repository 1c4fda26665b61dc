"""The way of a batch, as `gateway.submission` is a job's: validate each item, admit all, record."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import structlog

from gateway.batch_requests import BatchRequest
from gateway.callers import Caller
from gateway.errors import IdempotencyConflict, status_of
from gateway.job_ids import new_uid
from gateway.offload import offload
from gateway.services import Services
from gateway.submission import Naming, check_webhook, prepare, raise_refusal, sha256
from shared import tracing
from shared.errors import ClusterError, InvalidInput
from shared.ledger.batch_record import BATCH_PREFIX, BatchRecord, NewBatch
from shared.ledger.intake import Verdict
from shared.ledger.records import NewJob
from shared.steps import Step, reached

log = structlog.get_logger()

MAX_WEBHOOKS = 8
"""Different webhook addresses of a batch's jobs: each is looked up while the client waits."""

BREATH = 4
"""Items checked before the event loop has its turn."""


async def submit_batch(
    services: Services, caller: Caller, request: BatchRequest, idempotency_key: str | None
) -> BatchRecord:
    """Accept a batch with all its jobs, or find the one that this submission repeats.

    Raises:
        InvalidInput: an item can't be spoken as it is, `param` begins with `items.<index>`; nothing
            was recorded.
        ClusterError: it was refused for another reason, see `gateway.errors`.
        RedisError: Redis is away; repeat with the same idempotency key to learn what became of it.
    """
    hook = request.webhook
    host = None if hook is None else await check_webhook(services, hook.url, {})
    batch = NewBatch(
        id=new_uid(BATCH_PREFIX),
        owner=caller.owner,
        jobs=tuple(await _jobs(services, caller, request)),
        payload=await offload(request.text_chars, lambda: sha256(request.canonical())),
        idempotency=idempotency_key and sha256(idempotency_key.encode()),
        metadata=request.metadata,
        webhook_url=None if hook is None else hook.url,
        webhook_host=host,
        webhook_events=None if hook is None else " ".join(hook.events),
    )
    facts = {"kc.batch.jobs": len(batch.jobs)}
    with tracing.span("accept", tracing.Kind.PRODUCER, facts):
        if tracing.is_on():
            batch = _traced(batch)
        submission = await services.batches.create(batch, caller.limits)
        tracing.note({"kc.batch.id": submission.id or "", "kc.verdict": submission.verdict.value})
    if submission.verdict is Verdict.CONFLICT:
        raise IdempotencyConflict()
    if submission.verdict is Verdict.UNKNOWN_LEXICON:
        with _about(submission.index):
            await raise_refusal(services, submission.verdict, missing=submission.missing)
    await raise_refusal(services, submission.verdict, retry_after_s=submission.retry_after_s)
    if submission.verdict is Verdict.CREATED and submission.id == batch.id:
        for job in batch.jobs:
            reached(Step.SUBMIT_RECORDED, job=job.uid, verdict=submission.verdict)
        log.info(
            "batch accepted",
            action="submit",
            batch_id=batch.id,
            owner=caller.owner,
            jobs=len(batch.jobs),
        )
    found = await services.batches.get(caller.owner, submission.id or "")
    if found is None:
        raise RuntimeError(f"the ledger {submission.verdict} a batch and did not show it")
    return found


async def _jobs(services: Services, caller: Caller, request: BatchRequest) -> list[NewJob]:
    """Return the items as jobs, wholly checked."""
    names = request.custom_ids()
    hosts: dict[str, str] = {}
    jobs = []
    for index, item in enumerate(request.items):
        with _about(index):
            if item.webhook is not None and len({*hosts, item.webhook.url}) > MAX_WEBHOOKS:
                raise InvalidInput(
                    f"The jobs of a batch have at most {MAX_WEBHOOKS} different webhook addresses.",
                    param="webhook",
                )
            jobs.append(await prepare(services, caller, item, Naming(), known_hosts=hosts))
        if index % BREATH == 0:
            await asyncio.sleep(0)
    # Jobs that come in one moment wait in the order of their uids.
    uids = sorted(new_uid() for _ in jobs)
    return [
        replace(job, uid=uid, custom_id=name)
        for job, uid, name in zip(jobs, uids, names, strict=True)
    ]


def _traced(batch: NewBatch) -> NewBatch:
    """Return the batch with all its jobs beneath the current span."""
    here = tracing.traceparent()
    jobs = tuple(replace(job, traceparent=here) for job in batch.jobs)
    return replace(batch, jobs=jobs, traceparent=here)


@contextmanager
def _about(index: int) -> Iterator[None]:
    """Have what is the client's error in the block name the item, counted from 0."""
    try:
        yield
    except ClusterError as error:
        if 400 <= status_of(error) < 429:
            place = f"items.{index}"
            error.message = f"{place}: {error.message}"
            error.param = place if error.param is None else f"{place}.{error.param}"
        raise
