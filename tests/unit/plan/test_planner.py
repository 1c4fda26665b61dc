import random
import re
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.alphabet import ALPHABET, is_audible
from shared.languages import Language
from worker.plan.planner import MIN_WINDOW_CHARS, Planner
from worker.plan.segment import PlannedSegment, PlanWarning, SegmentKind

EN = Language.AMERICAN_ENGLISH
LETTERS = {
    Language.HINDI: "नमस्ते दुनिया आप कैसे हैं ",
    Language.JAPANESE: "今日は良い天気ですね",
    Language.MANDARIN: "今天的天气非常好我们去公园吧",
}
VOCABULARY = """
time person year way day thing man world life hand part child eye woman place work week case point
government company number group problem fact Dr. U.S. “quoted” 3.14 $5 don't naïve Kubernetes xkcd
rock-n-roll Привет 你好 zxqv A/B, however; perhaps: (indeed) 1984
"""
WORDS = VOCABULARY.split()
planner = Planner()


def plan(
    text: str, language: Language = EN, window_chars: int = 10**9
) -> tuple[list[PlannedSegment], list[PlanWarning]]:
    """Plan all of `text` window by window, as a worker does."""
    segments: list[PlannedSegment] = []
    warnings: list[PlanWarning] = []
    offset = 0
    while offset < len(text):
        window = text[offset : offset + window_chars]
        final = offset + len(window) == len(text)
        planned = planner.plan_slice(window, language=language, offset=offset, final=final)
        assert planned.consumed > 0
        segments += planned.segments
        warnings += planned.warnings
        offset += planned.consumed
    assert offset == len(text)
    return segments, warnings


def check_segments(text: str, segments: list[PlannedSegment]) -> None:
    """Assert what holds for every plan."""
    position = 0
    for segment in segments:
        assert position <= segment.start <= segment.end <= len(text)
        position = segment.end
        if segment.kind is SegmentKind.SPEECH:
            assert 1 <= len(segment.phonemes) <= 510
            assert set(segment.phonemes) <= set(ALPHABET)
            assert is_audible(segment.phonemes)
        else:
            assert segment.pause_s > 0
            assert segment.phonemes == segment.text == ""


def check_nothing_lost(
    text: str, segments: list[PlannedSegment], warnings: list[PlanWarning]
) -> None:
    """Assert that each word is in a segment's text or in a warning."""
    found = " ".join(
        [s.text for s in segments]
        + [w.detail for s in segments for w in s.warnings]
        + [w.detail for w in warnings]
    )
    counted = found.split()
    for word in re.findall(r"\w+", text):
        assert word in found, word
    assert len(counted) >= len([w for w in text.split() if any(map(str.isalnum, w))])


def document(seed: int, paragraphs: int, sentences: int = 8) -> str:
    rng = random.Random(seed)

    def sentence() -> str:
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 30)))
        return words.capitalize() + rng.choice(".!?")

    return "\n\n".join(
        " ".join(sentence() for _ in range(rng.randint(1, sentences))) for _ in range(paragraphs)
    )


def test_a_short_text_is_one_segment() -> None:
    text = "Hello, world! How are you?"
    (segment,), warnings = plan(text)
    assert (segment.start, segment.end, segment.text) == (0, len(text), text)
    assert segment.phonemes == "həlˈO, wˈɜɹld! hˌW ɑɹ ju?"
    assert (segment.kind, segment.warnings, warnings) == (SegmentKind.SPEECH, (), [])


def test_paragraphs_and_pauses_part_segments_and_markup_is_resolved() -> None:
    text = "One [Kokoro](/kˈOkəɹO/).\n\nTwo.[pause:1.5s]Three."
    segments, _ = plan(text)
    assert [(s.text or s.pause_s, text[s.start : s.end]) for s in segments] == [
        ("One Kokoro.", "One [Kokoro](/kˈOkəɹO/)."),
        ("Two.", "Two."),
        (1.5, "[pause:1.5s]"),
        ("Three.", "Three."),
    ]
    assert "kˈOkəɹO" in segments[0].phonemes


@pytest.mark.parametrize("text", ["***", "😀 😀", "— … !", " \n\n ", "\n***\n\n😀\n"])
def test_decoration_gives_neither_segment_nor_warning(text: str) -> None:
    assert plan(text) == ([], [])


def test_a_line_it_cannot_speak_is_warned_about_and_the_rest_is_spoken() -> None:
    segments, warnings = plan("Привет мир.\n\nHello.")
    assert [s.text for s in segments] == ["Hello."]
    assert warnings == [
        PlanWarning("oov_word", "Привет"),
        PlanWarning("oov_word", "мир"),
        PlanWarning("unspeakable_text", "Привет мир."),
    ]


def test_a_word_it_cannot_speak_is_warned_about_in_its_segment() -> None:
    (segment,), warnings = plan("He said Привет to me. 😀")
    assert segment.warnings == (PlanWarning("oov_word", "Привет"),)
    assert warnings == []


def test_an_edit_changes_the_segments_of_its_paragraph_only() -> None:
    text = document(seed=1, paragraphs=12)
    before = text.split("\n\n")
    after = [*before[:5], "Entirely new words stand here. " + before[5], *before[6:]]
    old = [s.phonemes for s in plan(text)[0]]
    new = [s.phonemes for s in plan("\n\n".join(after))[0]]
    head = len(plan("\n\n".join(before[:5]))[0])
    tail = len(plan("\n\n".join(before[6:]))[0])
    assert new[:head] == old[:head]
    assert new[-tail:] == old[-tail:]
    assert new != old


def test_a_paragraph_of_five_thousand_characters_without_punctuation_is_all_there(
    language: Language,
) -> None:
    unit = LETTERS.get(language, "la casa mundo tempo bon grande ")
    text = (unit * 400)[:5000].strip()
    segments, warnings = plan(text, language)
    check_segments(text, segments)
    assert warnings == []
    spoken = "".join(s.text for s in segments)
    assert re.sub(r"\s", "", spoken) == re.sub(r"\s", "", text)
    reference = sum(len(s.phonemes) for s in plan(unit.strip(), language)[0]) * len(text)
    assert sum(len(s.phonemes) for s in segments) > 0.85 * reference / len(unit)


def test_a_word_of_five_thousand_letters_is_all_there(language: Language) -> None:
    text = "ba" * 2500
    segments, _ = plan(text, language)
    check_segments(text, segments)
    assert "".join(s.text for s in segments) == text
    assert sum(len(re.findall("[bβ]", s.phonemes)) for s in segments) >= 2000


def test_each_language_ends_segments_at_its_sentences(language: Language) -> None:
    sentence = {
        Language.HINDI: "नमस्ते दुनिया, आप सब कैसे हैं और क्या कर रहे हैं। ",
        Language.JAPANESE: "今日は良い天気ですね、散歩に行きましょう。",
        Language.MANDARIN: "今天的天气非常好，我们一起去公园吧。",
    }.get(language, "La casa grande es mi mundo, no tempo bon and so on and on. ")
    text = sentence * 30
    segments, warnings = plan(text, language)
    assert warnings == []
    assert len(segments) > 3
    assert all(segment.text.endswith(sentence.strip()[-1]) for segment in segments)
    check_segments(text, segments)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from([*WORDS, "\n\n", "\n", "😀", "***", "[pause:1s]", ".", "?", "-", "…"])
    ),
    st.sampled_from([EN, Language.FRENCH, Language.HINDI]),
)
def test_every_word_is_spoken_or_warned_about(words: list[str], language: Language) -> None:
    text = " ".join(words)
    segments, warnings = plan(text, language)
    check_segments(text, segments)
    check_nothing_lost(text.replace("[pause:1s]", " "), segments, warnings)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300), st.sampled_from(Language))
def test_any_text_is_planned(text: str, language: Language) -> None:
    if language is Language.JAPANESE:
        pytest.importorskip("unidic_lite")
    segments, _ = plan(text.replace("[pause:", ""), language)
    check_segments(text, segments)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10**6),
    st.sampled_from([3, 60]),
    st.integers(MIN_WINDOW_CHARS, 3 * MIN_WINDOW_CHARS),
)
def test_segments_do_not_depend_on_the_window(seed: int, sentences: int, window: int) -> None:
    text = document(seed, paragraphs=600 // sentences, sentences=sentences)
    assert plan(text, Language.ITALIAN, window) == plan(text, Language.ITALIAN)


def test_a_paragraph_longer_than_the_window_is_planned_like_any_other() -> None:
    text = (
        document(seed=3, paragraphs=1, sentences=1)
        + " "
        + " ".join(document(seed=seed, paragraphs=1) for seed in range(90))
    )
    assert len(text) > 3 * MIN_WINDOW_CHARS
    assert plan(text, EN, MIN_WINDOW_CHARS) == plan(text, EN)


@pytest.mark.parametrize(
    "unit", ["\n", " ", "x", "😀", "***\n", "[a](/b/)", "[", "語", "a\u0301", "7"]
)
def test_a_window_full_of_anything_gets_on(unit: str) -> None:
    text = unit * (3 * MIN_WINDOW_CHARS // len(unit))
    segments, _ = plan(text, EN, MIN_WINDOW_CHARS)
    check_segments(text, segments)


def test_a_word_of_a_thousand_pieces_is_planned_in_seconds() -> None:
    text = "a1-" * 700
    began = time.perf_counter()
    segments, _ = plan(text)
    assert time.perf_counter() - began < 20
    check_segments(text, segments)


def test_a_short_window_waits_for_more() -> None:
    planned = planner.plan_slice("It may go on", language=EN, offset=0, final=False)
    assert (planned.segments, planned.consumed) == ((), 0)


@pytest.mark.slow
def test_a_hundred_thousand_characters_are_planned_in_seconds() -> None:
    text = document(seed=2, paragraphs=250)
    assert len(text) > 100_000
    plan(text[:1000])
    began = time.process_time()
    segments, warnings = plan(text, EN, 65_536)
    assert time.process_time() - began < 20
    check_segments(text, segments)
    check_nothing_lost(text, segments, warnings)


def test_planning_a_window_takes_memory_in_proportion_to_the_window() -> None:
    text = document(seed=2, paragraphs=40)
    plan(text)
    tracemalloc.start()
    planner.plan_slice(text, language=EN, offset=0, final=True)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100 * len(text)
