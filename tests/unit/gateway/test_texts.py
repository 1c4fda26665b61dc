"""A text in parts becomes one text with marks."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.requests import JobRequest
from shared.errors import InvalidInput, InvalidMarkup
from shared.markup import check_input
from shared.settings import Settings


def request(**fields: Any) -> JobRequest:
    return JobRequest.model_validate(fields)


def test_segments_become_one_text_with_a_voice_before_each() -> None:
    made = request(
        voice="af_heart",
        segments=[{"voice": " am_adam ", "input": "Hi."}, {"input": "Ho."}],
    )
    assert made.text() == "[voice:am_adam]Hi.\n\n[voice:af_heart]Ho."
    assert check_input(made.text()).voices == ("am_adam", "af_heart")
    assert (made.text_field, made.text_chars) == ("segments", 6)


def test_segments_without_a_voice_are_paragraphs() -> None:
    assert request(segments=[{"input": "Hi."}, {"input": "Ho."}]).text() == "Hi.\n\nHo."


def test_chapters_become_one_text_with_a_title_before_each() -> None:
    made = request(
        chapters=[{"title": "One ", "input": "Hi."}, {"title": "Über „2“", "input": "Ho."}]
    )
    assert made.text() == "[chapter:One]\n\nHi.\n\n[chapter:Über „2“]\n\nHo."
    assert check_input(made.text()).chapters == 2


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": "a", "segments": [{"input": "b"}]}, "input"),
        (
            {"chapters": [{"title": "a", "input": "a"}], "segments": [{"input": "b"}]},
            "input",
        ),
        ({"segments": []}, "segments"),
        ({"segments": [{"input": ""}]}, "segments.0.input"),
        ({"segments": [{"voice": "", "input": "a"}]}, "segments.0.voice"),
        ({"segments": [{"input": "a"}] * 1001}, "segments"),
        ({"segments": [{"input": "a", "title": "b"}]}, "segments.0.title"),
        ({"chapters": [{"input": "a"}]}, "chapters.0.title"),
        ({"chapters": [{"title": "a", "input": "a"}] * 2001}, "chapters"),
        *(
            ({"chapters": [{"title": title, "input": "a"}]}, "chapters.0.title")
            for title in ("", " ", "a]", "[a", "a\nb", "a\x00", "a" * 201)
        ),
        ({"input": "a", "chapter_pause_s": -1}, "chapter_pause_s"),
        ({"input": "a", "chapter_pause_s": 10.1}, "chapter_pause_s"),
    ],
)
def test_what_is_no_text_in_parts_is_named(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    assert ".".join(str(part) for part in caught.value.errors()[0]["loc"]) == where


@pytest.mark.parametrize(
    ("fields", "kind", "where", "says"),
    [
        (
            {"segments": [{"input": "a"}, {"input": "Hi [pause:x]"}]},
            InvalidMarkup,
            "segments.1.input",
            "at character 3",
        ),
        (
            {"chapters": [{"title": "a", "input": "[voice:b"}]},
            InvalidMarkup,
            "chapters.0.input",
            "at character 0",
        ),
        (
            {"segments": [{"input": "a"}, {"voice": "b]c", "input": "a"}]},
            InvalidInput,
            "segments.1.voice",
            "Malformed voice",
        ),
    ],
)
def test_a_bad_mark_is_found_in_its_own_part(
    fields: dict[str, Any], kind: type[InvalidInput], where: str, says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        request(**fields).text()
    assert caught.value.param == where


def test_all_parts_together_keep_the_bound_on_characters() -> None:
    settings = Settings(max_input_chars=5)
    request(segments=[{"input": "ab"}, {"input": "abc"}]).check_bounds(settings)
    with pytest.raises(InvalidInput) as caught:
        request(segments=[{"input": "abc"}, {"input": "abc"}]).check_bounds(settings)
    assert caught.value.param == "segments"


def test_a_request_of_the_first_release_is_still_the_same_to_the_byte() -> None:
    plain = request(input="Hi.")
    assert b"chapter" not in plain.canonical()
    assert plain.canonical() == request(input="Hi.", chapter_pause_s=1.0).canonical()
    assert plain.canonical() != request(input="Hi.", chapter_pause_s=2.0).canonical()
    assert request(segments=[{"input": "Hi."}]).canonical() != plain.canonical()
