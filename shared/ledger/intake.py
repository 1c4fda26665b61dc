"""The ledger as the gateway sees it: submit, look, cancel, delete. Async."""

import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import redis.asyncio
from redis.exceptions import ResponseError

from shared.ledger.outlook import Outlook, Places
from shared.ledger.records import JobRecord, NewJob, SegmentRecord
from shared.ledger.redo import KeptSegment
from shared.ledger.scripts import script
from shared.ledger.states import JobStatus, Lane
from shared.ledger.upkeep import Backlog
from shared.manifest import EngineManifest, EngineStamp

UID_PREFIX = "job_"
CURSOR = r"^[0-9]{1,15}-job_[0-9A-Z]{26}$"
"""A place in a listing: milliseconds since 1970 and a uid, so it outlives the job it names."""
ENDED_CHANNEL = "kc:ended"
"""Where the ledger publishes the uid of each job that ends."""
KEPT_AT_ONCE = 500
"""Segments that one script looks after: some milliseconds."""
_ALL_THERE = -1
RATE_WINDOW_S = 60
"""Over how many past seconds throughput is measured."""


class Verdict(StrEnum):
    """What became of a submission."""

    CREATED = "created"
    EXISTING = "existing"
    """The same key or id with the same payload: here is the first job."""
    CONFLICT = "conflict"
    """The same key or id with another payload."""
    RATE_LIMITED = "rate_limited"
    """Too many jobs a minute for this key."""
    KEY_FULL = "key_full"
    """Too many queued characters for this key."""
    FULL = "full"
    """Too much queued in the whole cluster."""
    UNKNOWN_LEXICON = "unknown_lexicon"
    """The owner has no such lexicon, or no longer that version of it."""
    SOURCE_GONE = "source_gone"
    """The job of which a segment was to be said anew is gone, or its segments are."""


@dataclass(frozen=True)
class Limits:
    """Admission limits for one submission.

    Attributes:
        rate_per_min: jobs a minute for this key.
        key_max_queued_chars: characters of this key that are accepted and not finished.
        max_queued_chars: the same over all keys.
        max_queued_jobs: jobs accepted and not finished, over all keys.
        idempotency_ttl_s: seconds an idempotency key is remembered.
    """

    rate_per_min: int
    key_max_queued_chars: int
    max_queued_chars: int
    max_queued_jobs: int
    idempotency_ttl_s: int


@dataclass(frozen=True)
class Submission:
    """The answer to a submission.

    Attributes:
        uid: of the job that now exists or existed before; None when it was refused.
        retry_after_s: for `RATE_LIMITED`.
        record: the job, for `CREATED` and `EXISTING`.
        queue_position: how many jobs are planned before it; None once planning has begun.
        missing: the lexicon, for `UNKNOWN_LEXICON`.
    """

    verdict: Verdict
    uid: str | None
    retry_after_s: int = 0
    record: JobRecord | None = None
    queue_position: int | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Page:
    """A stretch of a listing.

    Attributes:
        jobs: newest first.
        after: cursor of the next page; None at the end.
    """

    jobs: list[JobRecord]
    after: str | None


@dataclass(frozen=True)
class Throughput:
    """What the cluster's synth workers can render together, per second."""

    chars_per_s: float
    audio_s_per_s: float


class Intake:
    """Async view of the ledger. Every method raises redis-py's `RedisError` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self._scripts: dict[str, Any] = {}
        self._engine: tuple[str, EngineManifest] | None = None

    async def _run(self, name: str, *args: str | bytes | int) -> Any:
        found = self._scripts.get(name)
        if found is None:
            found = self._scripts[name] = self.client.register_script(script(name))
        return await found(args=args)

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self.client.ping()

    async def weaknesses(self) -> list[str]:
        """Return what of Redis's set-up may lose accepted jobs, a sentence each with its remedy.

        A Redis that does not tell has none that are known.
        """
        try:
            memory = await self.client.info("memory")
            persistence = await self.client.info("persistence")
        except ResponseError:
            return []
        found = []
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            found.append(
                "Redis may delete accepted jobs when its memory is full: maxmemory-policy is "
                f"{policy}. Set it to noeviction."
            )
        if persistence.get("aof_enabled", 1) == 0:
            found.append(
                "Redis loses accepted jobs when it is restarted: its append-only file is off."
                " Set appendonly to yes."
            )
        return found

    async def engine(self) -> EngineManifest | None:
        """Return what the synth workers speak with; None until one has said so."""
        text = await self.client.get("kc:engine")
        if text is None:
            return None
        if self._engine is None or self._engine[0] != text:
            self._engine = (str(text), EngineManifest.from_json(str(text)))
        return self._engine[1]

    async def create(self, job: NewJob, limits: Limits) -> Submission:
        """Record a job, its place in the queue and its idempotency record, or say why not."""
        words = job.source.words if job.source else ()
        word, value, *job_now = await self._run(
            "create",
            job.to_json(),
            job.input,
            json.dumps(vars(limits)),
            *(part for row in words for part in row),
        )
        verdict = Verdict(word)
        if verdict is Verdict.CONFLICT:
            return Submission(verdict, value)
        if verdict is Verdict.UNKNOWN_LEXICON:
            return Submission(verdict, None, missing=value)
        if not job_now:
            return Submission(verdict, None, int(value))
        row, place = job_now
        return Submission(
            verdict,
            value,
            record=JobRecord.from_hash(json.loads(row)),
            queue_position=None if place < 0 else place,
        )

    async def resolve(self, owner: str, job_id: str) -> str | None:
        """Return the uid of the owner's job called `job_id` (a uid or a client's own id)."""
        if job_id.startswith(UID_PREFIX):
            found = await cast(
                "Awaitable[str | None]", self.client.hget(f"kc:job:{job_id}", "owner")
            )
            return job_id if found == owner else None
        client = f"kc:client:{owner}:{job_id}"
        return await cast("Awaitable[str | None]", self.client.hget(client, "uid"))

    async def get(self, owner: str, job_id: str) -> JobRecord | None:
        """Return the owner's job, or None: unknown and another's look the same."""
        uid = job_id if job_id.startswith(UID_PREFIX) else await self.resolve(owner, job_id)
        if uid is None:
            return None
        (record,) = await self._get_many([uid])
        return record if record is not None and record.owner == owner else None

    async def status(self, uid: str) -> JobStatus | None:
        """Return just the status of a job."""
        text = await cast("Awaitable[str | None]", self.client.hget(f"kc:job:{uid}", "status"))
        return None if text is None else JobStatus(text)

    async def _get_many(self, uids: Sequence[str]) -> list[JobRecord | None]:
        pipe = self.client.pipeline(transaction=False)
        for uid in uids:
            pipe.hgetall(f"kc:job:{uid}")
        return [JobRecord.from_hash(row) if row else None for row in await pipe.execute()]

    async def jobs(
        self,
        owner: str,
        *,
        limit: int,
        after: str | None = None,
        status: JobStatus | None = None,
        custom_id: str | None = None,
        created_after: float | None = None,
        created_before: float | None = None,
    ) -> Page:
        """Return the owner's jobs, newest first.

        Args:
            owner: whose.
            limit: most jobs of a page.
            after: `Page.after` of the page before, of the form `CURSOR`.
            status: only these.
            custom_id: only these.
            created_after: seconds since 1970; later ones only.
            created_before: seconds since 1970; earlier ones only.
        """
        index = f"kc:custom:{owner}:{custom_id}" if custom_id else f"kc:jobs:{owner}"
        low = "-inf" if created_after is None else f"({int(created_after * 1000)}"
        high = "+inf" if created_before is None else f"({int(created_before * 1000)}"
        cursor: tuple[int, str] | None = None
        if after is not None:
            ms, _, last = after.partition("-")
            cursor = (int(ms), last)
            if created_before is None or int(ms) < int(created_before * 1000):
                high = ms
        found: list[JobRecord] = []
        skip = 0
        # Beside the page itself: the job the cursor names, and one to know whether more follow.
        page_size = limit + 2 if status is None else max(limit, 100)
        while True:
            rows = await self.client.zrange(
                index, high, low, desc=True, byscore=True, offset=skip, num=page_size
            )
            skip += len(rows)
            for job in await self._get_many([str(row) for row in rows]):
                if job is None or (status is not None and job.status != status):
                    continue
                # Jobs of one millisecond stand in the order of their uids, the largest first.
                if cursor is not None and _place(job) >= cursor:
                    continue
                if len(found) == limit:
                    ms_last, last = _place(found[-1])
                    return Page(found, f"{ms_last}-{last}")
                found.append(job)
            if len(rows) < page_size:
                return Page(found, None)

    async def kept_segment(self, uid: str, index: int) -> KeptSegment | None:
        """Return what is known of a segment of a job that has ended; None if it is forgotten."""
        found = self.client.hget(f"kc:job:{uid}:segments", str(index))
        row = await cast("Awaitable[str | None]", found)
        return None if row is None else KeptSegment.from_json(row)

    async def engine_of(self, uid: str) -> EngineStamp | None:
        """Return what a job was to be rendered with; None if there is no such job."""
        found = self.client.hget(f"kc:job:{uid}", "engine")
        row = await cast("Awaitable[str | None]", found)
        return None if row is None else EngineStamp.from_json(row)

    async def keep_segments(self, uid: str, total: int, *, but: int) -> int | None:
        """Have a job's stored audio kept for as long as if it were new.

        In slices, so that the ledger of a book is not held up.

        Args:
            uid: of a job that has succeeded.
            total: its segments.
            but: the one that is not needed.

        Returns:
            The first segment whose audio is gone; None if it is all there.
        """
        for first in range(0, total, KEPT_AT_ONCE):
            stop = min(first + KEPT_AT_ONCE, total)
            gone = int(await self._run("keep_segments", uid, first, stop, but))
            if gone != _ALL_THERE:
                return max(gone, first)
        return None

    async def segments(self, uid: str, total: int) -> list[SegmentRecord]:
        """Return the job's segments planned so far."""
        found: list[SegmentRecord] = []
        for start in range(0, total, 1000):
            indexes = range(start, min(start + 1000, total))
            rows = await cast(
                "Awaitable[list[str | None]]",
                self.client.hmget(f"kc:job:{uid}:segments", [str(i) for i in indexes]),
            )
            found += [
                SegmentRecord.from_json(index, row)
                for index, row in zip(indexes, rows, strict=True)
                if row is not None
            ]
        return found

    async def segments_from(self, uid: str, first: int, most: int) -> list[SegmentRecord]:
        """Return up to `most` planned segments from `first` on."""
        names = [str(index) for index in range(first, first + most)]
        rows = await cast(
            "Awaitable[list[str | None]]", self.client.hmget(f"kc:job:{uid}:segments", names)
        )
        return [
            SegmentRecord.from_json(index, row)
            for index, row in enumerate(rows, first)
            if row is not None
        ]

    async def spoken(self, uid: str, first: int, stop: int) -> list[tuple[int, str]] | None:
        """Return what segments `first` to `stop` (excluded) say, for jobs with captions.

        Returns:
            For each planned slice that holds some of them, its first segment and what
            `shared.spoken.decode` reads; None once the job has ended, which forgets it.
        """
        key = f"kc:job:{uid}:words"
        found = await cast("Awaitable[list[str]]", self.client.hkeys(key))
        if not found:
            return None
        begins = sorted(map(int, found))
        wanted = [
            begin
            for begin, after in zip(begins, [*begins[1:], stop], strict=True)
            if begin < stop and (after > first or begin == begins[-1])
        ]
        if not wanted:
            return None
        rows = await cast(
            "Awaitable[list[str | None]]", self.client.hmget(key, [str(begin) for begin in wanted])
        )
        slices = [(begin, row) for begin, row in zip(wanted, rows, strict=True) if row is not None]
        return slices if len(slices) == len(wanted) else None

    async def warnings(self, uid: str) -> list[dict[str, Any]]:
        """Return the job's warnings, the first hundred."""
        rows = await cast(
            "Awaitable[list[str]]", self.client.lrange(f"kc:job:{uid}:warnings", 0, -1)
        )
        return [json.loads(row) for row in rows]

    async def places(self, jobs: Sequence[JobRecord]) -> list[Places]:
        """Return the places in queues of some jobs, in their order."""
        if not jobs:
            return []
        pipe = self.client.pipeline(transaction=False)
        for job in jobs:
            pipe.zrank("kc:queue:redo" if job.redo else "kc:queue:plan", job.uid)
            pipe.zrank(f"kc:lane:{job.lane}:{job.owner}", job.uid)
        ranks = await pipe.execute()
        return [Places(*pair) for pair in zip(ranks[::2], ranks[1::2], strict=True)]

    async def speech(self) -> dict[str, str]:
        """Return what was measured of each voice; see `shared.ledger.speech`."""
        return await cast("Awaitable[dict[str, str]]", self.client.hgetall("kc:speech"))

    async def outlook(self, owner: str, lane: Lane) -> Outlook:
        """Return what is ahead of an owner's jobs in a lane, and how fast it goes."""
        return Outlook.from_json(str(await self._run("outlook", lane, owner)))

    async def cancel(self, uid: str) -> JobStatus | None:
        """End a job; return its status before."""
        status = await self._run("cancel", uid)
        return JobStatus(status) if status else None

    async def delete(self, uid: str) -> JobStatus | None:
        """Forget a finished job; return its status, which is not terminal when it was refused."""
        status = await self._run("delete", uid)
        return JobStatus(status) if status else None

    # The cluster

    async def backlog(self) -> Backlog:
        """Return what waits at each stage."""
        return Backlog.from_row(await self._run("claimable"))

    async def queued_chars(self) -> int:
        """Return the characters accepted and not finished."""
        return int(await self.client.get("kc:queued_chars") or 0)

    async def queued_jobs(self) -> int:
        """Return the jobs accepted and not finished."""
        return int(await self.client.get("kc:queued_jobs") or 0)

    async def throughput(self) -> Throughput:
        """Return what the synth workers do when busy, as measured over `RATE_WINDOW_S` seconds."""
        now_s, _ = await self.client.time()
        pipe = self.client.pipeline(transaction=False)
        for bucket in range(now_s // 10 - RATE_WINDOW_S // 10 + 1, now_s // 10 + 1):
            pipe.hmget(f"kc:rate:{bucket}", ["chars", "audio_s", "busy_s"])
        pipe.smembers("kc:workers")
        *rows, names = await pipe.execute()
        chars, audio_s, busy_s = (sum(float(row[i] or 0) for row in rows) for i in range(3))
        if busy_s <= 0:
            return Throughput(0.0, 0.0)
        workers = max(1, sum(name.startswith("synth.") for name in names))
        return Throughput(workers * chars / busy_s, workers * audio_s / busy_s)

    async def workers(self) -> list[dict[str, Any]]:
        """Return the workers heard of in the last seconds."""
        names = sorted(await cast("Awaitable[set[str]]", self.client.smembers("kc:workers")))
        if not names:
            return []
        rows = await self.client.mget([f"kc:worker:{name}" for name in names])
        gone = [name for name, row in zip(names, rows, strict=True) if row is None]
        if gone:
            await self.client.srem("kc:workers", *gone)
        return [json.loads(row) for row in rows if row is not None]

    async def totals(self) -> dict[str, float]:
        """Return the cluster's running totals since its ledger was made."""
        rows = await cast("Awaitable[dict[str, str]]", self.client.hgetall("kc:totals"))
        return {name: float(value) for name, value in rows.items()}

    async def jobs_by_status(self) -> dict[JobStatus, int]:
        """Return how many jobs have each status."""
        rows = await cast("Awaitable[dict[str, str]]", self.client.hgetall("kc:jobs_by_status"))
        return {status: int(rows.get(status, 0)) for status in JobStatus}

    async def batch_sizes(self) -> dict[int, int]:
        """Return how many batches had each size."""
        rows = await cast("Awaitable[dict[str, str]]", self.client.hgetall("kc:batch_sizes"))
        return {int(size): int(number) for size, number in rows.items()}


def _place(job: JobRecord) -> tuple[int, str]:
    return round(job.created_at * 1000), job.uid
