"""The job as clients see it."""

from typing import Any

import pytest

from shared.formats import AudioFormat
from shared.job_view import job_view, timestamp
from shared.languages import Language
from shared.ledger.records import JobRecord, JobSpec, OutputFile
from shared.ledger.states import JobStatus, Lane


def record(**changes: Any) -> JobRecord:
    spec = JobSpec("af_heart", Language.AMERICAN_ENGLISH, 1.0, (AudioFormat.MP3,), "m", {"a": "b"})
    fields: dict[str, Any] = {
        "uid": "job_1",
        "id": "mine",
        "owner": "local",
        "status": JobStatus.QUEUED,
        "stage": "plan",
        "lane": Lane.INTERACTIVE,
        "spec": spec,
        "input_chars": 5,
        "created_at": 1_769_860_800.0,
        "started_at": None,
        "completed_at": None,
        "expires_at": None,
        "deadline_at": 1_769_947_200.0,
        "custom_id": None,
        "planned": False,
        "segments_total": 0,
        "segments_done": 0,
        "segments_reused": 0,
        "audio_s": 0.0,
        "synthesis_s": 0.0,
        "encode_s": 0.0,
        "attempts": 0,
        "worker": None,
        "model": None,
        "stand_in": None,
        "precision": None,
        "outputs": (),
        "warnings_total": 0,
        "error_code": None,
        "error_message": None,
        "webhook_url": None,
        "purged": False,
    }
    return JobRecord(**{**fields, **changes})


def view(record: JobRecord, base_url: str = "https://tts.example") -> dict[str, Any]:
    return job_view(record, warnings=[], queue_position=None, base_url=base_url)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_769_860_800.041, "2026-01-31T12:00:00.041Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(
    seconds: float | None, text: str | None
) -> None:
    assert timestamp(seconds) == text


def test_what_is_not_known_yet_is_null() -> None:
    job = view(record())
    for name in ("started_at", "completed_at", "expires_at", "eta_s", "output", "error"):
        assert job[name] is None
    assert job["metrics"]["queue_s"] is None
    assert job["metrics"]["realtime_factor"] is None
    assert job["metrics"]["model"] == "m"


def test_a_finished_job_has_its_files_at_urls_of_its_own() -> None:
    files = tuple(
        OutputFile(form, f"jobs/job_1/1.{form}", 10, 60.0, "0" * 64)
        for form in (AudioFormat.WAV, AudioFormat.MP3)
    )
    job = view(
        record(
            status=JobStatus.SUCCEEDED,
            started_at=1_769_860_801.0,
            completed_at=1_769_860_811.0,
            audio_s=60.0,
            synthesis_s=2.0,
            outputs=files,
        )
    )
    assert job["output"]["url"] == "https://tts.example/v1/jobs/mine/audio?format=wav"
    assert job["output"]["sample_rate_hz"] == 24_000
    assert [other["format"] for other in job["output"]["others"]] == ["mp3"]
    assert job["metrics"]["queue_s"] == 1
    assert job["metrics"]["realtime_factor"] == 6
    assert "jobs/job_1/1.wav" not in str(job)


def test_a_failed_job_has_an_error_and_no_files() -> None:
    job = view(record(status=JobStatus.FAILED, error_code="poison", error_message="Why."))
    assert job["error"] == {"code": "poison", "message": "Why."}
    assert job["output"] is None


def test_without_a_base_urls_are_paths() -> None:
    assert view(record(), base_url="")["urls"]["self"] == "/v1/jobs/mine"
