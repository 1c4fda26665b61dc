"""A document as it will be spoken: its text with marks, and what it says of itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.documents.faults import DocumentTooLong

MAX_TITLE_CHARS = 200
"""The longest title of a chapter or a document, and the longest name of an author."""

MAX_LANGUAGE_CHARS = 35
"""RFC 5646 wants no more of whoever reads tags of languages."""

MAX_CHAPTERS = 1000
"""More headings than this are read as text."""

MAX_WARNINGS = 20

_APART = "\u2060"
"""A word joiner: the planner drops it, and what stood beside it is no mark any more."""

_MARK_BEGINS = re.compile(r"\[(?=(?:pause|voice|chapter):)|\](?=\()", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_ENDED = re.compile(r"""[.!?…。！？．｡।॥:;,"'”’»)\]]\s*$""")


class Kind(StrEnum):
    """What is read here."""

    TXT = "txt"
    MARKDOWN = "md"
    SRT = "srt"
    EPUB = "epub"


@dataclass(frozen=True)
class Remark:
    """Something the client should know; it becomes a warning of the job.

    Attributes:
        code: stable: `document_encoding`, `document_skipped`, ….
        detail: for a person.
    """

    code: str
    detail: str


@dataclass(frozen=True)
class Document:
    """A document, read.

    Attributes:
        kind: what it was.
        text: with marks, ready to be a job's input.
        title: as it says itself; empty if it does not.
        author: as it says itself, several with commas between; empty if it does not.
        language: BCP 47, as it says itself; empty if it does not.
        remarks: at most 20.
    """

    kind: Kind
    text: str
    title: str = ""
    author: str = ""
    language: str = ""
    remarks: tuple[Remark, ...] = ()


@dataclass
class Manuscript:
    """Collects paragraphs and chapters, a blank line between any two.

    Attributes:
        most_chars: of the text; beyond it there is `DocumentTooLong`.
    """

    most_chars: int
    chapters: int = 0
    _parts: list[str] = field(default_factory=list)
    _chars: int = 0

    def chapter(self, title: str) -> None:
        """Begin a chapter; without a title, or beyond the most there may be, nothing happens."""
        shown = tidy_title(title)
        if shown and self.chapters < MAX_CHAPTERS:
            self.chapters += 1
            self._add(f"[chapter:{shown}]")

    def paragraph(self, text: str) -> None:
        """Add a paragraph whose marks are meant as marks; a blank one is left out."""
        kept = without_controls(text).strip()
        if kept:
            self._add(kept)

    def heading(self, text: str) -> None:
        """Add a line that is said as a sentence of its own."""
        self.paragraph(as_sentence(text))

    @property
    def text(self) -> str:
        """All of it so far."""
        return "\n\n".join(self._parts)

    def _add(self, part: str) -> None:
        self._chars += len(part) + 2
        if self._chars - 2 > self.most_chars:
            raise DocumentTooLong(
                f"The document has more than {self.most_chars} characters of text, which is the "
                "most that one job may speak.",
                param="file",
            )
        self._parts.append(part)


def literal(text: str) -> str:
    """Return `text` so that nothing in it is a mark, though it be spelled like one."""
    return _MARK_BEGINS.sub(lambda match: match[0] + _APART, text) if "[" in text else text


def tidy_title(text: str) -> str:
    """Return a title that can stand in a mark: one line, no square brackets, not too long."""
    shown = "".join(c if c.isprintable() else " " * c.isspace() for c in text)
    line = " ".join(shown.split()).translate(str.maketrans("[]", "()"))
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1].rstrip() + "…"


def as_sentence(text: str) -> str:
    """Return a heading or an item of a list with a full stop, unless it has an end."""
    kept = " ".join(text.split())
    return kept + "." if kept and not _ENDED.search(kept) else kept


def without_controls(text: str) -> str:
    """Return `text` without what no job's input may have."""
    return _FORBIDDEN.sub("", text)


def has_controls(text: str) -> bool:
    """Tell whether `text` has what no job's input may have."""
    return _FORBIDDEN.search(text) is not None


def at_most(remarks: Iterator[Remark] | list[Remark]) -> tuple[Remark, ...]:
    """Return the first remarks, each once."""
    return tuple(dict.fromkeys(remarks))[:MAX_WARNINGS]
