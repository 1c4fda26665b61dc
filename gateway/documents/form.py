"""A `multipart/form-data` body: short fields, and one file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.documents.faults import DocumentTooLarge, MalformedForm

MAX_PARTS = 64
MAX_FIELDS_BYTES = 256 * 1024
"""Of all fields that are no file, their names included."""
MAX_HEADERS_BYTES = 8 * 1024
"""Of the headers of one part."""
MAX_NAME_CHARS = 64
CHUNK_BYTES = 1024 * 1024
FILE_FIELD = "file"


@dataclass
class Part:
    """One part of the form.

    Attributes:
        name: of the field.
        filename: as the client's own system calls the file; None for a field that is no file.
        media_type: as the client says it; empty if it does not.
    """

    name: str
    filename: str | None
    media_type: str
    data: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        fields: name and value, in order; a name may come several times.
        file: the only file.
    """

    fields: tuple[tuple[str, str], ...]
    file: Part


def read_form(body: BinaryIO, *, content_type: str, max_file_bytes: int) -> Form:
    """Read a form.

    Raises:
        MalformedForm: it is none, or has more than a job's fields and one file.
        DocumentTooLarge: its file is larger than `max_file_bytes`.
    """
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise MalformedForm("The form's Content-Type has no boundary.")
    reader = _Reader(max_file_bytes)
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        while chunk := body.read(CHUNK_BYTES):
            parser.write(chunk)
        parser.finalize()
    except (MultipartParseError, FormParserError) as error:
        raise MalformedForm(f"The form is malformed: {str(error)[:200]}.") from error
    if not reader.complete:
        raise MalformedForm("The form ends before its closing boundary.")
    return reader.form()


class _Reader:
    """Collects parts as the parser meets them."""

    def __init__(self, max_file_bytes: int) -> None:
        self.complete = False
        self._max_file_bytes = max_file_bytes
        self._parts: list[Part] = []
        self._part: Part | None = None
        self._headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._header_bytes = self._field_bytes = 0

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def form(self) -> Form:
        """Return the form, once it is whole."""
        files = [part for part in self._parts if part.filename is not None]
        if len(files) != 1 or files[0].name != FILE_FIELD:
            raise MalformedForm("Send exactly one file, in the field `file`.", param=FILE_FIELD)
        fields = []
        for part in self._parts:
            if part.filename is not None:
                continue
            try:
                fields.append((part.name, part.data.decode("utf-8")))
            except UnicodeDecodeError as error:
                raise MalformedForm(
                    f"The field {part.name!r} is not UTF-8.", param=part.name
                ) from error
        return Form(tuple(fields), files[0])

    def _begin(self) -> None:
        if len(self._parts) == MAX_PARTS:
            raise MalformedForm("The form has far more fields than any job.")
        self._headers, self._header_bytes, self._part = {}, 0, None

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADERS_BYTES:
            raise MalformedForm("A part of the form has headers that are far too long.")

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not 1 <= len(name) <= MAX_NAME_CHARS:
            raise MalformedForm("A part of the form has no name, or one longer than any field's.")
        filename = options.get(b"filename")
        media_type = self._headers.get(b"content-type", b"").partition(b";")[0]
        self._part = Part(
            name,
            None if filename is None else filename.decode("utf-8", "replace")[-255:],
            media_type.decode("latin-1").strip().lower(),
        )
        self._parts.append(self._part)
        self._field_bytes += len(name)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:
            raise MalformedForm("A part of the form has no headers.")
        if part.filename is None:
            self._field_bytes += end - start
            if self._field_bytes > MAX_FIELDS_BYTES:
                raise MalformedForm("The form's fields are far longer than any job's.")
        elif len(part.data) + end - start > self._max_file_bytes:
            raise DocumentTooLarge(
                f"The file is larger than {self._max_file_bytes} bytes.", param=FILE_FIELD
            )
        part.data += data[start:end]

    def _end(self) -> None:
        self._part = None

    def _finish(self) -> None:
        self.complete = True
