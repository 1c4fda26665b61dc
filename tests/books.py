"""EPUBs for tests, whole and broken."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""


@dataclass
class Book:
    """An EPUB in the making.

    Attributes:
        pages: name and body of each file of the spine, in order.
        nav: lines of the table of contents, `href` and title; None for a book without.
        ncx: the same in the form of EPUB 2.
        extra: further files, which may replace the others.
    """

    pages: Mapping[str, str]
    title: str = "A Book"
    author: str = "Ann Author"
    language: str = "en"
    nav: list[tuple[str, str]] | None = None
    ncx: list[tuple[str, str]] | None = None
    extra: dict[str, bytes] = field(default_factory=dict)
    guide: str = ""

    def to_bytes(self) -> bytes:
        """Return the file."""
        files: dict[str, bytes] = {"META-INF/container.xml": CONTAINER.encode()}
        for name, body in self.pages.items():
            files[f"OEBPS/{name}"] = page(body)
        items = [
            f'<item id="p{i}" href="{name}" media-type="application/xhtml+xml"/>'
            for i, name in enumerate(self.pages)
        ]
        if self.nav is not None:
            lines = "".join(f'<li><a href="{href}">{title}</a></li>' for href, title in self.nav)
            files["OEBPS/nav.xhtml"] = page(f'<nav epub:type="toc"><ol>{lines}</ol></nav>')
            items.append(
                '<item id="nav" href="nav.xhtml" properties="nav" '
                'media-type="application/xhtml+xml"/>'
            )
        if self.ncx is not None:
            points = "".join(
                f"<navPoint><navLabel><text>{title}</text></navLabel>"
                f'<content src="{href}"/></navPoint>'
                for href, title in self.ncx
            )
            files["OEBPS/toc.ncx"] = (
                f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points}</navMap></ncx>'
            ).encode()
            items.append('<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
        refs = "".join(f'<itemref idref="p{i}"/>' for i in range(len(self.pages)))
        toc = ' toc="ncx"' if self.ncx is not None else ""
        files["OEBPS/book.opf"] = f"""<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{self.title}</dc:title>
<dc:creator>{self.author}</dc:creator><dc:language>{self.language}</dc:language></metadata>
<manifest>{"".join(items)}</manifest><spine{toc}>{refs}</spine>{self.guide}</package>""".encode()
        files |= self.extra
        return zipped(files)


def page(body: str) -> bytes:
    """Return one file of a book."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">'
        f"<head><title/></head><body>{body}</body></html>"
    ).encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return an EPUB's archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def encrypted() -> bytes:
    """Return a book under a seller's lock, its fonts obfuscated too."""
    lock = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>
<enc:EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/></enc:EncryptedData>
<enc:EncryptedData><enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
</enc:EncryptedData></encryption>"""
    return Book(
        {"a.xhtml": "<p>x</p>"}, extra={"META-INF/encryption.xml": lock.encode()}
    ).to_bytes()


def bomb(mebibytes: int = 200) -> bytes:
    """Return a book a few hundred KiB large, one page of which is `mebibytes` large."""
    page = b"<html><body><p>" + b"word " * (mebibytes * 1024 * 1024 // 5) + b"</p></body></html>"
    return Book({"a.xhtml": ""}, extra={"OEBPS/a.xhtml": page}).to_bytes()


def laughs() -> bytes:
    """Return a book with a page of entities of entities."""
    rows = "".join(
        f'<!ENTITY lol{i} "{f"&lol{i - 1};" * 10}">' if i else '<!ENTITY lol0 "ha">'
        for i in range(10)
    )
    page = f"<!DOCTYPE html [{rows}]><html><body><p>&lol9;</p></body></html>".encode()
    return Book({"a.xhtml": ""}, extra={"OEBPS/a.xhtml": page}).to_bytes()
