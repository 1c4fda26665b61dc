"""Sentences with their times in, cues to be read in out.

A cue is a sentence, or a part of one where it is too long for two lines or stays too long; a
sentence too short to be read goes with the next.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from shared.timings import TimedSentence

LINE_CELLS = 42
"""Columns of a line, the usual bound of subtitles; a Chinese character takes two."""

MOST_LINES = 2
MOST_S = 6.0
"""A cue is split rather than shown longer."""

LEAST_S = 1.0
"""A shorter one is shown longer where nothing follows, or goes with its neighbour."""

JOIN_S = 0.12
"""A gap that would only flicker: the cue before it stays."""

_OPENERS = frozenset("¿¡\"'“‘«「『（《【([{")
_CLAUSE_ENDS = frozenset(",;:.!?…—，、；：。！？।")


@dataclass(frozen=True)
class Cue:
    """What is shown at a time.

    Attributes:
        start_ms: from the beginning of the audio.
        end_ms: above `start_ms`.
        lines: one or two, none of them blank.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Piece:
    """A word with what belongs to it, or a stretch of pieces."""

    text: str
    start_s: float
    end_s: float


@dataclass
class CueMaker:
    """Makes cues of sentences in order, holding back the last one until what follows is known."""

    held: _Piece | None = None
    held_segment: int = -1
    shown_ms: int = 0

    def add(self, sentence: TimedSentence) -> list[Cue]:
        """Take the next sentence; return the cues that are sure."""
        ready = []
        for part in _parts(sentence):
            joined = self._joined(part, sentence.segment)
            if joined is not None:
                self.held = joined
                continue
            if self.held is not None:
                ready += self._show(part.start_s)
            self.held = part
            self.held_segment = sentence.segment
        return ready

    def close(self, audio_s: float) -> list[Cue]:
        """Return the last cue, if any; none is shown beyond the audio's end."""
        ready = self._show(audio_s) if self.held is not None else []
        self.held = None
        return ready

    def _joined(self, part: _Piece, segment: int) -> _Piece | None:
        held = self.held
        if held is None or segment != self.held_segment or held.end_s - held.start_s >= LEAST_S:
            return None
        if part.start_s - held.start_s >= LEAST_S:
            return None  # There is time to show it by itself.
        together = _Piece(f"{held.text} {part.text}", held.start_s, part.end_s)
        return together if _fits(together) else None

    def _show(self, next_s: float) -> list[Cue]:
        held = self.held
        if held is None:
            return []
        end_s = max(held.end_s, held.start_s + LEAST_S)
        if next_s - end_s < JOIN_S:
            end_s = next_s
        start_ms = max(self.shown_ms, round(held.start_s * 1000))
        end_ms = round(end_s * 1000)
        lines = wrap(held.text)
        if end_ms <= start_ms or not lines:
            return []
        self.shown_ms = end_ms
        return [Cue(start_ms, end_ms, lines)]


def _fits(piece: _Piece) -> bool:
    return piece.end_s - piece.start_s <= MOST_S and 0 < len(wrap(piece.text)) <= MOST_LINES


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cells(text: str) -> int:
    """Return how many columns `text` takes."""
    return sum(map(_width, text))


def wrap(text: str) -> tuple[str, ...]:
    """Break text into lines of at most `LINE_CELLS`: two of like length where two are enough."""
    text = " ".join(text.split())
    if not text:
        return ()
    if cells(text) <= LINE_CELLS:
        return (text,)
    best: tuple[float, tuple[str, str]] | None = None
    for at in _breaks(text):
        lines = text[:at].rstrip(), text[at:].lstrip()
        widths = cells(lines[0]), cells(lines[1])
        if max(widths) > LINE_CELLS or not all(lines):
            continue
        cost = abs(widths[0] - widths[1]) - (6 if lines[0][-1] in _CLAUSE_ENDS else 0)
        if best is None or cost < best[0]:
            best = (cost, lines)
    if best is not None:
        return best[1]
    end = _line_end(text)
    return (text[:end].rstrip(), *wrap(text[end:]))


def _line_end(text: str) -> int:
    """Return where the first full line of `text` ends: at a space, or anywhere."""
    width = 0
    for i, char in enumerate(text):
        width += _width(char)
        if width > LINE_CELLS:
            return max((at for at in _breaks(text[: i + 1]) if at <= i), default=max(i, 1))
    return len(text)


def _breaks(text: str) -> list[int]:
    """Return where a line may end: at spaces, and between wide characters."""
    return [
        at
        for at in range(1, len(text))
        if text[at - 1] == " "
        or (
            _width(text[at]) == 2
            and text[at].isalnum()
            and text[at - 1] not in _OPENERS
            and unicodedata.category(text[at]) != "Lm"
        )
    ]


def _parts(sentence: TimedSentence) -> list[_Piece]:
    """Cut a sentence into as few cues as it needs, of like length, rather at its commas."""
    pieces = [small for piece in _pieces(sentence) for small in _cut(piece)]
    if not pieces:
        return []
    whole = _span(pieces)
    if _fits(whole):
        return [whole]
    needed = max(
        -(-cells(whole.text) // (MOST_LINES * LINE_CELLS)),
        int((whole.end_s - whole.start_s) / MOST_S) + 1,
    )
    ideal = cells(whole.text) / needed
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(pieces) + 1):
        found: tuple[float, int] | None = None
        for start in range(end - 1, -1, -1):
            part = _span(pieces[start:end])
            if start < end - 1 and not _fits(part):
                break
            cost = best[start][0] + 1000 + ((cells(part.text) - ideal) / 10) ** 2
            if end < len(pieces) and part.text[-1:] not in _CLAUSE_ENDS:
                cost += 8
            if found is None or cost < found[0]:
                found = (cost, start)
        best.append(found or (0.0, end - 1))
    cuts = [len(pieces)]
    while cuts[-1]:
        cuts.append(best[cuts[-1]][1])
    return [_span(pieces[a:b]) for a, b in pairwise(cuts[::-1])]


def _span(pieces: Sequence[_Piece]) -> _Piece:
    text = "".join(piece.text for piece in pieces).strip()
    return _Piece(text, pieces[0].start_s, pieces[-1].end_s)


def _pieces(sentence: TimedSentence) -> list[_Piece]:
    """Give each word the text around it: what opens it, what closes it and the space after it."""
    text, words = sentence.text, sentence.words
    if not words:
        return [_Piece(text, sentence.start_s, sentence.end_s)]
    cuts = [0, *(_cut_between(text, a.text_end, b.text_start) for a, b in pairwise(words))]
    ends = [*cuts[1:], len(text)]
    return [
        _Piece(text[start:end], word.start_s, word.end_s)
        for word, start, end in zip(words, cuts, ends, strict=True)
    ]


def _cut_between(text: str, start: int, end: int) -> int:
    for at in range(start, end):
        if text[at].isspace():
            return at + 1
    return next((at for at in range(start, end) if text[at] in _OPENERS), end)


def _cut(piece: _Piece) -> list[_Piece]:
    """Cut what is longer than a line, its time shared out by its letters."""
    if cells(piece.text) <= LINE_CELLS:
        return [piece]
    found = []
    start = 0
    per_char_s = (piece.end_s - piece.start_s) / len(piece.text)
    while start < len(piece.text):
        end = start + _line_end(piece.text[start:])
        found.append(
            _Piece(
                piece.text[start:end],
                piece.start_s + start * per_char_s,
                piece.start_s + end * per_char_s,
            )
        )
        start = end
    return found
