"""Lexicons applied: the words of spoken text that have an entry get its phonemes or respelling."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from shared.languages import Language
from shared.lexicon import Entry, Lexicon, folded
from worker.plan.markup import SpokenText
from worker.plan.rewriting import Change, rewritten

_UNSPACED = (
    ("\u2e80", "\u9fff"),  # Han, Kana and their radicals
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U000323af"),
)


class WordBook:
    """The entries of a job's lexicons that count for its language.

    Whole words only, the longest entry that fits first, from left to right. Of entries alike in
    length one that has its capitals prescribed goes first, then the lexicon that is named first.

    Args:
        lexicons: in the job's order.
        language: of its text; lexicons of another are left out.
    """

    def __init__(self, lexicons: Sequence[Lexicon], language: Language) -> None:
        self._exact: dict[str, Entry] = {}
        self._folded: dict[str, Entry] = {}
        lengths: dict[str, set[int]] = {}
        for lexicon in lexicons:
            if lexicon.language not in (None, language):
                continue
            for entry in lexicon.entries:
                if entry.case_sensitive:
                    self._exact.setdefault(_plain(entry.word), entry)
                else:
                    self._folded.setdefault(folded(entry.word), entry)
                lengths.setdefault(folded(entry.word)[0], set()).add(len(entry.word))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def __call__(self, spoken: SpokenText) -> SpokenText:
        """Return what is said with these entries; what the author has marked stays as marked."""
        if not self._lengths:
            return spoken
        starts = [override.start for override in spoken.overrides]
        changes = []
        for start, end, entry in self._find(spoken.text):
            before = bisect_right(starts, end - 1) - 1
            if before >= 0 and spoken.overrides[before].end > start:
                continue
            changes.append(Change(start, end, text=entry.respelling, phonemes=entry.phonemes))
        return rewritten(spoken, changes)

    def _find(self, text: str) -> Iterator[tuple[int, int, Entry]]:
        exact, low = _plain(text), folded(text)
        position = 0
        while position < len(low):
            lengths = self._lengths.get(low[position])
            found = None
            if lengths is not None and not _in_word(text, position):
                found = self._longest_at(exact, low, position, lengths)
            if found is None:
                position += 1
                continue
            end, entry = found
            yield position, end, entry
            position = end

    def _longest_at(
        self, exact: str, low: str, start: int, lengths: Sequence[int]
    ) -> tuple[int, Entry] | None:
        for length in lengths:
            end = start + length
            entry = self._exact.get(exact[start:end]) or self._folded.get(low[start:end])
            if entry is not None and len(entry.word) == length and _may_end(low, end):
                return end, entry
        return None


def _plain(text: str) -> str:
    return text.replace("’", "'")


def _may_end(low: str, end: int) -> bool:
    if _in_word(low, end):
        return False
    # "don't" has no word "don" in it, but "Dune's" is Dune's.
    tail = low[end : end + 3]
    return not (tail[:1] == "'" and tail[1:2].isalpha()) or (
        tail[1:2] == "s" and not tail[2:3].isalnum()
    )


def _in_word(text: str, at: int) -> bool:
    """Tell whether the characters before and after `at` belong to one word."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if unicodedata.category(after).startswith("M"):
        return True
    return _of_word(before) and _of_word(after) and not (_unspaced(before) or _unspaced(after))


def _of_word(char: str) -> bool:
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")


def _unspaced(char: str) -> bool:
    """Tell whether a script has no spaces between words, so that any character may begin one."""
    return char >= "\u2e80" and any(low <= char <= high for low, high in _UNSPACED)
