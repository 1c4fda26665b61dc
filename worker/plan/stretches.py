"""Where a voice or a chapter begins: what is on either side is planned as a text of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.markup import Mark, find_marks


@dataclass(frozen=True)
class Stretch:
    """A part of a window that no voice and no chapter begins in.

    Attributes:
        start: index of its first character in the window.
        end: index after its last one.
        mark: what it begins with, standing right before it; None at the window's beginning.
        closed: False when it may go on beyond the window.
    """

    start: int
    end: int
    mark: Mark | None
    closed: bool


def stretches(text: str, *, final: bool) -> Iterator[Stretch]:
    """Yield the parts of a window of text, at least one, in order.

    Args:
        text: the window; no mark is cut in two at its end.
        final: True when nothing follows the window.

    Raises:
        InvalidMarkup: a malformed mark.
    """
    start, last = 0, None
    for mark in find_marks(text) if "[" in text else ():
        if mark.parts:
            yield Stretch(start, mark.start, last, closed=True)
            start, last = mark.end, mark
    yield Stretch(start, len(text), last, closed=final)
