"""The comment of a stored segment's WAV file, without its samples and without numpy.

`worker.segment_audio` writes it: JSON with the engine's durations.
"""

import json

HEAD_BYTES = 4096
"""Bytes of a file that hold all before its samples: 510 phonemes take some 2 100."""


def read_durations(head: bytes) -> list[int] | None:
    """Return the durations out of the first bytes of a stored segment; None if it has none.

    Raises:
        ValueError: that is no segment, or more of it is needed.
    """
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    at = 12
    while at + 8 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"data":
            return None
        if name == b"LIST":
            if at + 8 + size > len(head):
                raise ValueError("the comment is cut short")
            # Past "INFO", "ICMT" and its length; the text ends with a zero.
            return _durations(head[at + 20 : at + 8 + size].rstrip(b"\0"))
        at += 8 + size + size % 2
    raise ValueError("the head is cut short")


def _durations(comment: bytes) -> list[int] | None:
    fields = json.loads(comment)
    found = fields.get("durations") if isinstance(fields, dict) else None
    return [int(frames) for frames in found] if isinstance(found, list) else None
