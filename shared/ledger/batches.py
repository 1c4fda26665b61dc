"""Batches of jobs as the gateway sees them: create, look, list, cancel, delete. Async.

A batch's counts and its end are written in the step that ends each of its jobs (`_lib.lua`).
"""

import json
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import redis.asyncio
from redis.exceptions import RedisError, TimeoutError

from shared.ledger.batch_record import SLICE_JOBS, BatchRecord, NewBatch
from shared.ledger.intake import Limits, Verdict
from shared.ledger.records import JobRecord, NewJob
from shared.ledger.scripts import script
from shared.ledger.states import BatchStatus, JobStatus

CURSOR = r"^[0-9]{1,15}-batch_[0-9A-Z]{26}$"
"""A place in the list of batches: milliseconds since 1970 and an id."""

LOOKED_AT = 100
"""Jobs read at a time where not all are wanted."""

SLICE_CHARS = 250_000
"""Characters of input after which a slice ends sooner."""
STAGED_S = 120
"""Seconds that jobs are kept which are written and not accepted yet: whoever wrote them is gone."""


@dataclass(frozen=True)
class BatchSubmission:
    """The answer to a submission.

    Attributes:
        id: of the batch that now exists or existed before; None when it was refused.
        retry_after_s: for `RATE_LIMITED`.
        missing: the lexicon, for `UNKNOWN_LEXICON`.
        index: of the job that names it, from 0.
    """

    verdict: Verdict
    id: str | None
    retry_after_s: int = 0
    missing: str | None = None
    index: int = 0


@dataclass(frozen=True)
class BatchPage:
    """A stretch of the list of batches.

    Attributes:
        after: cursor of the next page; None at the end.
    """

    batches: list[BatchRecord]
    after: str | None


@dataclass(frozen=True)
class BatchJobs:
    """A stretch of a batch's jobs.

    Attributes:
        jobs: in the order they were submitted; a job deleted by itself is left out.
        after: index of the next one's place; None at the end.
    """

    jobs: list[JobRecord]
    after: int | None


class Batches:
    """Async view of the ledger's batches; every method raises `RedisError` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._scripts: dict[str, Any] = {}

    async def _run(self, name: str, *args: str | bytes | int) -> Any:
        found = self._scripts.get(name)
        if found is None:
            found = self._scripts[name] = self._client.register_script(script(name))
        return await found(args=args)

    async def create(self, batch: NewBatch, limits: Limits) -> BatchSubmission:
        """Record a batch and all of its jobs, or none of it and say why not.

        Its jobs are written slice by slice, seen by nobody, and then all accepted in one step, so
        that others wait for no more than a slice.

        Raises:
            TimeoutError: of redis-py: that took too long, so that Redis has dropped the first.
        """
        answer = await self._ask(batch, limits, jobs=False)
        if answer[0] != "staged":
            return _submission(answer)
        try:
            for jobs in _slices(batch.jobs):
                rows = [part for job in jobs for part in (job.to_json(), job.input)]
                await self._run("stage_jobs", batch.id, STAGED_S, *rows)
            answer = await self._ask(batch, limits, jobs=True)
        finally:
            if answer[0] != "created":
                await self._unstage(batch)
        if answer[0] == "gone":
            raise TimeoutError("The jobs of a batch were not written in time.")
        return _submission(answer)

    async def _ask(self, batch: NewBatch, limits: Limits, *, jobs: bool) -> list[Any]:
        """Have a batch accepted, or without `jobs` ask whether it would be."""
        answer = await self._run("create_batch", batch.to_json(jobs=jobs), json.dumps(vars(limits)))
        return list(answer)

    async def _unstage(self, batch: NewBatch) -> None:
        """Drop what was written of jobs that are not accepted; else it goes by itself, later."""
        with suppress(RedisError):
            for jobs in _slices(batch.jobs):
                names = (f"kc:job:staged:{job.uid}" for job in jobs)
                keys = [name + part for name in names for part in ("", ":input", ":warnings")]
                await self._client.unlink(*keys)

    async def get(self, owner: str, batch_id: str) -> BatchRecord | None:
        """Return the owner's batch, or None: unknown and another's look the same."""
        rows = self._client.hgetall(f"kc:batch:{batch_id}")
        row = await cast("Awaitable[dict[str, str]]", rows)
        record = BatchRecord.from_hash(row) if row else None
        return record if record is not None and record.owner == owner else None

    async def list(self, owner: str, *, limit: int, after: str | None = None) -> BatchPage:
        """Return the owner's batches, newest first.

        Args:
            owner: whose.
            limit: most of a page.
            after: `BatchPage.after` of the page before, of the form `CURSOR`.
        """
        cursor: tuple[int, str] | None = None
        high = "+inf"
        if after is not None:
            high, _, last = after.partition("-")
            cursor = (int(high), last)
        found: list[BatchRecord] = []
        skip = 0
        # Beside the page itself: the batch the cursor names, and one to know whether more follow.
        page_size = limit + 2
        while True:
            ids = await self._client.zrange(
                f"kc:batches:{owner}",
                cast("int", high),
                cast("int", "-inf"),
                desc=True,
                byscore=True,
                offset=skip,
                num=page_size,
            )
            skip += len(ids)
            pipe = self._client.pipeline(transaction=False)
            for batch_id in ids:
                pipe.hgetall(f"kc:batch:{batch_id!s}")
            for row in await pipe.execute():
                if not row:
                    continue
                batch = BatchRecord.from_hash(row)
                # Those of one millisecond stand in the order of their ids, the largest first.
                if cursor is not None and _place(batch) >= cursor:
                    continue
                if len(found) == limit:
                    ms_last, last = _place(found[-1])
                    return BatchPage(found, f"{ms_last}-{last}")
                found.append(batch)
            if len(ids) < page_size:
                return BatchPage(found, None)

    async def jobs(
        self, batch_id: str, *, limit: int, after: int = 0, status: JobStatus | None = None
    ) -> BatchJobs:
        """Return a batch's jobs in the order they were submitted.

        Args:
            batch_id: of a batch of the caller's.
            limit: most jobs of a page.
            after: `BatchJobs.after` of the page before.
            status: only these.
        """
        found: list[JobRecord] = []
        at = after
        while True:
            rows = self._client.lrange(f"kc:batch:{batch_id}:jobs", at, at + LOOKED_AT - 1)
            uids = await cast("Awaitable[list[str]]", rows)
            pipe = self._client.pipeline(transaction=False)
            for uid in uids:
                pipe.hgetall(f"kc:job:{uid}")
            for index, row in enumerate(await pipe.execute(), at):
                record = JobRecord.from_hash(row) if row else None
                if record is None or (status is not None and record.status is not status):
                    continue
                if len(found) == limit:
                    return BatchJobs(found, index)
                found.append(record)
            at += LOOKED_AT
            if len(uids) < LOOKED_AT:
                return BatchJobs(found, None)

    async def cancel(self, batch_id: str) -> BatchStatus | None:
        """End all of a batch's open jobs, slice by slice; return its status before.

        If this process ends meanwhile the reconciler goes on.
        """
        before = None
        at = 0
        while at >= 0:
            status, at = await self._run("cancel_batch", batch_id, at, SLICE_JOBS)
            before = before or status
        return BatchStatus(before) if before else None

    async def delete(self, batch_id: str) -> None:
        """Forget a finished batch with all its jobs: part by part, and safe to be said again."""
        rows = self._client.lrange(f"kc:batch:{batch_id}:jobs", 0, -1)
        for uid in await cast("Awaitable[list[str]]", rows):
            await self._run("delete", uid)

    async def by_status(self) -> dict[BatchStatus, int]:
        """Return how many batches have each status, over all owners."""
        row = self._client.hgetall("kc:batches_by_status")
        rows = await cast("Awaitable[dict[str, str]]", row)
        return {status: int(rows.get(status, 0)) for status in BatchStatus}


def _submission(answer: list[Any]) -> BatchSubmission:
    word, found, *why = answer
    verdict = Verdict(word)
    if verdict is Verdict.UNKNOWN_LEXICON:
        return BatchSubmission(verdict, None, missing=why[0], index=int(why[1]))
    return BatchSubmission(verdict, found or None, int(why[0]) if why else 0)


def _slices(jobs: Sequence[NewJob]) -> Iterator[list[NewJob]]:
    """Yield jobs in their order, as many at a time as one script may write."""
    part: list[NewJob] = []
    chars = 0
    for job in jobs:
        part.append(job)
        chars += len(job.input)
        if len(part) == SLICE_JOBS or chars >= SLICE_CHARS:
            yield part
            part, chars = [], 0
    if part:
        yield part


def _place(batch: BatchRecord) -> tuple[int, str]:
    return round(batch.created_at * 1000), batch.id
