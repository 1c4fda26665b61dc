import pytest

from client.answers import Job, Output
from client.batches import Batch, batch_body, look_s
from client.cli.batch import file_name, items_of, lines_of, with_shared
from client.errors import InvalidUse
from client.reading import read


def test_items_are_named_as_the_api_has_them() -> None:
    items: list[dict[str, object]] = [
        {"input": "Hello.", "format": "wav"},
        {"segments": [{"input": "x"}], "custom_id": "b"},
    ]
    body = batch_body(items, "https://example.com/", {"a": "b"})
    assert body == {
        "items": [
            {"input": "Hello.", "response_format": "wav"},
            {"segments": [{"input": "x"}], "custom_id": "b"},
        ],
        "webhook": {"url": "https://example.com/"},
        "metadata": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("items", "place"),
    [
        ([], "no items"),
        ([{"input": "x"}, {"voice": "y"}], "Item 1"),
        ([{"input": "x", "chapters": []}], "Item 0"),
    ],
)
def test_a_batch_no_server_could_take_is_not_sent(
    items: list[dict[str, object]], place: str
) -> None:
    with pytest.raises(InvalidUse, match=place):
        batch_body(items, None, None)


def test_a_batch_counts_those_that_have_ended() -> None:
    counts = {"total": 9, "succeeded": 3, "failed": 2, "canceled": 1, "expired": 1, "odd": 5}
    batch = read(Batch, {"id": "batch_1", "status": "in_progress", "request_counts": counts})
    assert (batch.request_counts.ended, batch.ended) == (7, False)
    assert read(Batch, {"id": "batch_1", "status": "canceled"}).ended


def test_looks_come_ever_later_up_to_a_most() -> None:
    waits = [look_s(looks) for looks in range(2000)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.5, 5.0)


def test_lines_are_items_and_blank_ones_are_none() -> None:
    lines = '{"input": "a\u2028b"}\n\n  \r\n{"input": "c"}\r\n'
    assert list(items_of(lines)) == [{"input": "a\u2028b"}, {"input": "c"}]


@pytest.mark.parametrize("line", ["{", "[1]", '"x"', "1"])
def test_a_bad_line_is_named_by_its_number(line: str) -> None:
    with pytest.raises(InvalidUse, match="Line 2"):
        list(items_of('{"input": "a"}\n' + line))


@pytest.mark.parametrize(
    ("custom_id", "name"),
    [
        ("chapter-1.a", "chapter-1.a.mp3"),
        (None, "job_1.mp3"),
        ("../../etc/passwd", "job_1.mp3"),
        (".hidden", "job_1.mp3"),
        ("a b", "job_1.mp3"),
        ("a\n", "job_1.mp3"),
    ],
)
def test_audio_is_called_by_its_custom_id_only_where_that_is_a_plain_name(
    custom_id: str | None, name: str
) -> None:
    output = Output(url="", format="mp3")
    job = Job(id="job_1", status="succeeded", custom_id=custom_id, output=output)
    assert file_name(job) == name


def test_a_text_is_a_job_a_line_called_by_its_number() -> None:
    text = "One.\n\n  Two. \n" + "\n" * 8
    assert list(lines_of(text, "")) == [
        {"input": "One.", "custom_id": "01"},
        {"input": "Two.", "custom_id": "03"},
    ]
    assert [item["custom_id"] for item in lines_of("One.", "verses")] == ["verses-1"]


@pytest.mark.parametrize(
    ("item", "merged"),
    [
        ({}, {"voice": "a", "format": "mp3"}),
        ({"voice": "b"}, {"voice": "b", "format": "mp3"}),
        ({"outputs": ["wav"]}, {"voice": "a", "outputs": ["wav"]}),
        ({"response_format": "wav"}, {"voice": "a", "response_format": "wav"}),
        ({"format": "wav"}, {"voice": "a", "format": "wav"}),
    ],
)
def test_what_an_item_says_itself_counts(
    item: dict[str, object], merged: dict[str, object]
) -> None:
    assert with_shared(item, {"voice": "a", "format": "mp3"}) == merged
