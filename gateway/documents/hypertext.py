"""One XHTML file of a book: its paragraphs and headings as they are read aloud."""

import re
from collections.abc import Callable, Iterator, Mapping
from html.entities import html5

from lxml import etree

from gateway.documents.document import as_sentence, literal
from gateway.documents.faults import DocumentBomb, DocumentBroken

_NAMED_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES = frozenset((b"amp", b"lt", b"gt", b"quot", b"apos"))
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"

_BLOCK_NAMES = """
address article aside blockquote body caption center dd details dialog div dl dt figcaption figure
footer form h1 h2 h3 h4 h5 h6 header hgroup hr li main ol p pre section summary table tbody tfoot
thead tr ul
"""
_SILENT_NAMES = """
applet audio button canvas datalist embed head iframe img input map math meter nav noframes noscript
object optgroup option progress rp rt script select style svg template textarea title video
"""
_SILENT_STRUCTURES = """
annoref biblioref doc-backlink doc-biblioref doc-endnotes doc-footnote doc-noteref doc-pagebreak
doc-pagelist doc-toc endnote endnotes footnote footnotes landmarks loi lot noteref page-list
pagebreak rearnote rearnotes toc
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_SILENT = frozenset(_SILENT_NAMES.split())
_SILENT_KINDS = frozenset(_SILENT_STRUCTURES.split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_NOTE_SIGN = re.compile(r"\s*[\[(]?(?:\d{1,4}|[*†‡§¶]{1,3}|[ivx]{1,5})[\])]?\s*")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def parse_xml(data: bytes, *, recover: bool = False) -> etree._Element:
    """Parse a file of a book: no entity of its own is replaced, nothing is fetched.

    Raises:
        DocumentBomb: it declares entities.
        DocumentBroken: there is no element in it.
    """
    if b"<!ENTITY" in data:
        raise DocumentBomb("A file in the book declares entities of its own.", param="file")
    parser = etree.XMLParser(
        recover=recover,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(_NAMED_ENTITY.sub(_numbered, data), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise DocumentBroken(f"A file in the book is no XML: {error}.", param="file") from error
    if root is None:
        raise DocumentBroken("A file in the book has nothing in it.", param="file")
    return root


def name_of(element: etree._Element) -> str:
    """Return an element's name without its namespace, in lower case; empty for what is none."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def is_kind(element: etree._Element, kinds: frozenset[str]) -> bool:
    """Tell whether an element says that it is one of these structures (`epub:type`, `role`)."""
    said = f"{element.get(_EPUB_TYPE, '')} {element.get('role', '')}".lower().split()
    return not kinds.isdisjoint(said)


def text_of(element: etree._Element) -> str:
    """Return all text in an element, on one line."""
    return " ".join("".join(map(str, element.itertext())).split())


def read_hypertext(
    root: etree._Element,
    *,
    anchors: Mapping[str, str],
    chapter: Callable[[str], None],
    paragraph: Callable[[str], None],
) -> None:
    """Read a file aloud: hidden text, notes and their signs, and page numbers apart.

    Args:
        root: of the file.
        anchors: titles of the chapters that begin at an element's id.
        chapter: told of each of them, before what it begins with.
        paragraph: told of each stretch of text, in which nothing is a mark.
    """
    line: list[str] = []
    heading = False

    def flush() -> None:
        text = "\n".join(" ".join(part.split()) for part in "".join(line).split("\n"))
        line.clear()
        if text.strip():
            paragraph(as_sentence(literal(text)) if heading else literal(text.strip()))

    for event, element in _walk(root):
        name = name_of(element)
        if event == "start":
            title = anchors.get(element.get("id", ""))
            if title:
                flush()
                chapter(title)
            if name in _BLOCKS:
                flush()
                heading = heading or name in _HEADINGS
            elif name == "br":
                line.append("\n")
            line.append(_spaces(element.text))
        else:
            if name in ("td", "th") and "".join(line).strip():
                line.append(", ")
            elif name in _BLOCKS:
                if name == "tr":
                    line[:] = ["".join(line).rstrip(", ")]
                flush()
                heading = heading and name not in _HEADINGS
            line.append(_spaces(element.tail))
    flush()


def _walk(root: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    """Yield the start and the end of every element that is said; of the others, the end only."""
    walker = etree.iterwalk(root, events=("start", "end"))
    silent: etree._Element | None = None
    for event, element in walker:
        if silent is not None:
            if element is silent and event == "end":
                silent = None
                yield "end", element
            continue
        if event == "start" and _is_silent(element):
            silent = element
            continue
        yield event, element


def _is_silent(element: etree._Element) -> bool:
    name = name_of(element)
    if not name or name in _SILENT or is_kind(element, _SILENT_KINDS):
        return True
    if element.get("hidden") is not None or element.get("aria-hidden") == "true":
        return True
    if _HIDDEN.search(element.get("style", "")):
        return True
    if name == "a" and "#" in element.get("href", ""):
        return _NOTE_SIGN.fullmatch("".join(map(str, element.itertext()))) is not None
    if name == "sup" and any(name_of(child) == "a" for child in element):
        return _NOTE_SIGN.fullmatch("".join(map(str, element.itertext()))) is not None
    return False


def _spaces(text: str | None) -> str:
    # A line end in the source is a space; those that are meant are `<br/>`.
    return (text or "").replace("\n", " ").replace("\r", " ")


def _numbered(match: re.Match[bytes]) -> bytes:
    if match[1] in _XML_ENTITIES:
        return match[0]
    characters = html5.get(match[1].decode() + ";")
    return match[0] if characters is None else "".join(f"&#{ord(c)};" for c in characters).encode()
