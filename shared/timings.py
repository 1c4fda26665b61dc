"""When each word and sentence of a segment is heard; plain Python, for the gateway too.

Kokoro predicts how many frames each phoneme lasts. Upstream (kokoro 0.9.4,
`KPipeline.join_timestamps`) makes times of them like this, and so does this module: three frames
of the start mark are not heard, a space belongs half to the word before it and half to the word
after it, and a frame is 1/40 s.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from shared.formats import SAMPLE_RATE_HZ
from shared.spoken import GAP_AFTER, GAP_BEFORE, SpokenSegment

FRAME_SAMPLES = 600
"""Samples of a duration frame: 40 frames a second."""
_UNHEARD_FRAMES = 3
_HALF_FRAMES_A_SECOND = 80


class Timeline:
    """Places phonemes of one segment in its audio.

    Args:
        phonemes: how many the segment has.
        samples: of its audio at 24 000 Hz.
        durations: frames of the start mark, of every phoneme and of the end mark; None where the
            engine has none. Then, or if they are another segment's, all phonemes last alike.
    """

    def __init__(self, phonemes: int, samples: int, durations: Sequence[int] | None) -> None:
        self.exact = (
            durations is not None
            and len(durations) == phonemes + 2
            and sum(durations) * FRAME_SAMPLES == samples
        )
        if durations is not None and self.exact:
            self._per_s: float = _HALF_FRAMES_A_SECOND
            self._durations = list(durations[1:-1])
            begins = max(0, durations[0] - _UNHEARD_FRAMES)
        else:
            seconds = samples / SAMPLE_RATE_HZ
            self._per_s = 2 * phonemes / seconds if seconds else 1.0
            self._durations = [1] * phonemes
            begins = 0
        # In half frames, so that half a space is a whole number.
        self._edges = [2 * edge for edge in accumulate(self._durations, initial=begins)]

    def span(self, first: int, last: int, gaps: int) -> tuple[float, float]:
        """Return when phonemes `first` to `last` (excluded) begin and end, in seconds.

        Args:
            first: index of the first phoneme.
            last: index after the last.
            gaps: `GAP_BEFORE`, `GAP_AFTER`: spaces of which half is theirs.
        """
        start, end = self._edges[first], self._edges[last]
        if gaps & GAP_BEFORE:
            start -= self._durations[first - 1]
        if gaps & GAP_AFTER:
            end += self._durations[last]
        return start / self._per_s, end / self._per_s


class TimedWord(NamedTuple):
    """A word in the audio.

    Attributes:
        word: as it is shown.
        start_s: seconds from the beginning of the job's audio.
        end_s: the same of its end.
        start: index of its first character in the job's input.
        end: index after its last.
        text_start: index of its first character in the sentence's text.
        text_end: index after its last.
    """

    word: str
    start_s: float
    end_s: float
    start: int
    end: int
    text_start: int
    text_end: int


class TimedSentence(NamedTuple):
    """A sentence in the audio; its times are from its first to its last phoneme.

    Attributes:
        text: as it is shown.
        start_s: seconds from the beginning of the job's audio.
        end_s: the same of its end.
        start: index of its first character in the job's input.
        end: index after its last.
        segment: index of the segment that holds it.
        words: those that have a sound.
        exact: False when the times were shared out, not predicted by the engine.
    """

    text: str
    start_s: float
    end_s: float
    start: int
    end: int
    segment: int
    words: tuple[TimedWord, ...]
    exact: bool


def time_segment(
    segment: SpokenSegment,
    *,
    index: int,
    start_samples: int,
    samples: int,
    durations: Sequence[int] | None,
) -> list[TimedSentence]:
    """Return a segment's sentences with their times.

    Args:
        segment: what it says.
        index: of the segment.
        start_samples: samples of all audio before it.
        samples: of its own.
        durations: see `Timeline`.
    """
    timeline = Timeline(segment.phonemes, samples, durations)
    before_s = start_samples / SAMPLE_RATE_HZ

    def timed(first: int, last: int, gaps: int) -> tuple[float, float]:
        start_s, end_s = timeline.span(first, last, gaps)
        return before_s + start_s, before_s + end_s

    found = []
    for start, end, text, first, last, gaps, words in segment.sentences:
        timed_words = tuple(
            TimedWord(
                text[word.text_start : word.text_end],
                *timed(word.first, word.last, word.gaps),
                *word[:4],
            )
            for word in words
        )
        start_s, end_s = timed(first, last, gaps)
        found.append(
            TimedSentence(text, start_s, end_s, start, end, index, timed_words, timeline.exact)
        )
    return found
