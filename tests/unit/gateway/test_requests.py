"""Reading a submission."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.errors import MalformedJson
from gateway.job_ids import is_client_id, is_job_id, new_uid
from gateway.requests import Event, JobRequest, parse_json
from shared.errors import InvalidInput
from shared.settings import Settings


def test_defaults_are_filled_in() -> None:
    request = JobRequest.model_validate({"input": "Hi.", "webhook": {"url": "http://x.example/"}})
    assert request.voice == "af_heart"
    assert request.formats == ("mp3",)
    assert request.priority == "interactive"
    assert request.webhook is not None and request.webhook.events == list(Event)


def test_requests_that_mean_the_same_have_the_same_bytes() -> None:
    one = JobRequest.model_validate({"input": "Hi.", "metadata": {"a": "1", "b": "2"}})
    two = JobRequest.model_validate(
        {"metadata": {"b": "2", "a": "1"}, "speed": 1.0, "input": "Hi.", "voice": "af_heart"}
    )
    three = JobRequest.model_validate({"input": "Hi!", "metadata": {"a": "1", "b": "2"}})
    assert one.canonical() == two.canonical() != three.canonical()


def test_the_settings_bounds_are_kept() -> None:
    settings = Settings(max_input_chars=5, job_deadline_max_s=90_000, job_ttl_max_s=700_000)
    JobRequest.model_validate({"input": "12345", "deadline_s": 90_000}).check_bounds(settings)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"input": "123456"}, "input"),
        ({"input": "1", "deadline_s": 90_001}, "deadline_s"),
        ({"input": "1", "ttl_s": 700_001}, "ttl_s"),
    ]
    for fields, param in bad:
        with pytest.raises(InvalidInput) as caught:
            JobRequest.model_validate(fields).check_bounds(settings)
        assert caught.value.param == param


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_malformed(body: bytes) -> None:
    try:
        parse_json(body)
    except MalformedJson:
        return
    json.loads(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_request_or_invalid(value: Any) -> None:
    try:
        JobRequest.model_validate(value)
    except ValidationError as error:
        assert error.errors()


@given(
    st.fixed_dictionaries(
        {"input": st.text(min_size=1), "voice": st.text(), "speed": st.floats(0.25, 4)},
        optional={"metadata": st.dictionaries(st.text(max_size=64), st.text(), max_size=16)},
    ),
    st.booleans(),
    st.none() | st.integers(0, 8),
)
def test_a_request_is_read_as_json_says_whatever_is_in_its_strings(
    value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    try:
        encoded = body.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no body can hold unescaped
        return
    assert parse_json(encoded) == value


def test_the_largest_request_is_within_the_bounds_on_parts() -> None:
    request = {
        "input": '"[{,:\\' * 300_000,
        "voice": "+".join(f"v{n}(1)" for n in range(100)),
        "outputs": [str(n) for n in range(20)],
        "webhook": {"url": "u" * 2048, "events": [str(n) for n in range(20)]},
        "metadata": {str(n): '",:' * 170 for n in range(100)},
        "more": {str(n): n for n in range(50)},
    }
    assert parse_json(json.dumps(request, indent=8).encode()) == request


def test_uids_sort_by_the_time_they_were_made_and_never_repeat() -> None:
    made = [new_uid() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [uid[:14] for uid in made] == sorted(uid[:14] for uid in made)
    assert all(is_job_id(uid) and not is_client_id(uid) for uid in made)


@pytest.mark.parametrize("text", ["", "ab", "a" * 65, "a/b", "..", "a b", "job_x", "café", "abc\n"])
def test_what_is_no_id_never_reaches_the_ledger(text: str) -> None:
    assert not is_job_id(text)
    assert not is_client_id(text)
