"""What a gateway and its encoder say to one another: small framed messages on a socket pair.

The gateway asks and the encoder answers, one question of a stream at a time: so neither ever holds
more of a stream than one answer.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

HEAD = struct.Struct(">IIB")
"""Bytes that follow, the stream, what it is about."""

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""No message is larger: an answer has at most a second of samples more than it should."""


class Frame(IntEnum):
    """What a message is about."""

    READY = 1
    """Answer, of no stream: the encoder has loaded what it needs."""
    OPEN = 2
    """A stream begins; JSON `{"format", "volume"}`. Not answered."""
    SEGMENT = 3
    """Question: encode the stored segment of this key; UTF-8."""
    SILENCE = 4
    """Question: encode so many zero samples; decimal digits."""
    MORE = 5
    """Question: go on with what was begun."""
    END = 6
    """Question: complete the stream."""
    DROP = 7
    """The stream is of no interest any more. Not answered."""
    PART = 8
    """Answer: bytes, and there are more to ask for."""
    DONE = 9
    """Answer: bytes, the last of what was asked for."""
    FAILED = 10
    """Answer: JSON `{"code", "message", "transient"}`; what was asked for can be asked again."""


@dataclass(frozen=True)
class Message:
    """One message as read."""

    kind: Frame
    stream: int
    payload: bytes


def pack(kind: Frame, stream: int = 0, payload: bytes = b"") -> bytes:
    """Write a message."""
    return HEAD.pack(len(payload), stream, kind) + payload


def unpack_head(head: bytes) -> tuple[int, int, Frame]:
    """Read a message's first `HEAD.size` bytes: how many follow, the stream, what it is about.

    Raises:
        ValueError: they are no head of a message.
    """
    size, stream, kind = HEAD.unpack(head)
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {size} bytes")
    return size, stream, Frame(kind)
