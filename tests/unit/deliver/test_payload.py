import copy
import json
from typing import Any

import pytest

from worker.deliver.payload import MAX_BODY_BYTES, webhook_body

WHEN = "2026-01-01T12:00:00Z"
JOB: dict[str, Any] = {
    "id": "job_1",
    "object": "job",
    "status": "succeeded",
    "metadata": {"book": "四十二"},
    "warnings": [],
    "error": None,
    "output": {"url": "https://kokoro.example/v1/jobs/job_1/audio", "format": "mp3"},
    "urls": {"self": "https://kokoro.example/v1/jobs/job_1"},
}


def decode(job: dict[str, Any]) -> dict[str, Any]:
    body = webhook_body("job.succeeded", WHEN, job)
    assert len(body) < MAX_BODY_BYTES
    event = json.loads(body)
    assert (event["type"], event["timestamp"]) == ("job.succeeded", WHEN)
    data: dict[str, Any] = event["data"]
    return data


def test_a_job_that_fits_is_sent_whole() -> None:
    assert decode(JOB) == JOB


def test_the_same_job_gives_the_same_bytes_whatever_its_order() -> None:
    backwards = dict(reversed(JOB.items()))
    assert webhook_body("e", WHEN, JOB) == webhook_body("e", WHEN, backwards)


def test_many_warnings_are_cut_to_the_first_with_a_count() -> None:
    warnings = [{"code": "oov_word", "segment": n, "detail": "x" * 900} for n in range(500)]
    data = decode({**JOB, "warnings": warnings})
    assert data["warnings_total"] == 500
    assert [w["segment"] for w in data["warnings"]] == list(range(10))
    assert data["truncated"] == ["warnings"]
    assert data["metadata"] == JOB["metadata"]


def test_a_long_error_keeps_its_code() -> None:
    data = decode({**JOB, "error": {"code": "poison", "message": "m" * 50_000}})
    assert data["error"] == {"code": "poison", "message": "m" * 1000}


def test_metadata_goes_last_and_only_when_nothing_else_helps() -> None:
    metadata = {f"key{n}": "😀" * 512 for n in range(16)}
    data = decode({**JOB, "metadata": metadata, "segments": [{"n": n} for n in range(3000)]})
    assert (data["metadata"], data["segments"]) == ({}, [])
    assert data["truncated"] == ["segments", "metadata"]
    assert data["output"] == JOB["output"]


def test_even_a_job_of_unknown_long_fields_still_says_which_job_ended_how() -> None:
    data = decode({**JOB, "novel": "n" * 100_000, "custom_id": "c" * 100_000})
    assert (data["id"], data["status"], data["urls"]) == ("job_1", "succeeded", JOB["urls"])
    assert data["truncated"] == ["*"]


def test_a_lone_surrogate_does_not_stop_the_webhook() -> None:
    assert decode({**JOB, "custom_id": "a\ud800b"})["custom_id"] == "a?b"


@pytest.mark.parametrize(("value", "error"), [(b"RIFF", TypeError), (float("nan"), ValueError)])
def test_audio_and_what_json_lacks_are_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        webhook_body("e", WHEN, {"id": value})


def test_the_job_given_is_not_changed() -> None:
    job = {**JOB, "warnings": [{"detail": "x" * 900}] * 100}
    before = copy.deepcopy(job)
    webhook_body("e", WHEN, job)
    assert job == before
