"""Every row of the fault table, registered by being imported."""

from tests.faults import (
    rows_gateway,
    rows_long,
    rows_redis,
    rows_steps,
    rows_storage,
    rows_webhooks,
    rows_workers,
)
from tests.faults.run import ROWS

__all__ = [
    "ROWS",
    "rows_gateway",
    "rows_long",
    "rows_redis",
    "rows_steps",
    "rows_storage",
    "rows_webhooks",
    "rows_workers",
]
