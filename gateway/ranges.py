"""`Range`, `If-Range` and `If-None-Match` of RFC 9110, for files that never change."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

from gateway.errors import RangeNotSatisfiable

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """Bytes `start` (included) to `end` (excluded) of a file."""

    start: int
    end: int

    def content_range(self, size: int) -> str:
        """Return the header `Content-Range` for a file of `size` bytes."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def not_modified(headers: Headers, etag: str) -> bool:
    """Say whether the client's copy is this file."""
    asked = ",".join(headers.getlist("if-none-match"))
    tags = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return etag in tags or "*" in tags


def wanted_range(headers: Headers, size: int, etag: str) -> ByteRange | None:
    """Return the part of the file that is wanted, or None for the whole.

    Several ranges, a malformed one, and one whose `If-Range` names another file mean the whole,
    as the RFC allows.

    Raises:
        RangeNotSatisfiable: it begins after the end.
    """
    text = headers.get("range")
    if text is None or headers.get("if-range", etag) != etag:
        return None
    match = _RANGE.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= size:
        raise RangeNotSatisfiable(
            f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"}
        )
    return ByteRange(start, end)
