"""The batch as clients see it: in answers of the gateway and in webhooks, from one function."""

from typing import Any

from shared.job_view import timestamp
from shared.ledger.batch_record import BatchRecord


def batch_view(record: BatchRecord, *, base_url: str) -> dict[str, Any]:
    """Return the Batch object of the API.

    Args:
        record: the batch.
        base_url: put before every path, without a slash at its end; empty for bare paths.
    """
    url = f"{base_url}/v1/batches/{record.id}"
    return {
        "id": record.id,
        "object": "batch",
        "status": record.status.value,
        "created_at": timestamp(record.created_at),
        "completed_at": timestamp(record.completed_at),
        "input_chars": record.input_chars,
        "request_counts": {
            "total": record.total,
            "succeeded": record.succeeded,
            "failed": record.failed,
            "canceled": record.canceled,
            "expired": record.expired,
        },
        "metadata": record.metadata,
        "urls": {"self": url, "jobs": f"{url}/jobs", "cancel": f"{url}/cancel"},
    }
