"""Input with markup in, text as it is spoken out, every character traceable to the input."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from shared.languages import Language
from shared.markup import find_marks

_EMOJI = (
    "\u2500-\u25ff\u2600-\u27bf\u2b00-\u2bff"  # boxes, shapes, dingbats, stars
    "\U0001f000-\U0001fbff\U000e0000-\U000e007f"  # emoji and the tags in them
)
# Emoji and boxes decorate a text; nobody wants to hear "smiling face with heart-shaped eyes". They
# part words as a space does. Joiners, selectors, byte order marks and soft hyphens part nothing.
_REWRITTEN = re.compile(
    rf"(?P<space>(?:\s|[{_EMOJI}][\ufe0e\ufe0f\u200d\u20e3]*)+)"
    r"|[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\u20e3\ufeff]+"
)
# misaki's other marks: a shift of stress in [-2, 2] or, between #, how to read a number.
_ENGLISH_STYLE = re.compile(
    r"\[(?P<word>[^\[\]\n]{1,200})\]\((?:(?P<stress>[+-]?(?:[012]|0\.5))|#(?P<number>[an&]{1,3})#)\)"
)
_ENGLISH = (Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH)
_UNSPACED = (Language.JAPANESE, Language.MANDARIN)


@dataclass(frozen=True)
class Override:
    """What is prescribed for a stretch of spoken text: by the author, or by a lexicon.

    Attributes:
        start: index of its first character in the spoken text.
        end: index after its last.
        phonemes: to be spoken instead; empty when only stress or number style is asked for, or
            nothing but that the stretch is not parted.
        stress: misaki's shift of stress, -2 to 2; English only.
        number_style: misaki's number flags out of `a`, `n` and `&`; English only.
    """

    start: int
    end: int
    phonemes: str = ""
    stress: float | None = None
    number_style: str = ""

    @property
    def asks(self) -> bool:
        """Whether it says anything of how the stretch sounds."""
        return bool(self.phonemes or self.number_style) or self.stress is not None


def _start(override: Override) -> int:
    return override.start


@dataclass(frozen=True)
class SpokenText:
    """Text as it is spoken, with the way back to the job's input.

    Attributes:
        text: no markup, no line ends, no emoji, single spaces.
        starts: `starts[i]` is the index in the input where what became `text[i]` begins.
        ends: `ends[i]` is the index in the input after it.
        overrides: ascending, without overlap.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    overrides: tuple[Override, ...] = ()

    def cut(self, start: int, end: int) -> "SpokenText":
        """Return the part from `start` to `end` without white space around it.

        No override may reach over either end.
        """
        while start < end and self.text[start].isspace():
            start += 1
        while end > start and self.text[end - 1].isspace():
            end -= 1
        inside = tuple(
            Override(o.start - start, o.end - start, o.phonemes, o.stress, o.number_style)
            for o in self.overrides[
                bisect_left(self.overrides, start, key=_start) : bisect_left(
                    self.overrides, end, key=_start
                )
            ]
        )
        return SpokenText(
            self.text[start:end], self.starts[start:end], self.ends[start:end], inside
        )


@dataclass(frozen=True)
class Silence:
    """A pause asked for: `pause_s` seconds in place of the input from `start` to `end`."""

    start: int
    end: int
    pause_s: float


@dataclass
class _Builder:
    """Collects spoken characters and where each came from."""

    source: str
    offset: int
    unspaced: bool
    text: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    overrides: list[Override] = field(default_factory=list)

    def copy(self, start: int, end: int) -> None:
        position = start
        for match in _REWRITTEN.finditer(self.source, start, end):
            if match[0] == " ":
                continue
            self._copy_verbatim(position, match.start())
            if match["space"] and not self._joins(match):
                self.text.append(" ")
                self.starts.append(self.offset + match.start())
                self.ends.append(self.offset + match.end())
            position = match.end()
        self._copy_verbatim(position, end)

    def _joins(self, match: re.Match[str]) -> bool:
        # In a script without spaces a line end in the middle of a sentence means nothing.
        after = self.source[match.end() : match.end() + 1]
        before = self.source[match.start() - 1 : match.start()]
        wide = not before.isascii() or not after.isascii()
        return self.unspaced and wide and "\n" in match[0]

    def _copy_verbatim(self, start: int, end: int) -> None:
        self.text.append(self.source[start:end])
        self.starts.extend(range(self.offset + start, self.offset + end))
        self.ends.extend(range(self.offset + start + 1, self.offset + end + 1))

    def stand_over(self, start: int, end: int, word: str, override: Override) -> None:
        before = len(self.starts)
        first = self.source.index(word, start)
        self._copy_verbatim(first, first + len(word))
        self.starts[before] = self.offset + start
        self.ends[-1] = self.offset + end
        self.overrides.append(
            Override(
                before,
                len(self.starts),
                override.phonemes,
                override.stress,
                override.number_style,
            )
        )

    def take(self) -> SpokenText:
        spoken = SpokenText("".join(self.text), self.starts, self.ends, tuple(self.overrides))
        self.text, self.starts, self.ends, self.overrides = [], [], [], []
        return spoken


def resolve(text: str, *, offset: int, language: Language) -> Iterator[SpokenText | Silence]:
    """Yield what a paragraph says and where it is silent, in order.

    Args:
        text: one paragraph of the input; a line end in it is a soft wrap.
        offset: index of its first character in the input.
        language: English knows two more marks than the others.

    Raises:
        InvalidMarkup: a malformed mark.
    """
    build = _Builder(text, offset, unspaced=language in _UNSPACED)
    position = 0
    for mark in find_marks(text) if "[" in text else ():
        _copy_styled(build, position, mark.start, language)
        if mark.phonemes:
            build.stand_over(mark.start, mark.end, mark.word, Override(0, 0, mark.phonemes))
        elif mark.parts:  # the planner took it out; whoever has a text of one voice drops it
            yield build.take()
        else:
            yield build.take()
            yield Silence(offset + mark.start, offset + mark.end, mark.pause_s)
        position = mark.end
    _copy_styled(build, position, len(text), language)
    yield build.take()


def _copy_styled(build: _Builder, start: int, end: int, language: Language) -> None:
    position = start
    if language in _ENGLISH and "](" in build.source:
        for match in _ENGLISH_STYLE.finditer(build.source, start, end):
            build.copy(position, match.start())
            stress = float(match["stress"]) if match["stress"] else None
            style = Override(0, 0, "", stress, match["number"] or "")
            build.stand_over(match.start(), match.end(), match["word"], style)
            position = match.end()
    build.copy(position, end)
