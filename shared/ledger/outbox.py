"""The webhook outbox as the gateway sees it: what became of deliveries, and one sent again. Async.

Whose they are is asked of the record of their job or batch.
"""

import json
from collections.abc import Awaitable, Sequence
from typing import Any, cast

import redis.asyncio

from shared.ledger.batch_record import BATCH_PREFIX
from shared.ledger.records import DeliveryRecord
from shared.ledger.scripts import script
from shared.ledger.states import DeliveryStatus


class Outbox:
    """Async view of all deliveries; every method raises `RedisError` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._replay: Any = client.register_script(script("replay_delivery"))

    async def deliveries(self, subject: str) -> list[DeliveryRecord]:
        """Return the deliveries of a job (its uid) or of a batch, with their attempts."""
        kind = "batch" if subject.startswith(BATCH_PREFIX) else "job"
        rows = self._client.lrange(f"kc:{kind}:{subject}:deliveries", 0, -1)
        found = []
        for delivery_id in await cast("Awaitable[list[str]]", rows):
            key = f"kc:delivery:{delivery_id}"
            row = await cast("Awaitable[dict[str, str]]", self._client.hgetall(key))
            entries = await cast("Awaitable[list[str]]", self._client.lrange(f"{key}:log", 0, -1))
            if row:
                found.append(_delivery(row, entries))
        return found

    async def replay(self, subject: str, delivery_id: str) -> DeliveryStatus | None:
        """Send a finished delivery again; return its status before, or None if unknown."""
        status = await self._replay(args=[subject, delivery_id])
        return DeliveryStatus(status) if status else None


def _delivery(row: dict[str, str], entries: Sequence[str]) -> DeliveryRecord:
    pending = row["status"] == DeliveryStatus.PENDING
    return DeliveryRecord(
        id=row["id"],
        job=row["job"],
        event=row["event"],
        url=row["url"],
        status=DeliveryStatus(row["status"]),
        attempts=int(row["attempts"]),
        created_at=float(row["created_ms"]) / 1000,
        next_attempt_at=float(row["next_ms"]) / 1000 if pending else None,
        log=tuple(json.loads(entry) for entry in entries),
    )
