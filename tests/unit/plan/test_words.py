"""Each word of a plan: where it stands in the input, and with which phonemes it is said."""

import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.alphabet import is_audible
from shared.errors import InvalidMarkup, LanguageUnavailable
from shared.languages import Language
from shared.spoken import SpokenSegment
from worker.plan.g2p.alignment import align, runs_of, words_of
from worker.plan.g2p.word_spans import locate, squeezed, trimmed, without
from worker.plan.planner import Planner
from worker.plan.segment import PlannedSegment

EN = Language.AMERICAN_ENGLISH
planner = Planner()


def plan(text: str, language: Language = EN) -> tuple[PlannedSegment, ...]:
    return planner.plan_slice(text, language=language, offset=0, final=True).segments


def said(text: str, language: Language = EN) -> list[tuple[str, str]]:
    """Return each word as it is shown and its phonemes."""
    return [
        (sentence.text[word.text_start : word.text_end], segment.phonemes[word.first : word.last])
        for segment in plan(text, language)
        for sentence in segment.spoken.sentences
        for word in sentence.words
    ]


def check(text: str, segments: tuple[PlannedSegment, ...]) -> None:
    """Assert what holds for the words of every plan."""
    position = 0
    for segment in segments:
        spoken = segment.spoken
        assert spoken.phonemes == len(segment.phonemes)
        last = 0
        for sentence in spoken.sentences:
            assert last <= sentence.first <= sentence.last <= len(segment.phonemes)
            assert segment.start <= sentence.start <= sentence.end <= segment.end
            assert position <= sentence.start
            shown = 0
            for word in sentence.words:
                assert position <= word.start < word.end <= len(text)
                assert shown <= word.text_start < word.text_end <= len(sentence.text)
                assert last <= word.first < word.last <= sentence.last
                assert is_audible(segment.phonemes[word.first : word.last])
                position, shown, last = word.end, word.text_end, word.last
            last = sentence.last


IN_EACH_LANGUAGE = {
    Language.AMERICAN_ENGLISH: (
        "“Well,” Dr. Smith's cat said — 100% of 'em don't!",
        "Well Dr. Smith's cat said 100% of 'em don't",
    ),
    Language.BRITISH_ENGLISH: ("Colour, rock-n-roll & A.", "Colour rock-n-roll & A."),
    Language.SPANISH: (
        "¿Cómo? Tengo 1984 libros; el 50% de ellos y 3,14 de pi.",
        "Cómo Tengo 1984 libros el 50% de ellos y 3,14 de pi",
    ),
    Language.FRENCH: ("L'homme n'a pas « 25 » chats.", "L'homme n'a pas 25 chats"),
    Language.HINDI: ("मेरे पास 25 किताबें हैं।", "मेरे पास 25 किताबें हैं"),
    Language.ITALIAN: ("L'amico ha 33 anni.", "L'amico ha 33 anni"),
    Language.BRAZILIAN_PORTUGUESE: ("Eu não sei de 1999.", "Eu não sei de 1999"),
    Language.JAPANESE: (
        "今日は良い天気ですね。2024年に東京へ「行った」。",
        "今日 は 良い 天気 です ね 2024 年 に 東京 へ 行った",
    ),
    Language.MANDARIN: ("今天天气好！WiFi很快。3月的人。", "今天天气 好 WiFi 很快 3月 的 人"),
}


def test_every_language_tells_its_words(language: Language) -> None:
    text, words = IN_EACH_LANGUAGE[language]
    segments = plan(text, language)
    check(text, segments)
    shown = [
        text[word.start : word.end]
        for segment in segments
        for sentence in segment.spoken.sentences
        for word in sentence.words
    ]
    assert " ".join(shown) == words


def test_phonemes_go_to_the_word_that_they_say() -> None:
    assert said("Hello, “world”!") == [("Hello", "həlˈO"), ("world", "wˈɜɹld")]
    assert said("It is 25% of 7.") == [
        ("It", "ˌɪt"),
        ("is", "ɪz"),
        ("25%", "twˈɛnti fˈIv pəɹsˈɛnt"),
        ("of", "ʌv"),
        ("7", "sˈɛvən"),
    ]
    assert said("Tengo 1984 libros.", Language.SPANISH) == [
        ("Tengo", "tˈɛŋɡo"),
        ("1984", "mˈil nˌoβeθjˈɛntos oʧˌɛntaikwˈatɾo"),
        ("libros", "lˈiβɾos"),
    ]


def test_markup_is_one_word_that_stands_for_the_whole_mark() -> None:
    text = "Say [New York](/njˈu jˈɔɹk/), then [hola](/ˈola/)."
    (segment,) = plan(text)
    check(text, (segment,))
    (sentence,) = segment.spoken.sentences
    assert sentence.text == "Say New York, then hola."
    found = [(text[w.start : w.end], segment.phonemes[w.first : w.last]) for w in sentence.words]
    assert found == [
        ("Say", "sˈA"),
        ("[New York](/njˈu jˈɔɹk/)", "njˈu jˈɔɹk"),
        ("then", "ðˈɛn"),
        ("[hola](/ˈola/)", "ˈola"),
    ]


@pytest.mark.parametrize("language", [Language.SPANISH, Language.HINDI])
def test_markup_is_told_from_its_neighbours_in_other_languages(language: Language) -> None:
    word = "uno" if language is Language.SPANISH else "एक"
    text = f"{word} [x y](/tˈEst/) {word}[z](/ˈa/)."
    segments = plan(text, language)
    check(text, segments)
    words = [w for s in segments for sentence in s.spoken.sentences for w in sentence.words]
    assert [text[w.start : w.end] for w in words] == [
        word,
        "[x y](/tˈEst/)",
        word,
        "[z](/ˈa/)",
    ]


def test_places_count_code_points_of_the_input_across_wraps_emoji_and_accents() -> None:
    text = "One 😀 two\r\nthree\u200b e\u0301te\u0301 last."
    (segment,) = plan(text)
    check(text, (segment,))
    (sentence,) = segment.spoken.sentences
    assert [text[w.start : w.end] for w in sentence.words] == [
        "One",
        "two",
        "three",
        "e\u0301te\u0301",
        "last",
    ]


def test_sentences_of_a_segment_follow_each_other_in_its_phonemes() -> None:
    text = "One is here. Two is there.\n\nThree.[pause:1s]Four."
    segments = plan(text)
    check(text, segments)
    cut = [
        [segment.phonemes[s.first : s.last] for s in segment.spoken.sentences]
        for segment in segments
    ]
    assert [len(some) for some in cut] == [2, 1, 0, 1]
    assert " ".join(cut[0]) == segments[0].phonemes
    assert [s.text for s in segments[0].spoken.sentences] == ["One is here.", "Two is there."]
    assert segments[2].spoken == SpokenSegment(0, ())


def test_what_has_no_sound_is_no_word_but_stays_in_its_sentence() -> None:
    text = "Hello Привет world."
    (segment,) = plan(text)
    check(text, (segment,))
    (sentence,) = segment.spoken.sentences
    assert sentence.text == text
    assert [w[:2] for w in sentence.words] == [(0, 5), (13, 18)]


def test_a_sentence_too_long_for_a_segment_keeps_every_word() -> None:
    text = " ".join(f"and thing {n} goes on" for n in range(120)) + "."
    segments = plan(text)
    assert len(segments) > 4
    check(text, segments)
    words = [w for s in segments for sentence in s.spoken.sentences for w in sentence.words]
    assert [text[w.start : w.end] for w in words] == text.rstrip(".").split()


@given(st.text("ab1 ,.!?%-'$é世にЖ😀\n[]()/", max_size=120), st.sampled_from(list(Language)))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_words_of_any_text_stand_in_order(text: str, language: Language) -> None:
    try:
        segments = plan(text, language)
    except (InvalidMarkup, LanguageUnavailable):
        return
    check(text, segments)


def test_words_are_told_from_punctuation_in_every_script() -> None:
    text = "«Qu'il», (कैसे) 50% — $5! …"
    assert [text[a:b] for a, b in words_of(text)] == ["Qu'il", "कैसे", "50%", "$5"]
    assert runs_of("a — ˈb, (c) …") == [(0, 1), (4, 7), (8, 11)]


def test_runs_are_shared_out_by_how_words_are_said_alone() -> None:
    words = [(0, 1), (2, 3), (4, 5)]
    spans = align(words, ["mil", "dos sjentos", "a"], "mil dos sjentos a")
    assert [span[2:] for span in spans] == [(0, 3), (4, 15), (16, 17)]
    joined = align(words, ["ʌv", "ðə", "kat"], "ʌvðə kat")
    assert [span[2:] for span in joined] == [(0, 2), (2, 4), (5, 8)]
    assert align(words, ["", "", ""], "a b") == ()
    assert align(words, ["a", "b", "c"], "") == ()


@given(
    st.lists(st.text("abc ", max_size=12), min_size=1, max_size=30),
    st.text("abcˈ ", max_size=120),
)
@settings(deadline=None)
def test_an_alignment_keeps_order_and_bounds(alone: list[str], phonemes: str) -> None:
    words = [(2 * i, 2 * i + 1) for i in range(len(alone))]
    spans = align(words, alone, phonemes)
    for span in spans:
        assert 0 <= span.first <= span.last <= len(phonemes)
    for before, after in itertools.pairwise(spans):
        assert before.end <= after.start
        assert before.last <= after.first


def test_rewritten_words_stand_for_the_text_between_their_neighbours() -> None:
    said = [("二零二四年", 0, 4), ("五月", 5, 7), ("很", 8, 9), ("快", 9, 10)]
    text = "2024年5月，很快"
    spans = locate(text, said)
    assert [(text[s.start : s.end], s.first, s.last) for s in spans] == [
        ("2024年5月", 0, 7),
        ("很", 8, 9),
        ("快", 9, 10),
    ]


@given(st.lists(st.text(" ab\t", max_size=4), max_size=12))
def test_squeezing_is_what_split_and_join_do(parts: list[str]) -> None:
    text, places = squeezed(parts)
    assert text == " ".join("".join(parts).split())
    assert len(places) == len(parts) + 1
    assert places == sorted(places)
    assert places[-1] == len(text)


def test_deleting_tells_where_the_rest_went() -> None:
    assert without(re.compile("x"), "axbxx") == ("ab", [0, 1, 1, 2, 2, 2])
    (word,) = trimmed(locate("a", [("a", 0, 4)]), ", a.", ",. ")
    assert (word.first, word.last) == (2, 3)
