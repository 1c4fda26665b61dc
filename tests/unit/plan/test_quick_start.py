"""A job that somebody listens to begins with a short segment; the rest is packed as ever."""

from itertools import pairwise

import pytest

from shared.languages import Language
from worker.plan.packing import QUICK_PHONEMES
from worker.plan.planner import Planner
from worker.plan.segment import PlannedSegment, SegmentKind

EN = Language.AMERICAN_ENGLISH
planner = Planner()

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "
CLAUSES = (
    "When the long winter had finally come to its end, and the snow on the hills was gone, the "
    "people of the village went down to the river, where they found that the bridge had been "
    "carried away by the flood of the week before. "
)


def plan(text: str, *, quick_start: bool) -> list[PlannedSegment]:
    found = planner.plan_slice(text, language=EN, offset=0, final=True, quick_start=quick_start)
    return list(found.segments)


def spoken(segments: list[PlannedSegment]) -> list[str]:
    return [segment.text for segment in segments if segment.kind is SegmentKind.SPEECH]


@pytest.mark.parametrize("text", [SENTENCE * 8, CLAUSES * 3, f"Hi. {CLAUSES}{SENTENCE * 5}"])
def test_the_first_segment_is_short_and_only_the_first(text: str) -> None:
    first, *rest = plan(text, quick_start=True)
    assert 30 <= len(first.phonemes) <= QUICK_PHONEMES
    assert first.start == 0
    assert all(len(segment.phonemes) > QUICK_PHONEMES for segment in rest[:-1])
    assert len(plan(text, quick_start=False)[0].phonemes) > QUICK_PHONEMES


@pytest.mark.parametrize("text", [SENTENCE * 8, CLAUSES * 3, f"Hi. {CLAUSES}{SENTENCE * 5}"])
def test_nothing_of_the_text_is_lost_by_it(text: str) -> None:
    quick = " ".join(spoken(plan(text, quick_start=True)))
    usual = " ".join(spoken(plan(text, quick_start=False)))
    assert quick.split() == usual.split()
    segments = plan(text, quick_start=True)
    assert all(one.end <= two.start for one, two in pairwise(segments))
    assert segments[-1].end >= len(text.rstrip())


def test_a_clause_ends_the_first_segment_where_no_sentence_does() -> None:
    assert plan(CLAUSES, quick_start=True)[0].text.rstrip().endswith(("end,", "gone,"))


def test_a_sentence_without_a_clause_is_not_broken() -> None:
    text = "The people of the village went down to the river " * 4 + "in the end."
    assert len(plan(text, quick_start=True)) == len(plan(text, quick_start=False)) == 1


def test_what_is_short_anyway_is_one_segment_and_pauses_stay() -> None:
    assert spoken(plan("Hello there.", quick_start=True)) == ["Hello there."]
    segments = plan(f"[pause:1s] {SENTENCE * 6}", quick_start=True)
    assert segments[0].kind is SegmentKind.PAUSE
    assert len(segments[1].phonemes) <= QUICK_PHONEMES


def test_numbers_and_overrides_are_not_cut_in_two() -> None:
    text = "It was [really](/ɹˈiːli, ɹˈiːli/) 1,000,000 people who went down to the river " * 3
    first = plan(text, quick_start=True)[0]
    assert "1,000,000" in first.text or "people" not in first.text


def test_only_the_first_paragraph_that_speaks_begins_so() -> None:
    paragraphs = "\n\n".join(["***", SENTENCE * 6, SENTENCE * 6])
    lengths = [len(segment.phonemes) for segment in plan(paragraphs, quick_start=True)]
    assert lengths[0] <= QUICK_PHONEMES
    assert sum(length <= QUICK_PHONEMES for length in lengths) <= 2
