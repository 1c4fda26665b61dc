"""Which stretches of a long text stand for all of it, where only an estimate is wanted."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from shared.markup import Mark, find_marks

SAMPLED_ABOVE_CHARS = 20_000
STRETCHES = 10


@dataclass(frozen=True)
class Sample:
    """What stands for a text.

    Attributes:
        texts: together at most some `SAMPLED_ABOVE_CHARS` characters; no mark is cut in two.
        voices: that speaks where each of them begins, as a mark named it; empty for the job's own.
        whole: whether that is all of the text.
        pauses: marks of pauses in the whole text.
        pause_s: seconds that they have.
        chapters: that begin in the whole text.
    """

    texts: list[str]
    voices: list[str]
    whole: bool
    pauses: int = 0
    pause_s: float = 0.0
    chapters: int = 0


def sample(text: str) -> Sample:
    """Return the text whole, or stretches spread evenly over it, cut where lines or words end.

    Raises:
        InvalidMarkup: a malformed mark, which `shared.markup.check_input` finds beforehand.
    """
    marks = list(find_marks(text)) if "[" in text else []
    pauses = [mark.pause_s for mark in marks if mark.pause_s]
    chapters = sum(bool(mark.chapter) for mark in marks)
    if len(text) <= SAMPLED_ABOVE_CHARS:
        return Sample([text], [""], True, len(pauses), sum(pauses), chapters)
    size = SAMPLED_ABOVE_CHARS // STRETCHES
    starts = [mark.start for mark in marks]
    texts, voices = [], []
    for number in range(STRETCHES):
        start = (len(text) - size) * number // (STRETCHES - 1)
        if number > 0:
            start = _after(text, start, start + size // 2)
        end = start + size if number < STRETCHES - 1 else len(text)
        before = bisect_left(starts, start)
        if before and marks[before - 1].end > start:
            start = marks[before - 1].end
        last = bisect_left(starts, end)
        if last and marks[last - 1].end > end:
            end = marks[last - 1].start
        texts.append(text[start : max(start, end)])
        voices.append(_speaker(marks[:before]))
    return Sample(texts, voices, False, len(pauses), sum(pauses), chapters)


def _speaker(before: Sequence[Mark]) -> str:
    return next((mark.voice for mark in reversed(before) if mark.voice), "")


def _after(text: str, start: int, stop: int) -> int:
    """Return where the first paragraph, line or word begins in a range; its start if none does."""
    for gap in ("\n\n", "\n", " "):
        at = text.find(gap, start, stop)
        if at >= 0:
            return at + len(gap)
    return start
