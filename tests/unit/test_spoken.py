"""How what a segment says is kept in the ledger."""

import random
import string

from hypothesis import given
from hypothesis import strategies as st

from shared.spoken import PAUSE, SpokenSegment, SpokenSentence, SpokenWord, decode, encode, gaps

NUMBERS = st.integers(0, 2_000_000)
WORDS = st.builds(
    SpokenWord, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 3)
)
SENTENCES = st.builds(
    SpokenSentence,
    NUMBERS,
    NUMBERS,
    st.text(),
    NUMBERS,
    NUMBERS,
    st.integers(0, 3),
    st.lists(WORDS, max_size=5).map(tuple),
)
SEGMENTS = st.builds(SpokenSegment, NUMBERS, st.lists(SENTENCES, max_size=4).map(tuple))


@given(st.lists(SEGMENTS, max_size=4))
def test_whatever_is_kept_is_read_as_it_was(segments: list[SpokenSegment]) -> None:
    text = encode(segments)
    assert text.isascii()
    assert decode(text) == decode(text.encode()) == segments


def test_a_pause_says_nothing() -> None:
    assert decode(encode([PAUSE, PAUSE])) == [PAUSE, PAUSE]


def test_gaps_are_spaces_right_beside_a_word() -> None:
    assert [gaps("ab cd, e", *span) for span in ((0, 2), (3, 5), (7, 8), (0, 1), (5, 6))] == [
        2, 1, 1, 0, 2,
    ]  # fmt: skip


def test_a_book_takes_some_bytes_a_character() -> None:
    rng = random.Random(5)
    vocabulary = [
        "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 10))) for _ in range(5000)
    ]
    segments, at = [], 0
    for _ in range(200):
        words: list[SpokenWord] = []
        text, first = "", 0
        for _ in range(40):
            word = rng.choice(vocabulary)
            start, last = len(text), first + max(1, len(word) - rng.randint(0, 2))
            words.append(
                SpokenWord(
                    at + start, at + start + len(word), start, start + len(word), first, last, 3
                )
            )
            text += word + " "
            first = last + 1
        sentence = SpokenSentence(at, at + len(text), text.strip(), 0, first, 0, tuple(words))
        segments.append(SpokenSegment(first, (sentence,)))
        at += len(text)
    # 2,000,000 characters: less than their phonemes and their text take beside them.
    assert len(encode(segments)) < 1.6 * at
