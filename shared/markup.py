"""What may stand in a job's input: plain text, `[pause:1.5s]` and `[word](/phonemes/)`.

The gateway checks with it, the planner reads with it; it needs nothing but the standard library.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import InvalidInput, InvalidMarkup, NothingToSpeak

MAX_PAUSE_S = 600.0
"""The longest single pause."""

MAX_MARK_CHARS = 200
"""The longest text a phoneme mark may stand over."""

MAX_MARK_PHONEMES = 510
"""The longest phoneme string of one mark: it has to fit into one segment."""

LONGEST_MARK_CHARS = MAX_MARK_CHARS + MAX_MARK_PHONEMES + len("[](//)")
"""No well-formed mark is longer, so a reader of windows knows how far one can reach."""

_MARK = re.compile(
    r"\[pause:(?P<pause>[^\[\]\n]{0,40})(?P<closed>\]?)"
    r"|\[(?P<word>[^\[\]\n]+)\]\(/(?P<phonemes>[^()\n]*)/\)",
    re.IGNORECASE,
)
_DURATION = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*(ms|s)\s*", re.IGNORECASE)
# Text cannot be stored as UTF-8 with a lone surrogate in it, and nobody means to speak a control
# character: both are signs of a client that decoded its text wrongly. U+0085 is a line end.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_LETTER_OR_NUMBER = re.compile(r"[^\W_]")  # what str.isalnum() accepts: categories L* and N*


@dataclass(frozen=True)
class Mark:
    """One mark in the input.

    Attributes:
        start: index of its `[`.
        end: index after its last character.
        pause_s: seconds of silence, above 0 and at most 600; 0 for a phoneme mark.
        word: the text a phoneme mark stands over; empty for a pause.
        phonemes: how to say `word`; empty for a pause.
    """

    start: int
    end: int
    pause_s: float = 0.0
    word: str = ""
    phonemes: str = ""


def find_marks(text: str) -> Iterator[Mark]:
    """Yield the marks of `text` in order.

    `[text](url)` whose address is not between slashes is ordinary text and no mark.

    Raises:
        InvalidMarkup: a pause without a length in (0 s, 600 s], or a phoneme mark too long or
            empty. The message names the position.
    """
    for match in _MARK.finditer(text):
        start, end = match.span()
        if match["word"] is None:
            yield Mark(start, end, pause_s=_pause_s(match))
            continue
        word, phonemes = match["word"], match["phonemes"].strip()
        if not phonemes or len(phonemes) > MAX_MARK_PHONEMES or len(word) > MAX_MARK_CHARS:
            raise InvalidMarkup(
                f"The mark at character {start} must stand over at most {MAX_MARK_CHARS} "
                f"characters and hold 1 to {MAX_MARK_PHONEMES} phonemes.",
                param="input",
            )
        yield Mark(start, end, word=word, phonemes=phonemes)


def check_input(text: str) -> None:
    """Raise unless `text` can be planned and has something to speak.

    Cheap enough for a web server's event loop: some tens of milliseconds for 2,000,000 characters.
    A byte order mark, tabs, line ends and form feeds are fine.

    Raises:
        InvalidInput: a lone surrogate or a control character; the message names the position.
        InvalidMarkup: a malformed mark.
        NothingToSpeak: no letter, no number and no phoneme mark, pauses apart.
    """
    bad = _FORBIDDEN.search(text)
    if bad is not None:
        kind = "lone surrogate" if "\ud800" <= bad[0] <= "\udfff" else "control character"
        raise InvalidInput(
            f"The input has a {kind} (U+{ord(bad[0]):04X}) at character {bad.start()}. "
            "Send valid Unicode text.",
            param="input",
        )
    speakable = False
    position = 0
    for mark in find_marks(text):
        speakable = (
            speakable
            or mark.phonemes != ""
            or _LETTER_OR_NUMBER.search(text, position, mark.start) is not None
        )
        position = mark.end
    if not speakable and _LETTER_OR_NUMBER.search(text, position) is None:
        raise NothingToSpeak(
            "The input has no letter, number or phoneme mark: there is nothing to speak.",
            param="input",
        )


def _pause_s(match: re.Match[str]) -> float:
    duration = _DURATION.fullmatch(match["pause"]) if match["closed"] else None
    if duration is not None:
        pause_s = float(duration[1]) * (0.001 if duration[2].lower() == "ms" else 1.0)
        if 0 < pause_s <= MAX_PAUSE_S:
            return pause_s
    raise InvalidMarkup(
        f"The pause at character {match.start()} is malformed: {match[0]!r}. Write [pause:1.5s] or "
        f"[pause:500ms], longer than 0 and at most {MAX_PAUSE_S:.0f} seconds.",
        param="input",
    )
