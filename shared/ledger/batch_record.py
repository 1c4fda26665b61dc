"""What the ledger keeps of a batch, and how it is written and read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.ledger.records import NewJob
from shared.ledger.states import BatchStatus

BATCH_PREFIX = "batch_"

SLICE_JOBS = 50
"""Jobs of a batch that one script writes or ends: milliseconds in which Redis serves nobody."""


@dataclass(frozen=True)
class NewBatch:
    """A batch, checked, on its way into the ledger.

    Attributes:
        id: `batch_` and 26 characters that sort by time.
        owner: id of the key that submits it; of all its jobs too.
        jobs: 1 to 1,000, in the order they came.
        payload: hash of the whole request, to tell a repeat from another use of its key.
        idempotency: hash of the client's `Idempotency-Key`.
        metadata: handed back as it came.
        traceparent: as `NewJob`'s.
    """

    id: str
    owner: str
    jobs: tuple[NewJob, ...]
    payload: str
    idempotency: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    webhook_url: str | None = None
    webhook_host: str | None = None
    webhook_events: str | None = None
    traceparent: str | None = None

    def to_json(self, *, jobs: bool) -> str:
        """Encode, absent fields left out (cjson would read null as a value).

        Args:
            jobs: with what is to be known of the jobs, staged by then, to accept them.
        """
        fields: dict[str, Any] = {
            name: value
            for name, value in vars(self).items()
            if value is not None and name not in {"jobs", "metadata"}
        }
        fields["metadata"] = json.dumps(self.metadata, sort_keys=True, ensure_ascii=False)
        fields["total"] = len(self.jobs)
        fields["input_chars"] = sum(len(job.input) for job in self.jobs)
        fields["share"] = self.jobs[0].share
        if jobs:
            fields["jobs"] = [_entry(job) for job in self.jobs]
        return json.dumps(fields)


def _entry(job: NewJob) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "uid": job.uid,
        "lane": job.lane,
        "input_chars": len(job.input),
        "deadline_s": job.deadline_s,
    }
    if job.custom_id is not None:
        entry["custom_id"] = job.custom_id
    if job.lexicons:
        entry["lexicons"] = job.lexicons
    if job.warnings:
        entry["warned"] = True
    return entry


@dataclass(frozen=True)
class BatchRecord:
    """A batch as the ledger knows it; times are seconds since 1970, UTC.

    Attributes:
        total: its jobs, forgotten ones too; so for the counts by how they ended.
        input_chars: of all of them.
    """

    id: str
    owner: str
    status: BatchStatus
    created_at: float
    completed_at: float | None
    total: int
    succeeded: int
    failed: int
    canceled: int
    expired: int
    input_chars: int
    metadata: dict[str, str]

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> "BatchRecord":
        """Read a batch from its Redis hash."""
        completed = fields.get("completed_ms")
        return cls(
            id=fields["id"],
            owner=fields["owner"],
            status=BatchStatus(fields["status"]),
            created_at=float(fields["created_ms"]) / 1000,
            completed_at=None if completed is None else float(completed) / 1000,
            total=int(fields["total"]),
            succeeded=int(fields.get("succeeded", 0)),
            failed=int(fields.get("failed", 0)),
            canceled=int(fields.get("canceled", 0)),
            expired=int(fields.get("expired", 0)),
            input_chars=int(fields["input_chars"]),
            metadata=json.loads(fields["metadata"]),
        )
