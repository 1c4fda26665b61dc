"""Sentences in, segments out: how much is rendered in one go."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.spoken import SpokenSegment, SpokenSentence, SpokenWord, gaps
from worker.plan.markup import Silence
from worker.plan.segment import PlannedSegment, PlanWarning, SegmentKind

MAX_PHONEMES = 510
"""The longest phoneme string of a segment: the model's 512 positions less its two end marks."""

TARGET_PHONEMES = 250
"""Sentences are packed up to here, some 17 seconds of speech.

Kokoro sounds best between 100 and 400 phonemes: shorter is hurried and clipped, longer blurs. About
250 leaves a crash little to render again and a batch many items of like length.
"""

SHORT_PHONEMES = 60
"""A segment shorter than this sounds clipped, so it joins a neighbour even past the target."""


QUICK_PHONEMES = 100
"""A first segment that somebody waits for is no longer, if the text lets it: some 6 seconds."""


@dataclass(frozen=True)
class Sentence:
    """A sentence with its phonemes.

    Attributes:
        start: index of its first character in the job's input.
        end: index after its last.
        text: as spoken.
        phonemes: 1 to 510 symbols of the model's alphabet, audible.
        unknown: words in it that have no sound.
        words: those that have one, placed in the sentence's own text and phonemes.
    """

    start: int
    end: int
    text: str
    phonemes: str
    unknown: tuple[str, ...] = ()
    words: tuple[SpokenWord, ...] = ()


class Packer:
    """Packs one paragraph's sentences greedily into segments.

    What a segment holds depends on the sentences from its own start on and never on what was
    packed before, so packing may begin anew at any segment's start.
    """

    def __init__(self, joiner: str, *, quick: bool = False) -> None:
        """Put `joiner` between the texts of sentences: a space, or nothing in unspaced scripts.

        With `quick` the first segment is closed as soon as it sounds well by itself.
        """
        self._joiner = joiner
        self._quick = quick
        self._held: list[Sentence] = []
        self._length = 0

    @property
    def held_start(self) -> int | None:
        """Where in the input the unfinished segment begins; None when there is none."""
        return self._held[0].start if self._held else None

    @property
    def quick_room(self) -> int | None:
        """Phonemes that a quick first segment has room for; None when there is none to be made."""
        return QUICK_PHONEMES - self._length if self._quick else None

    def add(self, item: Sentence | Silence) -> Iterator[PlannedSegment]:
        """Take the next item; yield what it finishes."""
        if isinstance(item, Silence):
            yield from self.close()
            yield PlannedSegment(SegmentKind.PAUSE, item.start, item.end, pause_s=item.pause_s)
            return
        if self._held and not self._fits(len(item.phonemes)):
            yield from self.close()
        self._length += len(item.phonemes) + (1 if self._held else 0)
        self._held.append(item)
        if self._quick and self._length >= SHORT_PHONEMES:
            yield from self.close()

    def _fits(self, more: int) -> bool:
        if self._quick:
            return self._length + 1 + more <= QUICK_PHONEMES
        return _fits(self._length, more)

    def close(self) -> Iterator[PlannedSegment]:
        """Yield the unfinished segment, if any: the paragraph is over."""
        if self._held:
            yield _join(self._held, self._joiner)
            self._quick = False
        self._held, self._length = [], 0


def _fits(length: int, more: int) -> bool:
    together = length + 1 + more
    if min(length, more) < SHORT_PHONEMES:
        return together <= TARGET_PHONEMES + 2 * SHORT_PHONEMES
    return together <= TARGET_PHONEMES


def _join(sentences: list[Sentence], joiner: str) -> PlannedSegment:
    unknown = dict.fromkeys(word for sentence in sentences for word in sentence.unknown)
    phonemes = " ".join(sentence.phonemes for sentence in sentences)
    return PlannedSegment(
        SegmentKind.SPEECH,
        sentences[0].start,
        sentences[-1].end,
        text=joiner.join(sentence.text for sentence in sentences),
        phonemes=phonemes,
        warnings=tuple(PlanWarning("oov_word", word) for word in unknown),
        spoken=SpokenSegment(len(phonemes), tuple(_placed(sentences, phonemes))),
    )


def _placed(sentences: list[Sentence], phonemes: str) -> Iterator[SpokenSentence]:
    """Yield the sentences as they stand in the segment's `phonemes`."""
    first = 0
    for sentence in sentences:
        last = first + len(sentence.phonemes)
        words = tuple(
            word._replace(
                first=word.first + first,
                last=word.last + first,
                gaps=gaps(phonemes, word.first + first, word.last + first),
            )
            for word in sentence.words
        )
        yield SpokenSentence(
            sentence.start,
            sentence.end,
            sentence.text,
            first,
            last,
            gaps(phonemes, first, last),
            words,
        )
        first = last + 1
