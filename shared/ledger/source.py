"""What a job that says one segment anew was given of the job it is made from, as planners read it.

Every function raises `SourceGone` once that job has ended or is planned, which forgets it, and
redis-py's `RedisError` when Redis is away.
"""

import redis

from shared.errors import SourceGone
from shared.ledger.records import ChapterRecord
from shared.ledger.redo import KeptSegment
from shared.ledger.scripts import text
from shared.spoken import SpokenSegment, decode


def source_segments(client: redis.Redis, uid: str, start: int, stop: int) -> list[KeptSegment]:
    """Return segments `start` to `stop` (excluded), of which there are some."""
    names = [str(index) for index in range(start, stop)]
    rows = client.hmget(f"kc:job:{uid}:source", names)
    found = [KeptSegment.from_json(row) for row in rows if row is not None]
    if len(found) < len(names):
        raise SourceGone(f"Segments that {uid} is made of are gone.")
    return found


def source_spoken(client: redis.Redis, uid: str, start: int, stop: int) -> list[SpokenSegment]:
    """Return what these segments say."""
    key = f"kc:job:{uid}:source_words"
    begins = sorted(int(first) for first in client.hkeys(key) if int(first) < stop)
    held = max((first for first in begins if first <= start), default=0)
    wanted = [first for first in begins if first >= held]
    rows = client.hmget(key, [str(first) for first in wanted]) if wanted else []
    found = {
        index: said
        for first, row in zip(wanted, rows, strict=True)
        if row is not None
        for index, said in enumerate(decode(row), first)
    }
    if any(index not in found for index in range(start, stop)):
        raise SourceGone(f"What the segments say that {uid} is made of is gone.")
    return [found[index] for index in range(start, stop)]


def source_chapters(client: redis.Redis, uid: str) -> list[ChapterRecord]:
    """Return the chapters, in order; none once they are forgotten."""
    rows = client.lrange(f"kc:job:{uid}:source_chapters", 0, -1)
    return [ChapterRecord.from_json(text(row)) for row in rows]
