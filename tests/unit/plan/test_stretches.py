"""Voices and chapters inside a text: what is planned, and that windows don't matter to it."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.languages import Language
from worker.plan.planner import MIN_WINDOW_CHARS, Planner
from worker.plan.segment import PlannedChapter, PlannedSegment, SegmentKind
from worker.plan.stretches import stretches

EN, IT = Language.AMERICAN_ENGLISH, Language.ITALIAN
planner = Planner()
MARKS = [
    *("[voice:if_sara]", "[voice:im_nicola]", "[voice:if_sara(2)+im_nicola]", "[chapter:Uno]"),
    *("[chapter:Il secondo capitolo, un po' più lungo]", "[pause:1s]", "[casa](/kˈaza/)"),
]
WORDS = [
    *("tempo", "mondo", "casa", "grande", "la", "il", "una", "bella", "sera,", "dove;", "come:"),
    *("3.14", "Dr.", "però"),
]


def plan(
    text: str,
    language: Language = EN,
    window_chars: int = 10**9,
    *,
    follow_voice: bool = False,
    chapter_pause_s: float = 0.0,
) -> tuple[list[PlannedSegment], list[PlannedChapter]]:
    """Plan all of `text` window by window, handing on the voice as the ledger does."""
    segments: list[PlannedSegment] = []
    chapters: list[PlannedChapter] = []
    offset, voice = 0, ""
    while offset < len(text):
        window = text[offset : offset + window_chars]
        planned = planner.plan_slice(
            window,
            language=language,
            offset=offset,
            final=offset + len(window) == len(text),
            voice=voice,
            follow_voice=follow_voice,
            chapter_pause_s=chapter_pause_s,
        )
        assert planned.consumed > 0
        before = len(segments)
        chapters += [PlannedChapter(c.title, before + c.segment) for c in planned.chapters]
        segments += planned.segments
        offset, voice = offset + planned.consumed, planned.voice
    return segments, chapters


def spoken(segments: list[PlannedSegment]) -> list[tuple[str, str]]:
    return [(s.voice, s.text) for s in segments if s.kind is SegmentKind.SPEECH]


def script(seed: int, pieces: int) -> str:
    """Write a text of sentences, line ends and marks, wherever they happen to fall."""
    rng = random.Random(seed)
    found = []
    for _ in range(pieces):
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 25)))
        found.append(words.capitalize() + rng.choice(".!?"))
        found.append(rng.choice([" ", " ", " ", "\n", "\n\n", "\r\n", "   ", ""]))
        if rng.random() < 0.3:
            found.append(rng.choice(MARKS) + rng.choice(["", " ", "\n", "\n\n"]))
    return "".join(found)


def test_a_voice_speaks_until_the_next_one_across_paragraphs() -> None:
    text = "One.\n\n[voice:am_adam]Two.\n\nThree. [voice:af_sky] Four."
    segments, _ = plan(text)
    assert spoken(segments) == [
        ("", "One."),
        ("am_adam", "Two."),
        ("am_adam", "Three."),
        ("af_sky", "Four."),
    ]
    assert [text[s.start : s.end] for s in segments] == ["One.", "Two.", "Three.", "Four."]


def test_a_voice_in_the_middle_of_a_sentence_parts_it() -> None:
    segments, _ = plan('He said: [voice:am_adam]"Come here," [voice:af_sky]and left.')
    assert spoken(segments) == [
        ("", "He said:"),
        ("am_adam", '"Come here,"'),
        ("af_sky", "and left."),
    ]


def test_the_same_words_give_the_same_phonemes_with_and_without_marks() -> None:
    marked, _ = plan("[voice:am_adam]Hello there.\n\nSo it is.[chapter:One]\nThe end.")
    plain, _ = plan("Hello there.\n\nSo it is.\n\nThe end.")
    assert [s.phonemes for s in marked] == [s.phonemes for s in plain]


def test_a_chapter_begins_a_segment_and_its_title_is_not_spoken() -> None:
    segments, chapters = plan("Before. [chapter:One] Here[chapter:Two]\nand there.[chapter:Three]")
    assert spoken(segments) == [("", "Before."), ("", "Here"), ("", "and there.")]
    assert chapters == [
        PlannedChapter("One", 1),
        PlannedChapter("Two", 2),
        PlannedChapter("Three", 3),
    ]


def test_a_chapter_begins_with_its_silence_where_its_mark_stands() -> None:
    segments, chapters = plan("Before.[chapter:One]Here.[voice:a][chapter:Two]", chapter_pause_s=1)
    assert [s.text or s.pause_s for s in segments] == ["Before.", 1, "Here.", 1]
    assert [(s.start, s.end) for s in segments] == [(0, 7), (7, 20), (20, 25), (34, 47)]
    assert chapters == [PlannedChapter("One", 1), PlannedChapter("Two", 3)]


def test_a_voice_of_another_language_switches_it_only_where_that_was_asked_for() -> None:
    text = "Hello.[voice:if_sara(3)+am_adam]Ciao.[voice:am_adam]Bye."
    following, _ = plan(text, follow_voice=True)
    assert [s.language for s in following] == [None, IT, None]
    (_, italian, _) = following
    assert italian.phonemes == plan("Ciao.", IT)[0][0].phonemes
    staying, _ = plan(text)
    assert [s.language for s in staying] == [None, None, None]
    assert staying[1].phonemes == plan("Ciao.", EN)[0][0].phonemes != italian.phonemes


def test_a_window_that_ends_in_a_mark_leaves_the_mark_to_the_next() -> None:
    filler = "Una casa molto grande. " * (MIN_WINDOW_CHARS // 23 + 1)
    for mark in ("[pause:1.5s]", "[voice:if_sara]", "[chapter:Uno]"):
        for cut in range(len(mark) + 1):
            text = filler[: MIN_WINDOW_CHARS - cut] + mark + "Fine della storia."
            assert plan(text, IT, MIN_WINDOW_CHARS) == plan(text, IT), (mark, cut)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.integers(MIN_WINDOW_CHARS, 2 * MIN_WINDOW_CHARS), st.booleans())
def test_voices_and_chapters_do_not_depend_on_the_window(
    seed: int, window: int, follow_voice: bool
) -> None:
    text = script(seed, pieces=400)
    assert len(text) > 2 * MIN_WINDOW_CHARS

    def planned(window_chars: int) -> object:
        return plan(text, IT, window_chars, follow_voice=follow_voice, chapter_pause_s=0.5)

    assert planned(window) == planned(10**9)


@pytest.mark.parametrize("unit", ["[voice:if_sara]", "[chapter:a]", "[voice:a]\n", "[chapter:a] x"])
def test_a_window_full_of_marks_gets_on(unit: str) -> None:
    text = unit * (3 * MIN_WINDOW_CHARS // len(unit)) + "Fine."
    segments, chapters = plan(text, IT, MIN_WINDOW_CHARS)
    assert segments[-1].text.endswith("Fine.")
    assert len(chapters) == text.count("[chapter")


def test_stretches_cover_a_window_but_for_their_marks() -> None:
    text = "a[voice:b]c[pause:1s]d[chapter:e]"
    found = list(stretches(text, final=False))
    assert [text[s.start : s.end] for s in found] == ["a", "c[pause:1s]d", ""]
    assert [s.closed for s in found] == [True, True, False]
    assert [s.mark and (s.mark.voice or s.mark.chapter) for s in found] == [None, "b", "e"]
