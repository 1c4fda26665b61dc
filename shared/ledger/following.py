"""The ledger as seen by those who follow a job while it is worked on. Async."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import cast

import redis.asyncio

from shared.ledger.records import JobRecord, SegmentRecord
from shared.ledger.states import SegmentStatus

NEWS_CHANNEL = "kc:news:"
"""Before a job's uid: where the ledger publishes that the job got on, without saying how."""


@dataclass(frozen=True)
class Look:
    """A job at one moment.

    Attributes:
        job: None when there is none of that uid any more.
        done: segments that are done, from the one asked for on, up to the first that is not.
        more: whether there may be more of them than were asked for at a time.
    """

    job: JobRecord | None
    done: tuple[SegmentRecord, ...]
    more: bool


async def look(client: redis.asyncio.Redis, uid: str, start: int, most: int = 32) -> Look:
    """Look at a job and at what is done of it beyond what is known.

    The segments are read after the job: where the job has ended, no more will follow.

    Args:
        client: decodes replies.
        uid: of the job.
        start: index of the first segment that is not known to be done.
        most: segments to be read at a time.

    Raises:
        RedisError: Redis is away.
    """
    pipe = client.pipeline(transaction=False)
    pipe.hgetall(f"kc:job:{uid}")
    pipe.hmget(f"kc:job:{uid}:segments", [str(index) for index in range(start, start + most)])
    row, texts = await pipe.execute()
    done: list[SegmentRecord] = []
    for index, text in enumerate(texts, start):
        segment = None if text is None else SegmentRecord.from_json(index, text)
        if segment is None or segment.status is not SegmentStatus.DONE:
            break
        done.append(segment)
    job = JobRecord.from_hash(row) if row else None
    return Look(job, tuple(done), len(done) == most)


async def segment_of(client: redis.asyncio.Redis, uid: str, index: int) -> SegmentRecord | None:
    """Return one segment of a job; None when no segment of that index is planned.

    Raises:
        RedisError: Redis is away.
    """
    found = client.hget(f"kc:job:{uid}:segments", str(index))
    text = await cast("Awaitable[str | None]", found)
    return None if text is None else SegmentRecord.from_json(index, text)
