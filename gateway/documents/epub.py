"""EPUB: the files of the spine in order, titled by the table of contents."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from lxml import etree

from gateway.documents.archive import Archive
from gateway.documents.document import (
    MAX_LANGUAGE_CHARS,
    Document,
    Kind,
    Manuscript,
    Remark,
    at_most,
    tidy_title,
)
from gateway.documents.faults import DocumentBroken, DocumentEncrypted
from gateway.documents.hypertext import is_kind, name_of, parse_xml, read_hypertext, text_of

MAX_SPINE = 5_000
"""Files of a book that are read."""

MAX_NAV_DEPTH = 2
"""Levels of the table of contents that can be chapters."""

_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_OBFUSCATED_FONTS = (
    "http://www.idpf.org/2008/embedding",
    "http://ns.adobe.com/pdf/enc#RC",
)
_NOT_READ = frozenset(("cover", "toc", "doc-cover", "doc-toc", "landmarks", "page-list"))
_HEADINGS = ("h1", "h2")


@dataclass(frozen=True)
class _Entry:
    """A line of the table of contents: a file, a place in it or "", and a title."""

    path: str
    fragment: str
    title: str


@dataclass
class _Book:
    """What the package document says."""

    folder: str
    title: str = ""
    authors: list[str] = field(default_factory=list)
    language: str = ""
    pages: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    nav: str = ""
    ncx: str = ""

    def path(self, href: str) -> str:
        """Return the name in the archive of what is linked to."""
        return _resolve(self.folder, href)[0]


def read_epub(data: bytes, *, most_chars: int) -> Document:
    """Read a book; nothing in it is a mark.

    Raises:
        DocumentBroken: it is no EPUB, or damaged.
        DocumentEncrypted: a program of its publisher's is needed to read it.
        DocumentBomb: it would grow without bounds.
        DocumentTooLong: its text is longer than `most_chars`.
    """
    archive = Archive(data)
    _refuse_encrypted(archive)
    book = _read_package(archive)
    remarks: list[Remark] = []
    entries = _contents(archive, book, remarks)
    manuscript = Manuscript(most_chars)
    for path in book.pages:
        if path in book.skipped:
            continue
        try:
            root = parse_xml(archive.read(path), recover=True)
        except KeyError:
            remarks.append(Remark("document_skipped", f"{path[:100]} is not in the book."))
            continue
        body = next((child for child in root if name_of(child) == "body"), root)
        if is_kind(body, _NOT_READ):
            continue
        _read_page(body, entries.get(path, []), manuscript, by_headings=not entries)
    return Document(
        Kind.EPUB,
        manuscript.text,
        title=tidy_title(book.title),
        author=tidy_title(", ".join(book.authors)),
        language=book.language,
        remarks=at_most(remarks),
    )


def _read_page(
    body: etree._Element, entries: list[_Entry], manuscript: Manuscript, *, by_headings: bool
) -> None:
    """Read one file, whose chapters its first heading names if the book has no contents."""
    anchors = {entry.fragment: entry.title for entry in entries if entry.fragment}
    ids = {element.get("id") for element in body.iter()}
    whole = [e.title for e in entries if not e.fragment or e.fragment not in ids]
    if by_headings:
        first = next((e for e in body.iter() if name_of(e) in _HEADINGS), None)
        whole = [text_of(first)] if first is not None else []
    waiting = whole[:1]

    def chapter(title: str) -> None:
        waiting[:] = [title]

    def paragraph(text: str) -> None:
        # A chapter begins with something to say: covers and pictures have a title only.
        for title in waiting:
            manuscript.chapter(title)
        waiting.clear()
        manuscript.paragraph(text)

    read_hypertext(body, anchors=anchors, chapter=chapter, paragraph=paragraph)


def _refuse_encrypted(archive: Archive) -> None:
    if "META-INF/encryption.xml" not in archive:
        return
    root = parse_xml(archive.read("META-INF/encryption.xml"))
    for element in root.iter():
        if name_of(element) == "encryptionmethod":
            if element.get("Algorithm") in _OBFUSCATED_FONTS:
                continue
            raise DocumentEncrypted(
                "The book is encrypted (DRM): only its seller's programs can read it.", param="file"
            )


def _read_package(archive: Archive) -> _Book:
    try:
        container = parse_xml(archive.read("META-INF/container.xml"))
        paths = [e.get("full-path", "") for e in container.iter() if name_of(e) == "rootfile"]
        if not paths:
            raise DocumentBroken("The book does not say where its contents are.", param="file")
        path = _resolve("", paths[0])[0]
        package = parse_xml(archive.read(path))
    except KeyError as error:
        raise DocumentBroken(f"The book lacks {str(error)[:100]}.", param="file") from error
    book = _Book(posixpath.dirname(path))
    items: dict[str, str] = {}
    for element in package.iter():
        _take(book, items, element)
    if not book.pages:
        raise DocumentBroken("The book names no page to be read.", param="file")
    book.skipped.add(book.nav)
    return book


def _take(book: _Book, items: dict[str, str], element: etree._Element) -> None:
    """Take what one element of the package document says."""
    match name_of(element):
        case "title":
            book.title = book.title or text_of(element)
        case "creator":
            book.authors.append(text_of(element))
        case "language":
            book.language = book.language or text_of(element)[:MAX_LANGUAGE_CHARS]
        case "item":
            _take_item(book, items, element)
        case "spine":
            book.ncx = items.get(element.get("toc", ""), "")
        case "itemref":
            page = items.get(element.get("idref", ""), "")
            if page and element.get("linear", "yes") != "no" and len(book.pages) < MAX_SPINE:
                book.pages.append(page)
        case "reference":
            if element.get("type", "").lower() in _NOT_READ:
                book.skipped.add(book.path(element.get("href", "")))


def _take_item(book: _Book, items: dict[str, str], element: etree._Element) -> None:
    path = book.path(element.get("href", ""))
    kind, properties = element.get("media-type", ""), element.get("properties", "").split()
    if "nav" in properties:
        book.nav = path
    if kind in _PAGES or kind == "application/x-dtbncx+xml":
        items[element.get("id", "")] = path


def _contents(archive: Archive, book: _Book, remarks: list[Remark]) -> dict[str, list[_Entry]]:
    """Return the chapters that begin in each file, as the table of contents has them."""
    read = ((book.nav, _nav_entries), (book.ncx, _ncx_entries))
    for path, entries_of in read:
        if path not in archive:
            continue
        try:
            root = parse_xml(archive.read(path), recover=True)
        except DocumentBroken:
            remarks.append(Remark("document_skipped", "The table of contents can't be read."))
            continue
        found: dict[str, list[_Entry]] = {}
        for entry in entries_of(root, posixpath.dirname(path)):
            found.setdefault(entry.path, []).append(entry)
        if found:
            return found
    return {}


def _nav_entries(root: etree._Element, folder: str) -> Iterator[_Entry]:
    tables = [e for e in root.iter() if name_of(e) == "nav"]
    toc = next((e for e in tables if is_kind(e, frozenset(("toc", "doc-toc")))), None)
    if toc is None:
        toc = tables[0] if tables else root
    links = [e for e in toc.iter() if name_of(e) == "a" and e.get("href")]
    yield from _chapters(((_depth(e, "li"), e.get("href", ""), text_of(e)) for e in links), folder)


def _ncx_entries(root: etree._Element, folder: str) -> Iterator[_Entry]:
    def points() -> Iterator[tuple[int, str, str]]:
        for point in (e for e in root.iter() if name_of(e) == "navpoint"):
            label = next((e for e in point if name_of(e) == "navlabel"), None)
            content = next((e for e in point if name_of(e) == "content"), None)
            if label is not None and content is not None:
                yield _depth(point, "navpoint") + 1, content.get("src", ""), text_of(label)

    yield from _chapters(points(), folder)


def _chapters(lines: Iterator[tuple[int, str, str]], folder: str) -> Iterator[_Entry]:
    """Yield the lines that are chapters: the first level, and of the second whole files."""
    begun: set[str] = set()
    for depth, href, title in lines:
        path, fragment = _resolve(folder, href)
        inner = depth > 1 and path in begun  # a section of a chapter
        if title and depth <= MAX_NAV_DEPTH and not inner:
            begun.add(path)
            yield _Entry(path, fragment, title)


def _depth(element: etree._Element, name: str) -> int:
    return sum(name_of(above) == name for above in element.iterancestors())


def _resolve(folder: str, href: str) -> tuple[str, str]:
    """Return the file in the archive, and the place in it, that a link leads to."""
    path, _, fragment = href.partition("#")
    return posixpath.normpath(posixpath.join(folder, unquote(path))), unquote(fragment)
