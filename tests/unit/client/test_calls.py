from datetime import UTC, datetime

import httpx
import pytest

from client import calls, estimates
from client.answers import Chapter, RedoOf
from client.connection import Address
from client.errors import (
    ApiError,
    AudioGone,
    AuthenticationFailed,
    Conflict,
    InvalidRequest,
    InvalidUse,
    JobTerminal,
    NoAudio,
    RateLimited,
    ServerFault,
    Unavailable,
    UnknownVoice,
)
from client.requests import JobOptions, job_body
from gateway.errors import STATUSES, error_response
from gateway.requests import JobRequest


def test_options_are_named_as_the_api_has_them() -> None:
    body = job_body(
        "Hello.",
        {"voice": "af_heart", "format": "wav", "webhook": "https://example.com/", "speed": None},
    )
    assert body == {
        "input": "Hello.",
        "voice": "af_heart",
        "response_format": "wav",
        "webhook": {"url": "https://example.com/"},
    }
    assert job_body("x", {"formats": ("wav", "mp3")})["outputs"] == ["wav", "mp3"]


def test_the_server_takes_every_option_there_is() -> None:
    options = {
        "voice": "af_heart",
        "formats": ["mp3", "wav"],
        "language": "en-us",
        "speed": 1.2,
        "model": "hexgrad/Kokoro-82M",
        "webhook": {"url": "https://example.com/", "events": ["job.succeeded"]},
        "priority": "batch",
        "deadline_s": 60,
        "ttl_s": 60,
        "custom_id": "mine",
        "metadata": {"a": "b"},
        "lexicons": ["names", "places@3"],
        "chapter_pause_s": 0.5,
        "title": "A book",
        "author": "A. Writer",
        "split": "chapters",
        "loudness_lufs": -18.0,
        "normalize": False,
    }
    parts = {
        "segments": [{"voice": "af_heart", "input": "Hello."}, {"input": "And you?"}],
        "chapters": [{"title": "One", "input": "Hello."}],
    }
    known = {*options, *parts, "format", "timestamps"}
    assert known == set(JobOptions.__annotations__)
    if "timestamps" in JobRequest.model_fields:
        options["timestamps"] = True
    for name, part in parts.items():
        JobRequest.model_validate(job_body(None, {name: part}))
    JobRequest.model_validate(job_body("Hello.", options))


def test_a_request_no_server_could_take_is_not_sent() -> None:
    with pytest.raises(InvalidUse):
        job_body("Hello.", {"format": "mp3", "formats": ["wav"]})
    for text, options in (("", {}), (None, {}), ("Hello.", {"segments": [{"input": "x"}]})):
        with pytest.raises(InvalidUse):
            job_body(text, options)
    with pytest.raises(InvalidUse):
        calls.jobs(limit=1, after=None, wanted={"created_after": datetime(2026, 1, 1)})


def test_every_submission_has_a_key_of_its_own_that_repeats_keep() -> None:
    first, second = (calls.submit("Hello.", {}) for _ in range(2))
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert first.request()["headers"] == first.request()["headers"]
    assert calls.submit("x", {}, idempotency_key="mine").headers["Idempotency-Key"] == "mine"


@pytest.mark.parametrize(
    ("hold_s", "prefer"),
    [(0, None), (0.5, None), (5.9, "wait=5"), (900, "wait=60"), (None, "wait=60")],
)
def test_an_answer_is_held_for_as_long_as_the_server_may(
    hold_s: float | None, prefer: str | None
) -> None:
    call = calls.submit("x", {}, hold_s=hold_s)
    assert call.headers.get("Prefer") == prefer
    if prefer:
        assert call.timeout_s is not None
        assert call.timeout_s > int(prefer.removeprefix("wait="))


def test_lists_are_asked_for_by_what_was_given_only() -> None:
    since = datetime(2026, 1, 31, tzinfo=UTC)
    call = calls.jobs(limit=5, after=None, wanted={"status": None, "created_after": since})
    assert call.params == {"limit": "5", "created_after": "2026-01-31T00:00:00+00:00"}


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_what_would_be_another_address_is_no_id(job_id: str) -> None:
    with pytest.raises(InvalidUse):
        calls.get(job_id)


def test_an_id_stays_one_part_of_the_address() -> None:
    assert calls.get("a/../b?c").path == "/v1/jobs/a%2F..%2Fb%3Fc"


@pytest.mark.parametrize("url", ["", "localhost:8880", "ftp://host", "http://", "http://h:port"])
def test_an_address_that_is_none_is_said_at_once(url: str) -> None:
    with pytest.raises(InvalidUse):
        Address(url)


def test_a_key_is_sent_but_never_shown() -> None:
    address = Address(key="kc_secret")
    assert address.options()["headers"]["Authorization"] == "Bearer kc_secret"
    assert "kc_secret" not in repr(address)
    with pytest.raises(InvalidUse):
        Address(key="kc_\nHost: evil")


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    assert Address("http://127.0.0.1:8880").options()["trust_env"] is False
    assert Address("http://[::1]:8880").options()["trust_env"] is False
    assert Address("https://speech.example.com").options()["trust_env"] is True


def answer(status: int, **options: object) -> httpx.Response:
    request = httpx.Request("GET", "http://127.0.0.1/")
    return httpx.Response(status, request=request, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_every_error_of_the_gateway_is_understood(kind: type) -> None:
    said = error_response(kind())
    error = calls.api_error(answer(said.status_code, content=said.body, headers=said.headers))
    assert (error.status, error.code, error.message) == (
        STATUSES[kind],
        kind.code,  # type: ignore[attr-defined]
        kind().message,
    )
    assert type(error) is not ApiError


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_api_key", AuthenticationFailed),
        (409, "job_terminal", JobTerminal),
        (409, "job_failed", NoAudio),
        (409, "something_new", Conflict),
        (410, "audio_gone", AudioGone),
        (422, "unknown_voice", UnknownVoice),
        (418, "something_new", InvalidRequest),
        (429, "key_full", RateLimited),
        (500, "internal", ServerFault),
        (503, "no_engine", Unavailable),
    ],
)
def test_errors_are_told_apart_by_code_and_new_ones_by_status(
    status: int, code: str, kind: type[ApiError]
) -> None:
    body = {"error": {"message": "No.", "type": "t", "code": code, "param": "voice"}}
    error = calls.api_error(answer(status, json=body, headers={"Retry-After": "3"}))
    assert type(error) is kind
    assert (error.code, error.param, error.retry_after_s, str(error)) == (code, "voice", 3.0, "No.")


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"error": "no"}', b"", b"\xff"])
def test_an_error_page_of_a_proxy_is_an_error_too(content: bytes) -> None:
    error = calls.api_error(answer(502, content=content))
    assert isinstance(error, Unavailable)
    assert "502" in error.message


def test_a_redo_says_only_what_is_to_change_and_is_safe_to_repeat() -> None:
    call = calls.redo("job_1", 12, "Said better.", {"voice": "bf_emma", "speed": None})
    assert (call.method, call.path) == ("POST", "/v1/jobs/job_1/segments/12/redo")
    assert call.json == {"voice": "bf_emma", "input": "Said better."}
    assert call.headers["Idempotency-Key"]
    own = calls.redo("job_1", 0, "x", {}, idempotency_key="mine")
    assert own.headers == {"Idempotency-Key": "mine"}
    for segment, text in ((-1, "x"), (0, "  ")):
        with pytest.raises(InvalidUse):
            calls.redo("job_1", segment, text, {})


def test_a_chapters_file_is_asked_for_by_its_number() -> None:
    assert calls.audio("job_1", None).params == {}
    assert calls.audio("job_1", "wav", 3).params == {"format": "wav", "chapter": "3"}


def test_a_job_tells_of_its_chapters_and_what_it_was_made_of() -> None:
    answer = {
        "id": "job_2",
        "status": "succeeded",
        "batch_id": "batch_1",
        "redo_of": {"job": "job_1", "segment": 4},
        "chapters": [{"title": "One", "start_s": 0.0, "end_s": 2.5}, {"title": "Two"}],
    }
    job = calls.read_job(httpx.Response(200, json=answer))
    assert job.redo_of == RedoOf(job="job_1", segment=4)
    assert job.batch_id == "batch_1"
    assert job.chapters == (
        Chapter(title="One", start_s=0.0, end_s=2.5),
        Chapter(title="Two"),
    )


def test_an_estimate_tells_what_would_make_a_job_fail_from_what_is_only_worth_knowing() -> None:
    call = estimates.estimate("Hello.", {"voice": "af_heart", "format": "wav"})
    assert call.json == {"input": "Hello.", "voice": "af_heart", "response_format": "wav"}
    problems = [{"code": "oov_word", "detail": "x"}, {"code": "nothing_to_speak", "detail": "y"}]
    answer = {"object": "estimate", "oov": [{"word": "你好", "phonemes": None}]}
    found = call.read(httpx.Response(200, json={**answer, "problems": problems}))
    assert found.oov == (estimates.UnknownWord(word="你好"),)
    assert found.fatal == (estimates.Problem(code="nothing_to_speak", detail="y"),)
    assert (found.audio_s, found.wait_s) == (None, None)
