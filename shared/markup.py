"""What may stand in a job's input: plain text, and marks in it.

`[pause:1.5s]`, `[word](/phonemes/)`, `[voice:am_adam]` (until the next one) and `[chapter:Title]`.
The gateway checks with it, the planner reads with it; it needs nothing but the standard library.
No mark holds another's bracket, so reading may begin anywhere but inside one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import InvalidInput, InvalidMarkup, NothingToSpeak
from shared.voices import parse_voice

MAX_PAUSE_S = 600.0
"""The longest single pause."""

MAX_MARK_CHARS = 200
"""The longest text a phoneme mark may stand over."""

MAX_MARK_PHONEMES = 510
"""The longest phoneme string of one mark: it has to fit into one segment."""

MAX_VOICE_CHARS = 700
"""The longest voice of a mark: enough for a mix of eight with the longest names."""

MAX_VOICES = 100
"""Different voices that the marks of one input may name."""

MAX_TITLE_CHARS = 200
"""The longest title of a chapter."""

MAX_CHAPTERS = 2000
"""Chapters in one input."""

LONGEST_MARK_CHARS = MAX_MARK_CHARS + MAX_MARK_PHONEMES + len("[](//)")
"""No well-formed mark is longer, so a reader of windows knows how far one can reach."""

_MARK = re.compile(
    r"\[pause:(?P<pause>[^\[\]\n]{0,40})(?P<closed>\]?)"
    rf"|\[voice:(?P<voice>[^\[\]\n]{{0,{MAX_VOICE_CHARS}}})(?P<voice_closed>\]?)"
    rf"|\[chapter:(?P<title>[^\[\]\n]{{0,{MAX_TITLE_CHARS}}})(?P<title_closed>\]?)"
    r"|\[(?P<word>[^\[\]\n]+)\]\(/(?P<phonemes>[^()\[\]\n]*)/\)",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\[[^\[\]\n]*\Z")
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
        pause_s: seconds of silence, above 0 and at most 600; 0 for the other kinds.
        word: the text a phoneme mark stands over; empty for the other kinds.
        phonemes: how to say `word`; empty for the other kinds.
        voice: a voice or a mix that speaks from here on; empty for the other kinds.
        chapter: title of the chapter that begins here; empty for the other kinds.
    """

    start: int
    end: int
    pause_s: float = 0.0
    word: str = ""
    phonemes: str = ""
    voice: str = ""
    chapter: str = ""

    @property
    def parts(self) -> bool:
        """Whether what is before it and what is after are planned as texts of their own."""
        return bool(self.voice or self.chapter)


@dataclass(frozen=True)
class Contents:
    """What an input has besides its text.

    Attributes:
        voices: that its marks name, each once, in the order of their first marks; all well-formed.
        chapters: how many begin in it.
    """

    voices: tuple[str, ...] = ()
    chapters: int = 0


def find_marks(text: str) -> Iterator[Mark]:
    """Yield the marks of `text` in order.

    `[text](url)` whose address is not between slashes is ordinary text and no mark.

    Raises:
        InvalidMarkup: a pause without a length in (0 s, 600 s], a voice or a chapter that is not
            closed, empty or too long, or a phoneme mark too long or empty. The message names the
            position.
    """
    for match in _MARK.finditer(text):
        start, end = match.span()
        if match["pause"] is not None:
            yield Mark(start, end, pause_s=_pause_s(match))
            continue
        if match["voice"] is not None:
            yield Mark(start, end, voice=_named(match, "voice"))
            continue
        if match["title"] is not None:
            yield Mark(start, end, chapter=_named(match, "title"))
            continue
        word, phonemes = match["word"], match["phonemes"].strip()
        if not phonemes or len(phonemes) > MAX_MARK_PHONEMES or len(word) > MAX_MARK_CHARS:
            raise InvalidMarkup(
                f"The mark at character {start} must stand over at most {MAX_MARK_CHARS} "
                f"characters and hold 1 to {MAX_MARK_PHONEMES} phonemes.",
                param="input",
            )
        yield Mark(start, end, word=word, phonemes=phonemes)


def cut_mark(text: str) -> int:
    """Return where a mark begins that the end of `text` may have cut in two, or its length."""
    match = _OPEN.search(text, max(0, len(text) - LONGEST_MARK_CHARS))
    return match.start() if match else len(text)


def check_input(text: str) -> Contents:
    """Return what marks `text` has; raise unless it can be planned and has something to speak.

    Cheap enough for a web server's event loop: some tens of milliseconds for 2,000,000 characters.
    A byte order mark, tabs, line ends and form feeds are fine.

    Raises:
        InvalidInput: a lone surrogate or a control character; the message names the position.
        InvalidMarkup: a malformed mark, too many chapters, or too many different voices.
        NothingToSpeak: no letter, no number and no phoneme mark, other marks apart.
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
    position = chapters = 0
    voices: dict[str, None] = {}
    for mark in find_marks(text):
        if mark.voice and mark.voice not in voices:
            _check_voice(mark)
            voices[mark.voice] = None
        chapters += bool(mark.chapter)
        if len(voices) > MAX_VOICES or chapters > MAX_CHAPTERS:
            raise InvalidMarkup(
                f"The mark at character {mark.start} is one too many: an input may have "
                f"{MAX_CHAPTERS} chapters and {MAX_VOICES} different voices.",
                param="input",
            )
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
    return Contents(tuple(voices), chapters)


def _named(match: re.Match[str], group: str) -> str:
    """Return the name in a mark that has one, without blanks around it."""
    name = match[group].strip()
    if name and match[f"{group}_closed"]:
        return name
    what, example, most = (
        ("voice", "[voice:am_adam]", MAX_VOICE_CHARS)
        if group == "voice"
        else ("chapter", "[chapter:The beginning]", MAX_TITLE_CHARS)
    )
    raise InvalidMarkup(
        f"The {what} mark at character {match.start()} is malformed: {match[0][:60]!r}. Write "
        f"{example}, on one line, with 1 to {most} characters and no brackets in it.",
        param="input",
    )


def _check_voice(mark: Mark) -> None:
    try:
        parse_voice(mark.voice)
    except InvalidInput as error:
        raise InvalidMarkup(
            f"The voice mark at character {mark.start} names no voice: {error.message}",
            param="input",
        ) from error


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
