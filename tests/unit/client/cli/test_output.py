from datetime import UTC, datetime, timedelta

import pytest

from client.answers import Progress
from client.cli.bar import describe, details
from client.cli.output import duration, moment, size
from client.watching import Update


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (75, "75 s"),
        (119, "119 s"),
        (600, "10 min"),
        (7199, "2 h 00 min"),
        (11_100, "3 h 05 min"),
    ],
)
def test_lengths_are_written_for_people(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_499, "999.5 kB"), (2_500_000, "2.5 MB")],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_todays_times_are_hours_and_others_have_their_date() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert moment(now, now) == now.astimezone().strftime("%H:%M:%S")
    before = now - timedelta(days=3)
    assert moment(before, now) == before.astimezone().strftime("%Y-%m-%d %H:%M")
    assert moment(None) == ""


def test_a_job_is_described_by_where_it_is() -> None:
    queued = Update(event="queued", job_id="job_1", queue_position=3)
    assert describe(queued) == "queued, 3 ahead"
    assert describe(Update(event="queued", job_id="job_1", queue_position=0)) == "queued"
    progress = Progress(segments_total=40, segments_done=10, audio_s=90)
    moving = Update(
        event="progress",
        job_id="j",
        status="processing",
        stage="render",
        progress=progress,
        eta_s=5,
    )
    assert describe(moving) == "speaking"
    assert details(moving) == "10/40, 90 s of audio, 5.0 s left"
    assert moving.share == 0.25
    assert describe(Update(event="expired", job_id="j", status="expired")) == "expired"
