"""Where a segment must end: at blank lines, and at line ends that are not mere wrapping."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LOOKAHEAD_CHARS = 16
"""How much of the next line has to be seen before its line end is judged."""

WRAPPED_CHARS = range(45, 121)
"""How long a line of hard-wrapped prose is: mail and plain-text books wrap at 60 to 100."""

_LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029\f]")
_SENTENCE_END = re.compile(r"""[.!?…。！？．｡।॥:][\s"'”’»)\]」』】》〉）]*$""")
_ITEM = re.compile(r"(?:[-*+•‣·–—>#|=_]|\(?\w{1,3}[.)]\s)")
_HARD = frozenset("\f\u2029")
_BLANK = re.compile(r"\s*")


@dataclass(frozen=True)
class Paragraph:
    """A stretch of text that is packed by itself, so that an edit elsewhere leaves it alone.

    Attributes:
        start: index of its first character, never white space.
        end: index after its last character, never white space when `closed`.
        closed: False when the window ends before the paragraph surely does.
    """

    start: int
    end: int
    closed: bool


def paragraphs(text: str, *, at_line_start: bool, final: bool) -> Iterator[Paragraph]:
    """Yield the paragraphs of a window of text.

    Args:
        text: the window.
        at_line_start: False when the window begins in the middle of a line, whose length then is
            unknown.
        final: True when nothing follows the window.
    """
    start = _skip_blank(text, 0)
    line_start = start if at_line_start or start > 0 else -max(WRAPPED_CHARS)
    for match in _LINE_END.finditer(text):
        if match.start() < start:
            continue
        following = _skip_blank(text, match.end())
        if len(text) - following < LOOKAHEAD_CHARS and not final:
            break
        if _is_wrapping(text, line_start, match, following):
            line_start = following
            continue
        yield Paragraph(start, _trim(text, start, match.start()), closed=True)
        start = line_start = following
    if start < len(text):
        end = _trim(text, start, len(text)) if final else len(text)
        yield Paragraph(start, end, closed=final)


def _is_wrapping(text: str, line_start: int, match: re.Match[str], following: int) -> bool:
    """Tell whether the line end is only where the text was wrapped."""
    gap = text[match.end() : following]
    if following == len(text) or match[0] in _HARD or _LINE_END.search(gap):
        return False
    if _ITEM.match(text, following):
        return False
    wrapped = _wrapped(text, line_start, match.start())
    # 120 characters reach back over whatever closes a sentence.
    if _SENTENCE_END.search(text, max(line_start, match.start() - 120, 0), match.start()):
        return wrapped
    first = text[following]
    return wrapped or first.islower() or match.start() - line_start > max(WRAPPED_CHARS)


def _wrapped(text: str, line_start: int, line_end: int) -> bool:
    if line_start < 0:  # Begun in an earlier window: long, unless it is too long for wrapping.
        return line_end < max(WRAPPED_CHARS)
    # A wide character takes two columns, so lines of them are half as long.
    wide = sum(char > "\u2e7f" for char in text[line_start : min(line_end, line_start + 121)])
    return line_end - line_start + wide in WRAPPED_CHARS


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _trim(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end
