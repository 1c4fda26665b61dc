"""Which phonemes say which word: kept while phonemes are put together, filtered and squeezed."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

JUMP_CHARS = 100
"""How much of a text a G2P may have rewritten between two words that are found again."""


class WordSpan(NamedTuple):
    """A word in a text and in the text's phonemes; ends are excluded.

    Attributes:
        start: index of its first character in the text.
        end: index after its last.
        first: index of its first phoneme.
        last: index after its last; `first` when it has none.
    """

    start: int
    end: int
    first: int
    last: int

    def shifted(self, chars: int, phonemes: int) -> "WordSpan":
        """Return the same word in a longer text, that much further on."""
        return WordSpan(
            self.start + chars, self.end + chars, self.first + phonemes, self.last + phonemes
        )


def moved(words: Iterable[WordSpan], places: Sequence[int]) -> tuple[WordSpan, ...]:
    """Return the words in phonemes that were rewritten; `places[i]` is where the i-th went."""
    return tuple(WordSpan(w.start, w.end, places[w.first], places[w.last]) for w in words)


def squeezed(parts: Iterable[str]) -> tuple[str, list[int]]:
    """Join `parts`, white space as single spaces between words.

    Returns:
        The same as `" ".join("".join(parts).split())`, and where in it each part begins, with the
        end as the last.
    """
    said: list[str] = []
    places = []
    for part in parts:
        places.append(len(said))
        for symbol in part:
            if not symbol.isspace():
                said.append(symbol)
            elif said and said[-1] != " ":
                said.append(" ")
    if said and said[-1] == " ":
        said.pop()
    places.append(len(said))
    return "".join(said), [min(place, len(said)) for place in places]


def without(pattern: re.Pattern[str], phonemes: str) -> tuple[str, list[int]]:
    """Delete what `pattern` matches.

    Returns:
        What is left, and where in it each symbol went, with the end as the last.
    """
    gone = bytearray(len(phonemes))
    for match in pattern.finditer(phonemes):
        gone[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    places, left = [], 0
    for deleted in gone:
        places.append(left)
        left += not deleted
    places.append(left)
    kept = "".join(symbol for symbol, deleted in zip(phonemes, gone, strict=True) if not deleted)
    return kept, places


def trimmed(words: Iterable[WordSpan], phonemes: str, edges: str) -> tuple[WordSpan, ...]:
    """Return the words that have a phoneme, without symbols out of `edges` at theirs."""
    found = []
    for word in words:
        said = phonemes[word.first : word.last]
        first = word.first + len(said) - len(said.lstrip(edges))
        last = word.last - len(said) + len(said.rstrip(edges))
        if first < last:
            found.append(word._replace(first=first, last=last))
    return tuple(found)


def locate(text: str, said: Iterable[tuple[str, int, int]]) -> tuple[WordSpan, ...]:
    """Find the words of a G2P in the text they were made from.

    What it rewrote, such as numbers into words, is not there: such words stand together for the
    text between their neighbours.

    Args:
        text: as it was before the G2P rewrote it.
        said: each word's letters, its first phoneme and the one after its last, in order; silent
            ones too.
    """
    spans: list[WordSpan] = []
    lost: list[tuple[str, int, int]] = []
    position = 0
    for letters, first, last in said:
        start = _find(text, letters, position, "".join(word for word, *_ in lost))
        if start is None:
            lost.append((letters, first, last))
            continue
        spans += _between(text, position, start, lost)
        lost = []
        position = start + len(letters)
        spans.append(WordSpan(start, position, first, last))
    return (*spans, *_between(text, position, len(text), lost))


def _find(text: str, letters: str, position: int, lost: str) -> int | None:
    start = text.find(letters, position, position + JUMP_CHARS + len(letters))
    if start < 0:
        return None
    skipped = unicodedata.normalize("NFKC", text[position:start])
    # Letters in between that nothing lost has, or digits that nothing was said of: then this is a
    # part of what was rewritten, and the word that looks like it comes later.
    if any(char.isalpha() and char not in lost for char in skipped):
        return None
    return None if not lost and any(map(str.isdigit, skipped)) else start


def _between(
    text: str, start: int, end: int, lost: Sequence[tuple[str, int, int]]
) -> list[WordSpan]:
    """Return one word for all that was lost between two places, if a word is there."""
    inside = [i for i in range(start, end) if text[i].isalnum()] if lost else []
    return [WordSpan(inside[0], inside[-1] + 1, lost[0][1], lost[-1][2])] if inside else []
