"""The words document of a finished job, read row by row: a book's has tens of megabytes."""

import codecs
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Literal

from gateway.offload import offload
from shared.captions import to_json
from shared.errors import ObjectMissing
from shared.storage import Storage

_DECODER = json.JSONDecoder()


async def stored_rows(
    storage: Storage, key: str, name: Literal["sentences", "words"]
) -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of one list of a words document, in order, holding a chunk of it at a time.

    Args:
        storage: where it is.
        key: of the document.
        name: of the list.

    Raises:
        ClusterError: the store is away, or has no such document, or only a part of it.
    """
    text = ""
    begun = False
    # No text within the document looks like this, as its quotes are escaped.
    head = f"{to_json(name)}:["
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    async for chunk in storage.stream_async(key):
        text += utf8.decode(chunk)
        if not begun:
            before, begins, after = text.partition(head)
            begun, text = bool(begins), after if begins else before[-len(head) :]
        if begun:
            rows, text, ended = await offload(len(text), partial(_take, text))
            for row in rows:
                yield row
            if ended:
                return
    raise ObjectMissing("The captions are cut short.")


def _take(text: str) -> tuple[list[dict[str, Any]], str, bool]:
    """Return the whole rows at the beginning of a list's rest, what follows, and if it ended."""
    rows: list[dict[str, Any]] = []
    at = 0
    while at < len(text):
        if text[at] == "]":
            return rows, "", True
        if text[at] == ",":
            at += 1
            continue
        try:
            row, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError:  # it goes on in the next chunk
            break
        rows.append(row)
    return rows, text[at:], False
