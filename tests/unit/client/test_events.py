import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import UnreadableAnswer
from client.events import MAX_EVENT_BYTES, EventParser, ServerEvent

STREAM = (
    '\ufeff: hello\n\nevent: queued\nid: 1\ndata: {"eta_s": 3}\n\n'
    'event: progress\r\ndata: {"segments_done": 1,\r\ndata: "text": "a\u2028b"}\r\n\r\n'
    ': still here\n\nid: 2\revent: succeeded\rdata: {"id": "job_ä"}\r\r'
    "event: half\ndata: {}\n"
).encode()

EVENTS = [
    ServerEvent("queued", {"eta_s": 3}, "1"),
    ServerEvent("progress", {"segments_done": 1, "text": "a\u2028b"}),
    ServerEvent("succeeded", {"id": "job_ä"}, "2"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_events_are_the_same_wherever_the_stream_is_cut(places: list[int]) -> None:
    parser, found, last = EventParser(), [], 0
    for place in [*sorted(places), len(STREAM)]:
        found += parser.feed(STREAM[last:place])
        last = place
    assert found == EVENTS
    assert parser.last_id == "2"


def test_what_a_broken_connection_had_begun_is_not_mixed_with_the_next() -> None:
    parser = EventParser()
    assert parser.feed(b'id: 1\nevent: segment\ndata: {"index": 1}\n\nevent: seg') != []
    parser.forget_half()
    (event,) = parser.feed(b'id: 2\nevent: segment\ndata: {"index": 2}\n\n')
    assert (event.name, event.data, parser.last_id) == ("segment", {"index": 2}, "2")


def test_an_id_counts_only_once_its_event_is_whole() -> None:
    parser = EventParser()
    parser.feed(b"id: 1\ndata: {}\n\nid: 2\ndata: {}\n")
    assert parser.last_id == "1"


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: [1]\n\n", b"data: no\n\n"])
def test_data_that_is_no_json_object_is_not_a_clusters(data: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        EventParser().feed(data)


def test_an_event_without_an_end_is_given_up() -> None:
    parser = EventParser()
    with pytest.raises(UnreadableAnswer):
        for _ in range(MAX_EVENT_BYTES // 2**20 + 1):
            parser.feed(b"x" * 2**20)
