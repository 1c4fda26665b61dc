"""Plain text: which characters its bytes are, and where its lines were only wrapped."""

import codecs
import re
from contextlib import suppress

from charset_normalizer import from_bytes

from gateway.documents.document import (
    Document,
    Kind,
    Manuscript,
    Remark,
    at_most,
    has_controls,
    without_controls,
)
from gateway.documents.faults import DocumentUnsupported

SAMPLE_BYTES = 128 * 1024
"""Of a text without Unicode, by which its encoding is guessed."""

DAMAGED_AT_MOST = 4
"""A text with so many times more good characters beyond ASCII than bad ones is UTF-8, damaged."""

CONTROLS_MOST = 0.02
"""A text with a larger share of control characters is none."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNICODE = [
    "utf_8",
    "utf_7",
    "utf_16",
    "utf_16_be",
    "utf_16_le",
    "utf_32",
    "utf_32_be",
    "utf_32_le",
]
_WRAPPED_WORD = re.compile(r"([^\W\d_]+)([-\u2010\u00ad])[ \t]*\n[ \t]*([^\W\d_]+)")
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_PAGE_BREAK = re.compile(r"[ \t]*\n?\f[ \t]*\n?")
_SENTENCE_END = re.compile(r"""[.!?…:。！？]["'”’»)\]]*\s*$""")


def decode(data: bytes) -> tuple[str, list[Remark]]:
    """Return a file's text with line ends of one kind, and what was doubtful about it.

    Raises:
        DocumentUnsupported: it is no text at all.
    """
    remarks: list[Remark] = []
    text = _decode_unicode(data)
    if text is None:
        text = _decode_guessed(data, remarks)
    return text.replace("\r\n", "\n").replace("\r", "\n"), remarks


def read_plain_text(data: bytes, *, most_chars: int) -> Document:
    """Read a text; marks in it are the author's and stay.

    Raises:
        DocumentUnsupported: it is no text at all.
        DocumentTooLong: it is longer than `most_chars`.
    """
    text, remarks = decode(data)
    manuscript = Manuscript(most_chars)
    if len(text) > 2 * most_chars:  # more than tidying could take away
        manuscript.paragraph(text)
    if has_controls(text):
        remarks.append(Remark("document_characters", "Control characters were left out."))
        text = without_controls(text)
    manuscript.paragraph(join_wrapped_words(join_pages(text)))
    return Document(Kind.TXT, manuscript.text, remarks=at_most(remarks))


def join_pages(text: str) -> str:
    """Turn page breaks into paragraphs' ends, or into mere line ends inside a sentence."""

    def joined(match: re.Match[str]) -> str:
        before = text[max(0, match.start() - 80) : match.start()]
        after = text[match.end() : match.end() + 1]
        return "\n" if after.islower() and not _SENTENCE_END.search(before) else "\n\n"

    return _PAGE_BREAK.sub(joined, text)


def join_wrapped_words(text: str) -> str:
    """Join words that a line end cuts in two.

    Their hyphen goes, unless the text elsewhere writes the word with it and never without.
    """
    if not _WRAPPED_WORD.search(text):
        return text
    known = {match[0].lower() for match in _WORD.finditer(text)}

    def joined(match: re.Match[str]) -> str:
        first, mark, second = match.groups()
        if second[0].isupper() and not first.isupper():
            return f"{first}-{second}"  # Jean-Luc
        whole, hyphenated = first + second, f"{first}-{second}"
        keeps = mark != "\u00ad" and hyphenated.lower() in known and whole.lower() not in known
        return hyphenated if keeps else whole

    return _WRAPPED_WORD.sub(joined, text)


def _decode_unicode(data: bytes) -> str | None:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                return data.decode(encoding, "replace")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\x00" not in text:
        return text
    return _decode_utf16(data)


def _decode_utf16(data: bytes) -> str:
    """Read UTF-16 that has no mark: of Latin text, every other byte is zero."""
    sample = data[: SAMPLE_BYTES // 2 * 2]
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if len(zeros) > 0 and zeros.count(0) > 0.4 * len(zeros):
            with suppress(UnicodeDecodeError):
                text = data.decode(encoding)
                if not has_controls(text[:SAMPLE_BYTES]):
                    return text
    raise DocumentUnsupported("The file is not text: send txt, md, srt or epub.", param="file")


def _decode_guessed(data: bytes, remarks: list[Remark]) -> str:
    if b"\x00" in data[:SAMPLE_BYTES]:
        return _decode_utf16(data)
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if damaged * DAMAGED_AT_MOST < sum(not char.isascii() for char in text[: 10 * SAMPLE_BYTES]):
        remarks.append(
            Remark("document_encoding", f"The file's UTF-8 is damaged, in {damaged} place(s).")
        )
        return text
    best = from_bytes(data[:SAMPLE_BYTES], cp_exclusion=_UNICODE).best()
    encoding = "cp1252" if best is None else best.encoding
    text = data.decode(encoding, "replace")
    sample = text[:SAMPLE_BYTES]
    if len(sample) - len(without_controls(sample)) > CONTROLS_MOST * len(sample):
        raise DocumentUnsupported("The file is not text: send txt, md, srt or epub.", param="file")
    remarks.append(
        Remark(
            "document_encoding",
            f"The file is not UTF-8; it was read as {encoding}. Send UTF-8 to be sure.",
        )
    )
    return text
