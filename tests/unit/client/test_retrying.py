import pytest

from client.errors import (
    ApiError,
    InvalidRequest,
    KokoroClusterError,
    RateLimited,
    ServerFault,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
)
from client.retrying import Retry, retry_after_s

LATEST = 0.999999


def test_waits_double_up_to_the_longest_and_then_the_error_is_the_callers() -> None:
    retry = Retry(tries=5, first_s=1, most_s=3)
    waits = [retry.wait_s(tried, Unreachable(), chance=lambda: LATEST) for tried in range(1, 6)]
    assert waits[:4] == pytest.approx([1, 2, 3, 3], rel=1e-3)
    assert waits[4] is None


def test_many_clients_do_not_come_back_at_once() -> None:
    retry = Retry(first_s=1)
    assert retry.wait_s(1, Unreachable(), chance=lambda: 0.0) == 0.5
    assert retry.wait_s(1, Unreachable(), chance=lambda: 0.5) == 0.75


@pytest.mark.parametrize("kind", [RateLimited, Unavailable])
def test_what_the_server_asks_for_is_waited_at_least(kind: type[ApiError]) -> None:
    error = kind(status=429 if kind is RateLimited else 503, retry_after_s=7)
    for chance in (0.0, LATEST):
        wait_s = Retry().wait_s(1, error, chance=lambda chance=chance: chance)  # type: ignore[misc]
        assert wait_s is not None
        assert 7 <= wait_s <= 7.7


def test_a_wait_longer_than_the_most_patient_is_not_begun() -> None:
    error = RateLimited(status=429, retry_after_s=3600)
    assert Retry().wait_s(1, error) is None


@pytest.mark.parametrize(
    "error",
    [InvalidRequest(status=422), ServerFault(status=500), UnreadableAnswer(), KokoroClusterError()],
)
def test_what_trying_again_cannot_help_is_not_tried_again(error: KokoroClusterError) -> None:
    assert Retry().wait_s(1, error) is None


def test_one_try_means_one() -> None:
    assert Retry(tries=1).wait_s(1, Unreachable()) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 12 ", 12.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    now_s = 1_792_567_620.0  # 60 seconds before the first date
    assert retry_after_s(value, now_s=lambda: now_s) == seconds
