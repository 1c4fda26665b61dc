"""Ranges and conditions of RFC 9110."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gateway.errors import RangeNotSatisfiable
from gateway.ranges import ByteRange, not_modified, wanted_range

TAG = '"abc"'


def wanted(text: str, size: int = 100, *, if_range: str = TAG) -> ByteRange | None:
    return wanted_range(Headers({"range": text, "if-range": if_range}), size, TAG)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=99-", ByteRange(99, 100)),
        ("bytes=-100", ByteRange(0, 100)),
        ("Bytes = 1 - 2", ByteRange(1, 3)),
        ("bytes=0-0,2-3", None),
        ("bytes=-", None),
        ("bytes=2-1", None),
        ("bytes=²-", None),
    ],
)
def test_one_good_range_is_read_and_all_else_means_the_whole(
    text: str, expected: ByteRange | None
) -> None:
    assert wanted(text) == expected


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_past_the_end_is_refused(text: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        wanted(text)


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        wanted("bytes=0-", size=0)


@given(first=st.integers(0, 200), last=st.integers(0, 200), size=st.integers(1, 150))
def test_a_range_never_leaves_the_file(first: int, last: int, size: int) -> None:
    try:
        found = wanted(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    assert found is None or 0 <= found.start < found.end <= size


def test_a_range_counts_only_for_the_file_it_was_meant_for() -> None:
    assert wanted("bytes=0-1", if_range=TAG) == ByteRange(0, 2)
    assert wanted("bytes=0-1", if_range='"other"') is None
    assert wanted("bytes=0-1", if_range="Sat, 31 Jan 2026 12:00:00 GMT") is None


@pytest.mark.parametrize(
    ("header", "same"), [(TAG, True), ("W/" + TAG, True), ("*", True), ('"x"', False), ("", False)]
)
def test_a_copy_is_compared_by_its_tag(header: str, same: bool) -> None:
    assert not_modified(Headers({"if-none-match": header}), TAG) is same
    assert not_modified(Headers({}), TAG) is False
