"""SubRip subtitles: the cues' text in order, with their silences if that is asked for."""

import html
import re

from gateway.documents.document import Document, Kind, Manuscript, at_most, literal
from gateway.documents.faults import DocumentBroken
from gateway.documents.plain_text import decode

NEW_PARAGRAPH_S = 2.0
"""A gap between cues that ends a paragraph."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 600.0
"""Gaps that become pauses."""

_TIME = r"(\d{1,3}):([0-5]?\d):([0-5]?\d)[,.](\d{1,3})"
_CUE = re.compile(rf"^[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}[^\n]*$", re.MULTILINE)
_BEGINS = re.compile(rf"\s*\d+[ \t]*\n[ \t]*{_TIME}[ \t]*-->")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}")
_NUMBER_LINE = re.compile(r"\n[ \t]*\d+[ \t]*\Z")


def is_subtitles(head: str) -> bool:
    """Tell by its beginning whether a text is subtitles."""
    return _BEGINS.match(head.lstrip("\ufeff").replace("\r\n", "\n")) is not None


def read_subtitles(data: bytes, *, most_chars: int, timing: bool) -> Document:
    """Read subtitles; nothing in them is a mark.

    Args:
        data: the file.
        most_chars: of the text.
        timing: whether silences between cues become pauses.

    Raises:
        DocumentBroken: there is no cue in it.
        DocumentTooLong: its text is longer than `most_chars`.
    """
    text, remarks = decode(data)
    manuscript = Manuscript(most_chars)
    said: list[str] = []
    last_end_s: float | None = None
    last_text = ""
    found = list(_CUE.finditer(text))
    if not found:
        raise DocumentBroken("There is no cue in the subtitles.", param="file")
    for match, following in zip(found, [*found[1:], None], strict=True):
        start_s, end_s = _seconds(match, 1), _seconds(match, 5)
        end = len(text) if following is None else following.start()
        cue = _NUMBER_LINE.sub("", "\n" + text[match.end() : end].rstrip("\n"))
        line = " ".join(literal(html.unescape(_TAG.sub("", cue))).split())
        if not line or line == last_text:  # cues that overlap say a line twice
            last_end_s = max(end_s, last_end_s or 0)
            continue
        gap_s = start_s - last_end_s if last_end_s is not None else 0.0
        if timing and gap_s >= SHORTEST_PAUSE_S:
            said.append(f"[pause:{min(gap_s, LONGEST_PAUSE_S):.2f}s]")
        elif gap_s >= NEW_PARAGRAPH_S:
            manuscript.paragraph(" ".join(said))
            said = []
        said.append(line)
        last_end_s, last_text = max(end_s, last_end_s or 0), line
    manuscript.paragraph(" ".join(said))
    return Document(Kind.SRT, manuscript.text, remarks=at_most(remarks))


def _seconds(match: re.Match[str], group: int) -> float:
    hours, minutes, seconds, fraction = (match[group + i] for i in range(4))
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
