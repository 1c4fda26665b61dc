import random

import pytest

from worker.deliver.schedule import JITTER, MAX_RETRY_AFTER_S, RETRY_SCHEDULE_S, next_delay_s


def test_the_schedule_is_the_one_the_api_promises() -> None:
    assert RETRY_SCHEDULE_S == (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)


@pytest.mark.parametrize("attempts", range(1, 10))
def test_a_retry_is_never_early_and_at_most_a_jitter_late(attempts: int) -> None:
    rng = random.Random(7)
    due_s = RETRY_SCHEDULE_S[attempts - 1]
    delays = [next_delay_s(attempts, rng=rng) for _ in range(200)]
    assert all(delay is not None and due_s <= delay <= due_s * (1 + JITTER) for delay in delays)
    assert len(set(delays)) > 100


def test_after_the_last_retry_the_delivery_is_exhausted() -> None:
    assert next_delay_s(10) is None
    assert next_delay_s(10, retry_after_s=60) is None
    assert next_delay_s(1, schedule=()) is None


@pytest.mark.parametrize(
    ("retry_after_s", "at_least_s"),
    [(None, 5), (0, 5), (1, 5), (600, 600), (10 * MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S)],
)
def test_retry_after_lengthens_a_wait_up_to_a_day_and_never_shortens_it(
    retry_after_s: float | None, at_least_s: float
) -> None:
    delay = next_delay_s(1, retry_after_s=retry_after_s, rng=random.Random(7))
    assert delay is not None
    assert at_least_s <= delay <= at_least_s * (1 + JITTER)


def test_a_seed_makes_the_delay_reproducible() -> None:
    assert next_delay_s(3, rng=random.Random(1)) == next_delay_s(3, rng=random.Random(1))


def test_a_delay_before_any_attempt_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        next_delay_s(0)
