"""What kind of document a file is: by its content first, then by its name and its type."""

from gateway.documents.document import Kind
from gateway.documents.faults import DocumentBroken, DocumentUnsupported
from gateway.documents.subtitles import is_subtitles

HEAD_BYTES = 4096

_MARKDOWN_NAMES = (".md", ".markdown", ".mdown", ".mkd")
_MARKDOWN_TYPES = ("text/markdown", "text/x-markdown")
_EPUB_TYPE = "application/epub+zip"
_OTHERS = (
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"{\\rtf", "RTF document"),
    (b"\xd0\xcf\x11\xe0", "Microsoft Office document"),
    (b"\x7fELF", "program"),
    (b"MZ\x90", "program"),
    (b"\x1f\x8b", "gzip archive"),
    (b"7z\xbc\xaf", "7z archive"),
    (b"Rar!", "RAR archive"),
    (b"ID3", "MP3 file"),
    (b"OggS", "Ogg file"),
    (b"fLaC", "FLAC file"),
    (b"RIFF", "RIFF file"),
    (b"AT&TFORM", "DjVu document"),
)
_SEND = "send txt, md, srt or epub."


def kind_of(data: bytes, *, filename: str, media_type: str) -> Kind:
    """Return the kind of a file.

    Args:
        data: all of it.
        filename: as the client calls it.
        media_type: as the client says.

    Raises:
        DocumentUnsupported: it is of none that is read here.
        DocumentBroken: its name says that it is an EPUB, and its content is no archive.
    """
    head, name = data[:HEAD_BYTES], filename.lower()
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_archive(head, name, media_type)
    for sign, what in _OTHERS:
        if head.startswith(sign):
            raise DocumentUnsupported(f"The file is a {what}: {_SEND}", param="file")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:100].lower().startswith((b"<!doctype html", b"<html")):
        raise DocumentUnsupported(f"The file is a web page: {_SEND}", param="file")
    if name.endswith(".epub") or media_type == _EPUB_TYPE:
        raise DocumentBroken("The file is called an EPUB and is none.", param="file")
    if is_subtitles(_text_head(head)):
        return Kind.SRT
    if name.endswith(_MARKDOWN_NAMES) or media_type in _MARKDOWN_TYPES:
        return Kind.MARKDOWN
    return Kind.TXT


def _kind_of_archive(head: bytes, name: str, media_type: str) -> Kind:
    # The specification wants `mimetype` first and not packed; not every maker does so.
    if b"mimetype" + _EPUB_TYPE.encode() in head[:200]:
        return Kind.EPUB
    if name.endswith(".epub") or media_type == _EPUB_TYPE:
        return Kind.EPUB
    raise DocumentUnsupported(f"The file is an archive and no EPUB: {_SEND}", param="file")


def _text_head(head: bytes) -> str:
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    return head[: len(head) // 2 * 2].decode(encoding, "replace")
