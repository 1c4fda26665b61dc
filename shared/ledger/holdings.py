"""The ledger as an operator sees it: what each process works on now, and the end of a job by name.

Whose key a job belongs to is no matter here: whoever reaches Redis runs the cluster.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import redis

from shared.ledger.records import SegmentRecord
from shared.ledger.scripts import script, text
from shared.ledger.states import JobStatus

FAR_AHEAD_MS = 60_000
"""By so much tokens are ahead of the clock only if they were restored."""


@dataclass(frozen=True)
class Holding:
    """What one process holds of one job, or of one webhook.

    Attributes:
        worker: whose process it is.
        stage: plan, segment, assemble or delivery.
        item: the job's id, or the webhook's.
        owner: id of the key whose it is.
        segments: their indexes, in order; none but of the stage `segment`.
        attempt: which time it is being tried, the most of its segments; 0: only claimed ahead.
        held_s: seconds since it was claimed, about; None for the first hour after a restore.
    """

    worker: str
    stage: str
    item: str
    owner: str
    segments: tuple[int, ...]
    attempt: int
    held_s: float | None


@dataclass(frozen=True)
class _Item:
    worker: str
    stage: str
    name: str
    index: int | None
    token: int


class Holdings:
    """Looks and ends; every method raises redis-py's `RedisError` when Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._cancel = client.register_script(script("cancel"))

    def now(self) -> list[Holding]:
        """Return what is held, what has been held longest first."""
        groups: defaultdict[tuple[str, str, str], list[_Item]] = defaultdict(list)
        for item in self._items():
            groups[item.worker, item.stage, item.name].append(item)
        now_s, micros = self._client.time()
        now_ms = int(now_s) * 1000 + int(micros) // 1000
        found = [self._holding(items, now_ms) for items in groups.values()]
        return sorted(found, key=lambda one: -(one.held_s or 0.0))

    def end(self, uid: str) -> JobStatus | None:
        """End a job as its client's cancel would; return its status before, None if unknown."""
        status = text(self._cancel(args=[uid]))
        return JobStatus(status) if status else None

    def _items(self) -> list[_Item]:
        names = sorted(text(name) for name in self._client.smembers("kc:incarnations"))
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            pipe.smembers(f"kc:held:{name}")
        found = []
        for incarnation, held in zip(names, pipe.execute(), strict=True):
            worker = incarnation.partition("/")[0]
            found += [_item(worker, text(member)) for member in held]
        return found

    def _holding(self, items: list[_Item], now_ms: int) -> Holding:
        first = items[0]
        segments = tuple(sorted(item.index for item in items if item.index is not None))
        if first.stage == "delivery":
            fields = self._fields(f"kc:delivery:{first.name}", "owner", "attempts")
        else:
            fields = self._fields(f"kc:job:{first.name}", "owner", f"{first.stage}_attempts")
        attempt = int(fields[1] or 0)
        if segments:
            rows = self._client.hmget(f"kc:job:{first.name}:segments", [str(i) for i in segments])
            attempt = max(
                SegmentRecord.from_json(index, text(row)).attempts if row is not None else 0
                for index, row in zip(segments, rows, strict=True)
            )
        # Tokens run with the clock, in milliseconds: by a batch's worth before it, and after a
        # restore by an hour.
        held_ms = now_ms - min(item.token for item in items)
        held_s = max(0, held_ms) / 1000 if held_ms > -FAR_AHEAD_MS else None
        return Holding(
            first.worker, first.stage, first.name, fields[0] or "", segments, attempt, held_s
        )

    def _fields(self, key: str, *names: str) -> list[str | None]:
        rows: list[Any] = self._client.hmget(key, names)
        return [None if row is None else text(row) for row in rows]


def _item(worker: str, member: str) -> _Item:
    """Read a member of `kc:held:…`, as the claiming scripts write it."""
    stage, name, *rest = member.split("|")
    index = int(rest.pop(0)) if stage == "segment" else None
    return _Item(worker, stage, name, index, int(rest[0]))
