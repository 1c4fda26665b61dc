from datetime import UTC, datetime

import pytest

from client.answers import Job, JobPage
from client.errors import JobCanceled, JobExpired, JobFailed, UnreadableAnswer
from client.inventory import Voice
from client.reading import read
from gateway.openapi import JOB_EXAMPLE


def test_the_api_documents_own_example_is_read_whole() -> None:
    job = read(Job, JOB_EXAMPLE)
    assert job.created_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert job.progress.segments_done == 3
    assert job.output is not None
    assert job.output.others == ()
    assert job.output.file("mp3") is job.output
    assert job.output.file("wav") is None
    assert job.metrics.realtime_factor == 3.23
    assert job.metadata == {"campaign": "spring"}
    assert job.raw == JOB_EXAMPLE


def test_what_is_null_in_a_map_is_not_there() -> None:
    urls = {"self": "http://h/v1/jobs/job_1", "captions": None}
    assert read(Job, {"id": "job_1", "status": "queued", "urls": urls}).urls == {
        "self": "http://h/v1/jobs/job_1"
    }


def test_fields_of_a_newer_server_are_passed_over_and_still_there_in_raw() -> None:
    job = read(Job, {"id": "job_1", "status": "dreaming", "mood": {"calm": True}})
    assert (job.status, job.ended) == ("dreaming", False)
    assert job.raw["mood"] == {"calm": True}


def test_fields_an_older_server_lacks_have_their_defaults() -> None:
    job = read(Job, {"id": "job_1", "status": "queued", "progress": None, "eta_s": None})
    assert job.progress.segments_total == 0
    assert job.created_at is None
    assert job.eta_s is None


def test_whole_numbers_are_numbers() -> None:
    job = read(Job, {"id": "job_1", "status": "queued", "eta_s": 7})
    assert job.eta_s == 7.0
    assert isinstance(job.eta_s, float)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([], "answer"),
        ({"status": "queued"}, "'id'"),
        ({"id": 5, "status": "queued"}, "answer.id"),
        ({"id": "job_1", "status": "queued", "progress": {"audio_s": "long"}}, "progress.audio_s"),
        ({"id": "job_1", "status": "queued", "input_chars": True}, "answer.input_chars"),
        ({"id": "job_1", "status": "queued", "created_at": "yesterday"}, "answer.created_at"),
        ({"id": "job_1", "status": "queued", "warnings": [{"code": 1}]}, "warnings[0].code"),
        ({"id": "job_1", "status": "queued", "metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_what_is_not_as_promised_is_named_by_its_place(data: object, place: str) -> None:
    with pytest.raises(UnreadableAnswer) as caught:
        read(Job, data)
    assert place in caught.value.message


def test_a_time_without_a_zone_is_taken_as_utc() -> None:
    job = read(Job, {"id": "job_1", "status": "queued", "created_at": "2026-01-31T12:00:00"})
    assert job.created_at == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_page_holds_jobs_that_each_keep_their_own_json() -> None:
    page = read(JobPage, {"data": [JOB_EXAMPLE, JOB_EXAMPLE], "has_more": True, "after": "x"})
    assert [job.raw["id"] for job in page.data] == [JOB_EXAMPLE["id"]] * 2
    assert read(Voice, {"id": "af_heart"}).language is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [("failed", JobFailed), ("canceled", JobCanceled), ("expired", JobExpired)],
)
def test_a_job_that_ended_badly_is_an_error_of_its_own_kind(
    status: str, kind: type[Exception]
) -> None:
    data = {"id": "job_1", "status": status, "error": {"code": "poison", "message": "It broke."}}
    job = read(Job, data)
    with pytest.raises(kind) as caught:
        job.raise_unless_succeeded()
    assert caught.value.code == "poison"  # type: ignore[attr-defined]
    assert "It broke." in str(caught.value)


@pytest.mark.parametrize("status", ["queued", "processing", "succeeded"])
def test_a_job_that_has_not_ended_badly_is_no_error(status: str) -> None:
    job = read(Job, {"id": "job_1", "status": status})
    assert job.raise_unless_succeeded() is job
