"""Cues: short enough to read, long enough to see, never over one another."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.timings import TimedSentence, TimedWord
from worker.assemble.cues import LEAST_S, LINE_CELLS, MOST_S, Cue, CueMaker, cells, wrap

AUDIO_S = 1000.0


def sentence(
    text: str, start_s: float = 0.0, per_char_s: float = 0.07, segment: int = 0
) -> TimedSentence:
    """Return a sentence said at an even pace, its words those between spaces."""
    words = []
    position = 0
    for word in text.split(" "):
        end = position + len(word)
        if any(map(str.isalnum, word)):
            at = (start_s + position * per_char_s, start_s + end * per_char_s)
            words.append(TimedWord(word, *at, position, end, position, end))
        position = end + 1
    end_s = start_s + len(text) * per_char_s
    return TimedSentence(text, start_s, end_s, 0, len(text), segment, tuple(words), True)


def cues(*sentences: TimedSentence, audio_s: float = AUDIO_S) -> list[Cue]:
    maker = CueMaker()
    return [cue for one in sentences for cue in maker.add(one)] + maker.close(audio_s)


def check(shown: list[Cue], audio_s: float = AUDIO_S) -> None:
    """Assert what holds for all cues."""
    for cue in shown:
        assert 0 <= cue.start_ms < cue.end_ms <= round(audio_s * 1000)
        assert 1 <= len(cue.lines) <= 2
        assert all(line.strip() == line != "" and cells(line) <= LINE_CELLS for line in cue.lines)
    for before, after in itertools.pairwise(shown):
        assert before.end_ms <= after.start_ms


def text_of(shown: list[Cue]) -> str:
    return " ".join(line for cue in shown for line in cue.lines)


def test_a_short_sentence_is_one_line_at_its_own_time() -> None:
    (cue,) = cues(sentence("The sea was calm that night.", 2.0))
    assert cue == Cue(2000, 3960, ("The sea was calm that night.",))


def test_a_longer_one_has_two_lines_of_like_length_broken_at_its_comma() -> None:
    text = "When the sun had gone down, all of them went home again."
    (cue,) = cues(sentence(text))
    assert cue.lines == ("When the sun had gone down,", "all of them went home again.")


def test_a_long_sentence_is_cut_at_its_clauses_and_loses_nothing() -> None:
    text = (
        "The captain, who had never once in thirty years been late for anything at all, looked at "
        "his watch; then he looked at the sea, and the sea, it seemed to him, looked back."
    )
    shown = cues(sentence(text))
    check(shown)
    assert text_of(shown) == text
    assert len(shown) == 3
    assert [cue.lines[-1][-1] for cue in shown] == [",", ",", "."]
    starts = [text.index(cue.lines[0]) for cue in shown]
    assert [cue.start_ms for cue in shown] == [round(70 * at) for at in starts]


def test_what_stays_too_long_is_cut_by_time() -> None:
    shown = cues(sentence("One by one the slow words came to him.", per_char_s=0.4))
    check(shown)
    assert len(shown) >= 3
    assert all(cue.end_ms - cue.start_ms <= MOST_S * 1000 + 200 for cue in shown)


def test_a_sentence_too_short_to_read_is_shown_longer_or_with_the_next() -> None:
    (alone,) = cues(sentence("No."))
    assert alone.end_ms - alone.start_ms == LEAST_S * 1000
    (both,) = cues(sentence("No."), sentence("He said it twice.", 0.3))
    assert both.lines == ("No. He said it twice.",)
    apart = cues(sentence("No."), sentence("He said it twice.", 3.0, segment=1))
    assert [(cue.start_ms, cue.lines) for cue in apart] == [
        (0, ("No.",)),
        (3000, ("He said it twice.",)),
    ]


def test_the_last_cue_ends_with_the_audio() -> None:
    (cue,) = cues(sentence("No.", 1.0), audio_s=1.3)
    assert (cue.start_ms, cue.end_ms) == (1000, 1300)


def test_a_gap_too_short_to_see_is_none() -> None:
    text = "This is the first of two."
    first, second = cues(sentence(text), sentence("That was it, and no more.", 1.8))
    assert (first.end_ms, second.start_ms) == (1800, 1800)


def test_a_word_longer_than_a_line_is_cut_and_so_is_its_time() -> None:
    text = "x" * 200
    shown = cues(sentence(text, per_char_s=0.05))
    check(shown)
    assert "".join(line for cue in shown for line in cue.lines) == text


def test_wide_characters_count_twice_and_break_anywhere_but_before_a_stop() -> None:
    text = "今天的天气非常好我们去公园吧，" * 2 + "好。"
    lines = wrap(text)
    assert len(lines) == 2
    assert "".join(lines) == text
    assert all(cells(line) <= LINE_CELLS for line in lines)
    assert not any(line[0] in "，。" for line in lines)


def test_marks_stay_with_the_words_that_they_open_and_close() -> None:
    text = "he said (and “nobody else” did) 'no' — so…"
    maker_text = text_of(cues(sentence(text, per_char_s=0.6)))
    assert maker_text == text
    assert not any(cue.lines[0][0] in "”)…" for cue in cues(sentence(text, per_char_s=0.6)))


@pytest.mark.parametrize("text", ["", " ", "\n", "—"])
def test_there_is_no_empty_cue(text: str) -> None:
    shown = cues(TimedSentence(text, 0.0, 1.0, 0, 1, 0, (), True))
    assert [cue.lines for cue in shown] == ([("—",)] if text == "—" else [])


@given(
    texts=st.lists(st.text("abc ,.“”世。éé🙂\u05d0", min_size=1, max_size=300), max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None)
def test_cues_of_any_text_are_in_order_and_within_bounds(texts: list[str], seed: int) -> None:
    rng = random.Random(seed)
    at = 0.0
    given_sentences = []
    for number, text in enumerate(texts):
        made = sentence(text, at, rng.choice([0.0, 0.001, 0.05, 0.5]), segment=number // 2)
        given_sentences.append(made)
        at = made.end_s + rng.choice([0.0, 0.0, 2.0])
    audio_s = at + 0.2
    shown = cues(*given_sentences, audio_s=audio_s)
    check(shown, audio_s)
