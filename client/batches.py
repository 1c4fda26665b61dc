"""Many jobs as one resource: what it is, and the calls for it."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from client.answers import DeliveryList, JobPage, raw_field
from client.calls import Call, nothing, reader
from client.errors import InvalidUse
from client.requests import TEXTS, options_body

IN_PROGRESS = "in_progress"

SUBMIT_TIMEOUT_S = 120.0
"""For the answer to a thousand jobs."""

FIRST_LOOK_S, LONGEST_LOOK_S = 0.5, 5.0
"""Between looks at a batch that is waited for."""


@dataclass(frozen=True, kw_only=True)
class RequestCounts:
    """How many of a batch's jobs there are, and have ended so."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def ended(self) -> int:
        """Those that have ended, however."""
        return self.succeeded + self.failed + self.canceled + self.expired


NONE_COUNTED = RequestCounts()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch. `status` goes in_progress → completed or canceled."""

    id: str
    status: str
    created_at: datetime | None = None
    completed_at: datetime | None = None
    input_chars: int = 0
    request_counts: RequestCounts = NONE_COUNTED
    metadata: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = raw_field()

    @property
    def ended(self) -> bool:
        """Whether all its jobs have ended."""
        return self.status != IN_PROGRESS


@dataclass(frozen=True, kw_only=True)
class BatchPage:
    """Some batches, newest first; `after` asks for the next page."""

    data: tuple[Batch, ...] = ()
    has_more: bool = False
    after: str | None = None


def batch_body(
    items: Iterable[Mapping[str, Any]],
    webhook: str | Mapping[str, Any] | None,
    metadata: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return the JSON of a batch.

    Raises:
        InvalidUse: there is no item, or one has not one text; the message tells which.
    """
    rows = []
    for number, item in enumerate(items):
        row = options_body(item)
        if len(row.keys() & TEXTS) != 1:
            raise InvalidUse(f"Item {number} of the batch needs one of input, segments, chapters.")
        rows.append(row)
    if not rows:
        raise InvalidUse("The batch has no items.")
    body: dict[str, Any] = {"items": rows}
    if webhook is not None:
        body["webhook"] = {"url": webhook} if isinstance(webhook, str) else webhook
    if metadata is not None:
        body["metadata"] = metadata
    return body


def submit(body: Mapping[str, Any], idempotency_key: str | None) -> Call[Batch]:
    """Make a batch: all of its jobs or none."""
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    return Call(
        "POST",
        "/v1/batches",
        reader(Batch),
        headers=headers,
        json=body,
        timeout_s=SUBMIT_TIMEOUT_S,
    )


def get(batch: Batch | str) -> Call[Batch]:
    """Look at a batch."""
    return Call("GET", _path(batch), reader(Batch))


def listing(limit: int, after: str | None) -> Call[BatchPage]:
    """List batches."""
    params = {"limit": str(limit), **({} if after is None else {"after": after})}
    return Call("GET", "/v1/batches", reader(BatchPage), params=params)


def jobs(batch: Batch | str, after: str | None, status: str | None) -> Call[JobPage]:
    """List a batch's jobs in their order."""
    wanted = {"limit": "100", "after": after, "status": status}
    params = {name: value for name, value in wanted.items() if value is not None}
    return Call("GET", f"{_path(batch)}/jobs", reader(JobPage), params=params)


def cancel(batch: Batch | str) -> Call[Batch]:
    """End all jobs of a batch that have not ended."""
    lost = {"batch_terminal": get(batch)}
    return Call("POST", f"{_path(batch)}/cancel", reader(Batch), after_loss=lost)


def deliveries(batch: Batch | str) -> Call[DeliveryList]:
    """List a batch's own webhooks."""
    return Call("GET", f"{_path(batch)}/deliveries", reader(DeliveryList))


def delete(batch: Batch | str) -> Call[None]:
    """Remove a batch that has ended, and its jobs; that an earlier try has done it is no error."""
    return Call("DELETE", _path(batch), nothing, after_loss={"batch_not_found": None})


def look_s(looks: int) -> float:
    """Return seconds until a batch is looked at again, after so many looks."""
    return min(LONGEST_LOOK_S, FIRST_LOOK_S * 1.5 ** min(looks, 20))


def _path(batch: Batch | str) -> str:
    found = batch.id if isinstance(batch, Batch) else batch
    if not found or found in {".", ".."}:
        raise InvalidUse(f"{found!r} is no batch's id.")
    return f"/v1/batches/{quote(found, safe='')}"
