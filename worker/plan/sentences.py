"""Where sentences end in nine languages, and where to cut one that is too long.

A wrong end costs little: sentences are packed together again, and only a segment's edge is heard.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence

from shared.languages import Language
from worker.plan.abbreviations import ABBREVIATIONS, MAY_END, NUMBERED, OPENERS

MAX_SENTENCE_CHARS = 1000
"""A stretch without a sentence end is cut at this length; it bounds what must be in sight."""

_CLOSERS = "\"'”’»›)\\]）」』】》〉］｝〕*_"
_END = re.compile(rf"(?:[.!?…।॥。！？．｡]+[{_CLOSERS}]*)+")
_WIDE_STOPS = frozenset("。！？．｡।॥")
_CLAUSE = re.compile(rf"[,;:—–，、；：،][{_CLOSERS}]*|\.\.\.|…+|[)\]）」』”]")
_SPACE = re.compile(r"\s+")
_WORD_BEFORE = re.compile(r"[^\s\"'“”‘«¿¡(\[*_—]*$")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_NEXT_WORD = re.compile(r"[\s\"'“‘«¿¡(\[*_]*([^\W\d_]*)")


def sentences(
    text: str, language: Language, protected: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Return the sentences as (start, end), adjoining, covering `text` exactly.

    White space belongs to the sentence before it. None is longer than `MAX_SENTENCE_CHARS` and
    some closing quotes.

    Args:
        text: one paragraph.
        language: whose abbreviations and punctuation count.
        protected: ascending spans that no sentence may end inside.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for end in [*_ends(text, language, protected), len(text)]:
        while end - start > MAX_SENTENCE_CHARS:
            cut = cut_point(text, start, start + MAX_SENTENCE_CHARS, protected)
            spans.append((start, cut))
            start = cut
        if end > start:
            spans.append((start, end))
            start = end
    return spans


def cut_point(text: str, start: int, end: int, protected: Sequence[tuple[int, int]] = ()) -> int:
    """Return where to cut `text[start:end]` in two when no sentence ends in it.

    At the clause nearest to the middle, if its middle half has one, else at the nearest space, else
    anywhere but inside a `protected` span or before a combining mark; always between `start` and
    `end`, so cutting gets on. Where the whole stretch is protected it is `end`.
    """
    quarter = (end - start) // 4
    for pattern, low, high in (
        (_CLAUSE, start + quarter, end - quarter),
        (_SPACE, start + quarter, end - quarter),
        (_SPACE, start + 1, end - 1),
    ):
        found = [
            match.end()
            for match in pattern.finditer(text, low, high)
            if _may_cut(text, match.end(), protected) and not _in_number(text, match)
        ]
        if found:
            return min(found, key=lambda cut: abs(2 * cut - start - end))
    middle = (start + end) // 2
    for distance in range(end - start):
        for cut in (middle - distance, middle + distance):
            if start < cut < end and _may_cut(text, cut, protected):
                return cut
    return end


def opening_clause(text: str, most: int, protected: Sequence[tuple[int, int]] = ()) -> int | None:
    """Return where the last clause ends that begins a sentence and is at most `most` long.

    None when the whole sentence is no longer, or has no clause that ends there: it is not worth
    breaking a sentence anywhere else only to hear its beginning sooner.
    """
    if len(text) <= most:
        return None
    ends = [
        match.end()
        for match in _CLAUSE.finditer(text, 0, max(most, 0))
        if _may_cut(text, match.end(), protected) and not _in_number(text, match)
    ]
    return ends[-1] if ends and any(map(str.isalnum, text[: ends[-1]])) else None


def _ends(text: str, language: Language, protected: Sequence[tuple[int, int]]) -> list[int]:
    ends = []
    for match in _END.finditer(text):
        end = match.end()
        following = end
        while following < len(text) and text[following].isspace():
            following += 1
        if following < len(text) and not _is_end(text, match, following, language):
            continue
        if not _inside(following, protected):
            ends.append(following)
    return ends


def _is_end(text: str, match: re.Match[str], following: int, language: Language) -> bool:
    marks = match[0]
    spaced = following > match.end()
    if not _WIDE_STOPS.isdisjoint(marks):
        return not _in_number(text, match)
    if not spaced:
        # Without a space only an unspaced script goes on with a new sentence: 你好!再见.
        wide = language in (Language.JAPANESE, Language.MANDARIN) and text[match.end()] > "\u2e7f"
        return wide and text[match.end()] not in "、，；：" and "." not in marks
    word = _NEXT_WORD.match(text, match.end())
    next_word = word[1] if word else ""
    if next_word[:1].islower() and (marks[-1] in _CLOSERS or "…" in marks or ".." in marks):
        return False  # “Stop!” he said. Well… maybe.
    return marks[0] != "." or not _is_abbreviation(text, match.start(), next_word, language)


def _is_abbreviation(text: str, stop: int, next_word: str, language: Language) -> bool:
    """Tell whether the full stop at `stop` belongs to the word before it."""
    before = _WORD_BEFORE.search(text, max(0, stop - 24), stop)
    word = before[0] if before else ""
    starts_anew = next_word.istitle() and next_word.lower() in OPENERS
    if (len(word) == 1 and word.isupper()) or _DOTTED.fullmatch(word):
        return not starts_anew  # An initial, or U.S. and a.m.
    if word.isdecimal() and len(word) <= 3 and not text[: stop - len(word)].strip():
        return True  # "1." opens an item of a list.
    lowered = word.lower()
    last = lowered.rpartition(".")[2]
    if ABBREVIATIONS.get(language, frozenset()).isdisjoint((lowered, last)):
        return False
    if last in NUMBERED:
        return text[stop + 1 : stop + 40].lstrip()[:1].isdecimal()
    return last not in MAY_END or not next_word[:1].isupper()


def _in_number(text: str, match: re.Match[str]) -> bool:
    """Tell whether the mark stands between digits: 3.14, 1,000, 12:30."""
    after = text[match.end() : match.end() + 1]
    return text[match.start() - 1 : match.start()].isdigit() and after.isdigit()


def _inside(position: int, protected: Sequence[tuple[int, int]]) -> bool:
    before = bisect_left(protected, (position,)) - 1
    return before >= 0 and position < protected[before][1]


def _may_cut(text: str, position: int, protected: Sequence[tuple[int, int]]) -> bool:
    # A combining mark or a virama belongs to the letter before it.
    combines = "\u0300" <= text[position : position + 1] <= "\u036f" or (
        "\u0901" <= text[position : position + 1] <= "\u0903"
        or "\u093c" <= text[position : position + 1] <= "\u094d"
    )
    return not combines and not _inside(position, protected)
