"""Markdown: headings become chapters, what is only for the eye is left out."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gateway.documents.document import (
    MAX_LANGUAGE_CHARS,
    Document,
    Kind,
    Manuscript,
    Remark,
    as_sentence,
    at_most,
    has_controls,
    literal,
    tidy_title,
    without_controls,
)
from gateway.documents.plain_text import decode
from shared.alphabet import first_unknown

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,16384}?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_FIELD = re.compile(
    r"^(title|author|authors|lang|language)[ \t]*:[ \t]*(.*)((?:\n[ \t]*-[ \t].*)*)$", re.M | re.I
)
_PHONEME_MARK = re.compile(r"\[[^\[\]\n]+\]\(/([^()\n]*)/\)")
_HTML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_HTML_TAG = re.compile(r"<[^<>]*>")


def read_markdown(data: bytes, *, most_chars: int) -> Document:
    """Read Markdown; marks typed in its text stay marks, what is code or an image's is none.

    Raises:
        DocumentUnsupported: it is no text at all.
        DocumentTooLong: its text is longer than `most_chars`.
    """
    text, remarks = decode(data)
    if has_controls(text):
        remarks.append(Remark("document_characters", "Control characters were left out."))
    text = without_controls(text)
    front = _front_matter(text)
    if front:
        text = text[front.end() :]
    fields = dict(_front_fields(front[1] or "")) if front else {}
    # A text_special token is what was escaped: no mark can begin or end with it.
    parser = MarkdownIt("commonmark").enable("table").disable("text_join")
    reading = _Reading(parser.parse(text), Manuscript(most_chars), remarks)
    reading.read()
    return Document(
        Kind.MARKDOWN,
        reading.manuscript.text,
        title=tidy_title(fields.get("title", "") or reading.title),
        author=tidy_title(fields.get("author", "") or fields.get("authors", "")),
        language=(fields.get("lang", "") or fields.get("language", ""))[:MAX_LANGUAGE_CHARS],
        remarks=at_most(remarks),
    )


def _front_matter(text: str) -> re.Match[str] | None:
    return _FRONT_MATTER.match(text.lstrip("\ufeff"))


def _front_fields(front: str) -> Iterator[tuple[str, str]]:
    for name, value, below in _FRONT_FIELD.findall(front):
        listed = value.strip()
        items = [listed]
        if listed[:1] == "[" and listed[-1:] == "]":
            items = listed[1:-1].split(",")
        elif not listed:  # a list, one item a line
            items = [line.strip().removeprefix("-") for line in below.split("\n")]
        said = (item.strip().strip("\"'") for item in items)
        yield name.lower(), ", ".join(filter(None, said))[:500]


class _Reading:
    """One pass over a document's tokens."""

    def __init__(
        self, tokens: Sequence[Token], manuscript: Manuscript, remarks: list[Remark]
    ) -> None:
        self.manuscript = manuscript
        self._tokens = tokens
        self._remarks = remarks
        self._headings = [
            (int(token.tag[1]), _plain(tokens[i + 1]))
            for i, token in enumerate(tokens)
            if token.type == "heading_open"
        ]
        self._lists: list[int | None] = []
        self._chapter_level = self._find_chapter_level()

    @property
    def title(self) -> str:
        """The only heading of the first level, if there is just one."""
        first = [text for level, text in self._headings if level == 1]
        return first[0] if len(first) == 1 else ""

    def _find_chapter_level(self) -> int | None:
        """Return the highest level that has several headings: a single one is the title."""
        counted = Counter(level for level, _ in self._headings)
        return next((level for level in sorted(counted) if counted[level] > 1), None)

    def read(self) -> None:
        """Write the document."""
        tokens = self._tokens
        code = i = 0
        while i < len(tokens):
            token = tokens[i]
            match token.type:
                case "heading_open":
                    if int(token.tag[1]) == self._chapter_level:
                        self.manuscript.chapter(_plain(tokens[i + 1]))
                    self.manuscript.heading(_spoken(tokens[i + 1]))
                    i += 1
                case "inline":
                    self._paragraph(_spoken(token))
                case "ordered_list_open":
                    self._lists.append(int(token.attrGet("start") or 1))
                case "bullet_list_open":
                    self._lists.append(None)
                case "ordered_list_close" | "bullet_list_close":
                    self._lists.pop()
                case "list_item_open":
                    i = self._item(i)
                case "table_open":
                    i = self._table(i)
                case "fence" | "code_block":
                    code += 1
                case "html_block":
                    text = _HTML_TAG.sub(" ", _HTML_COMMENT.sub(" ", token.content))
                    self.manuscript.paragraph(literal(" ".join(text.split())))
            i += 1
        if code:
            blocks = "One block of code was" if code == 1 else f"{code} blocks of code were"
            self._remarks.append(Remark("document_skipped", f"{blocks} left out."))

    def _paragraph(self, text: str) -> None:
        self.manuscript.paragraph(as_sentence(text) if self._lists else text)

    def _item(self, i: int) -> int:
        """Put an ordered item's number before its first paragraph; return where to go on."""
        number = self._lists[-1] if self._lists else None
        if number is None:
            return i
        self._lists[-1] = number + 1
        following = self._tokens[i + 1 : i + 3]
        if len(following) == 2 and following[1].type == "inline":
            self._paragraph(f"{number}. {_spoken(following[1])}")
            return i + 2
        return i

    def _table(self, i: int) -> int:
        """Read a table row by row, each cell after its column's name; return its last token."""
        names: list[str] = []
        row: list[str] = []
        while self._tokens[i].type != "table_close":
            token = self._tokens[i]
            if token.type == "tr_open":
                row = []
            elif token.type == "inline":
                row.append(_spoken(token).strip())
            elif token.type == "tr_close":
                if not names:
                    names = row
                    if len(row) == 1:
                        self.manuscript.heading(row[0])
                else:
                    self.manuscript.heading("; ".join(_named_cells(names, row)))
            i += 1
        return i


def _named_cells(names: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    for name, cell in zip(names, row, strict=False):
        if cell:
            yield f"{name}: {cell}" if name and len(names) > 1 else cell


def _plain(token: Token) -> str:
    """Return what an inline token says, without marks."""
    return " ".join(_PHONEME_MARK.sub("", _spoken(token)).split())


def _spoken(token: Token) -> str:
    """Return what an inline token says, its marks kept."""
    parts: list[str] = []
    phonemes: list[str | None] = []
    for child in token.children or ():
        match child.type:
            case "text":
                parts.append(child.content)
            case "text_special":
                # A word joiner on both sides: no mark begins or ends with what was escaped.
                parts.append(f"\u2060{child.content}\u2060")
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "code_inline":
                parts.append(literal(child.content))
            case "image":
                parts.append(literal(_alternative(child)))
            case "link_open":
                said = _phonemes_of(str(child.attrGet("href") or ""))
                phonemes.append(said)
                parts.append("[" if said else "")
            case "link_close":
                said = phonemes.pop()
                parts.append(f"](/{said}/)" if said else "")
    text = "".join(parts)
    return _PHONEME_MARK.sub(_kept_if_phonemes, text)


def _alternative(image: Token) -> str:
    return "".join(child.content for child in image.children or ())


def _phonemes_of(href: str) -> str | None:
    """Return the phonemes of `[word](/phonemes/)`, which Markdown takes to be a link.

    So may `/docs/` be, whose letters are phonemes all: those of a real pronunciation are not all
    letters of the Latin alphabet.
    """
    said = unquote(href)[1:-1]
    if not (href.startswith("/") and href.endswith("/")) or said.isascii():
        return None
    return said if first_unknown(said) is None else None


def _kept_if_phonemes(match: re.Match[str]) -> str:
    return match[0] if _phonemes_of(f"/{match[1]}/") else literal(match[0])
