"""Word times: as upstream has them, whatever the durations, and believable without any."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.spoken import SpokenSegment, SpokenSentence, SpokenWord, gaps
from shared.timings import FRAME_SAMPLES, TimedWord, time_segment


@pytest.fixture(scope="module")
def join_timestamps() -> Any:
    """Upstream's own function, of kokoro 0.9.4."""
    return pytest.importorskip("kokoro").KPipeline.join_timestamps


# A token as misaki makes it: its phonemes, and whether a space follows.
TOKENS = st.lists(
    st.tuples(st.text("abcdeˈ,.!", min_size=1, max_size=9), st.booleans()), min_size=1, max_size=40
)


def segment_of(tokens: list[tuple[str, bool]]) -> tuple[SpokenSegment, str]:
    """Return a segment of one sentence, each token a word of it, and its phonemes."""
    phonemes = "".join(said + (" " if space else "") for said, space in tokens).strip()
    words = []
    first = 0
    for said, space in tokens:
        last = first + len(said)
        around = gaps(phonemes, first, last)
        words.append(SpokenWord(first, last, first, last, first, last, around))
        first = last + (1 if space else 0)
    text = phonemes
    sentence = SpokenSentence(0, len(text), text, 0, len(phonemes), 0, tuple(words))
    return SpokenSegment(len(phonemes), (sentence,)), phonemes


def timed_words(
    segment: SpokenSegment, samples: int, durations: list[int] | None, start: int = 0
) -> list[TimedWord]:
    sentences = time_segment(
        segment, index=0, start_samples=start, samples=samples, durations=durations
    )
    return [word for sentence in sentences for word in sentence.words]


@given(tokens=TOKENS, seed=st.integers(0, 2**32 - 1), longest=st.sampled_from([1, 4, 50]))
@settings(max_examples=300, deadline=None)
def test_words_have_upstreams_times_to_the_last_bit(
    join_timestamps: Any, tokens: list[tuple[str, bool]], seed: int, longest: int
) -> None:
    import torch  # noqa: PLC0415 - upstream reads durations out of a tensor

    tokens = [*tokens[:-1], (tokens[-1][0], False)]
    segment, phonemes = segment_of(tokens)
    rng = random.Random(seed)
    durations = [rng.randint(1, longest) for _ in range(len(phonemes) + 2)]
    theirs = [
        SimpleNamespace(phonemes=said, whitespace=" " if space else "", start_ts=None, end_ts=None)
        for said, space in tokens
    ]
    join_timestamps(theirs, torch.tensor(durations))
    ours = timed_words(segment, sum(durations) * FRAME_SAMPLES, durations)
    assert [(word.start_s, word.end_s) for word in ours] == [
        (token.start_ts, token.end_ts) for token in theirs
    ]


@given(tokens=TOKENS, seed=st.integers(0, 2**32 - 1), known=st.booleans())
@settings(max_examples=200, deadline=None)
def test_times_grow_and_end_within_the_audio(
    tokens: list[tuple[str, bool]], seed: int, known: bool
) -> None:
    segment, phonemes = segment_of(tokens)
    rng = random.Random(seed)
    frames = [rng.randint(1, 20) for _ in range(len(phonemes) + 2)]
    samples = sum(frames) * FRAME_SAMPLES
    words = timed_words(segment, samples, frames if known else None, start=24_000)
    position = 1.0
    for word in words:
        assert position - 1e-9 <= word.start_s < word.end_s
        position = word.end_s
    assert position <= 1.0 + samples / 24_000 + 1e-9


def test_a_segments_words_begin_where_the_audio_before_it_ends() -> None:
    segment, phonemes = segment_of([("abc", True), ("de", False)])
    durations = [5] + [4] * len(phonemes) + [7]
    samples = sum(durations) * FRAME_SAMPLES
    alone = timed_words(segment, samples, durations)
    later = timed_words(segment, samples, durations, start=36_000)
    # Two frames of the start mark are heard; half the space is the first word's.
    assert [(w.start_s, w.end_s) for w in alone] == [(0.05, 0.4), (0.4, 0.65)]
    assert [(w.start_s, w.end_s) for w in later] == [(1.55, 1.9), (1.9, 2.15)]


@pytest.mark.parametrize(
    "wrong",
    [None, [], [3, 4, 5], [1] * 6],
    ids=["none", "empty", "another segment's", "another length's"],
)
def test_without_durations_of_its_own_a_segments_time_is_shared_out_by_phonemes(
    wrong: list[int] | None,
) -> None:
    segment, _ = segment_of([("ab", False), ("cd", False)])
    sentences = time_segment(segment, index=3, start_samples=0, samples=24_000, durations=wrong)
    assert [(w.start_s, w.end_s) for w in sentences[0].words] == [(0.0, 0.5), (0.5, 1.0)]
    assert not sentences[0].exact
    assert sentences[0].segment == 3


def test_a_sentence_goes_from_its_first_to_its_last_phoneme() -> None:
    words = (SpokenWord(0, 2, 0, 2, 0, 2, 2),)
    first = SpokenSentence(0, 3, "ab.", 0, 3, 2, words)
    second = SpokenSentence(4, 7, "cd.", 4, 7, 1, (SpokenWord(4, 6, 0, 2, 4, 6, 1),))
    durations = [3, 2, 2, 2, 4, 2, 2, 2, 6]
    one, two = time_segment(
        SpokenSegment(7, (first, second)),
        index=0,
        start_samples=0,
        samples=sum(durations) * FRAME_SAMPLES,
        durations=durations,
    )
    assert (one.start_s, one.end_s) == (0.0, 0.2)
    assert (two.start_s, two.end_s) == (0.2, 0.4)
    assert one.exact
    assert two.exact


def test_a_segment_without_audio_or_words_has_no_times() -> None:
    assert timed_words(SpokenSegment(0, ()), 0, None) == []
