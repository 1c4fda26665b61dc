"""From words of what a G2P was given to words of the job's input."""

import unicodedata
from collections.abc import Sequence

from shared.alphabet import PUNCTUATION, keep_known
from shared.spoken import SpokenWord
from worker.plan.g2p import Pronunciation
from worker.plan.g2p.word_spans import moved, squeezed, trimmed
from worker.plan.markup import SpokenText


def composed(text: str) -> tuple[str, Sequence[int] | None]:
    """Return `text` in its composed form (NFC) and where each character of that comes from.

    Returns:
        The text, and for each of its characters, and its end, the index in the one given; None
        where they are the same.
    """
    whole = unicodedata.normalize("NFC", text)
    if whole == text:
        return text, None
    places: list[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        # A letter and the marks on it are composed by themselves.
        if end == len(text) or not _joins(text[end]):
            cluster = unicodedata.normalize("NFC", text[start:end])
            places += [start] * len(cluster)
            start = end
    places.append(len(text))
    if len(places) != len(whole) + 1:  # no script that is spoken here has such letters
        places = [i * len(text) // len(whole) for i in range(len(whole) + 1)]
    return whole, places


def _joins(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff"


def placed_words(
    piece: SpokenText, places: Sequence[int] | None, said: Pronunciation, phonemes: str
) -> tuple[SpokenWord, ...]:
    """Return the words of a sentence as they stand in the input, in its text and its phonemes.

    Args:
        piece: the sentence.
        places: as `composed` returns it, if the G2P was given the composed text.
        said: what the G2P made of it.
        phonemes: of that, what the model knows and has room for.
    """
    words = said.words
    if phonemes != said.phonemes:
        _, kept = squeezed(map(keep_known, said.phonemes))
        words = moved(words, [min(place, len(phonemes)) for place in kept])
    found = []
    end = 0
    for word in trimmed(words, phonemes, PUNCTUATION):
        start, stop = (
            (word.start, word.end)
            if places is None
            else (
                places[word.start],
                places[word.end],
            )
        )
        if start < end or stop <= start:
            continue
        end = stop
        found.append(
            SpokenWord(
                piece.starts[start], piece.ends[stop - 1], start, stop, word.first, word.last
            )
        )
    return tuple(found)
