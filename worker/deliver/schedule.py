"""When a delivery that failed is tried again."""

import random
from collections.abc import Sequence

MINUTE_S = 60.0
HOUR_S = 3600.0

RETRY_SCHEDULE_S: tuple[float, ...] = (
    5.0,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
)
"""Seconds before each retry: nine of them, over three days and a bit."""

MAX_RETRY_AFTER_S = 24 * HOUR_S
"""Longest wait a receiver can ask for."""

JITTER = 0.1
"""Largest share by which a wait is lengthened, so that many that failed together part ways."""


def next_delay_s(
    attempts: int,
    schedule: Sequence[float] = RETRY_SCHEDULE_S,
    retry_after_s: float | None = None,
    rng: random.Random | None = None,
) -> float | None:
    """Return the seconds to wait before the next attempt, or None when the delivery is exhausted.

    Jitter only lengthens: a retry is never earlier than the schedule, nor than the receiver asked.

    Args:
        attempts: how many attempts have failed so far, from 1.
        schedule: seconds before the first, second, … retry.
        retry_after_s: what the receiver asked for; counts up to `MAX_RETRY_AFTER_S`.
        rng: source of the jitter.

    Raises:
        ValueError: `attempts` is below 1.
    """
    if attempts < 1:
        raise ValueError("a delay follows at least one attempt")
    if attempts > len(schedule):
        return None
    asked_s = min(retry_after_s or 0.0, MAX_RETRY_AFTER_S)
    rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
    return max(schedule[attempts - 1], asked_s) * (1 + JITTER * rng.random())
