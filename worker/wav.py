"""WAV, mono PCM_16 at 24 000 Hz: written with its length known up front, read back whole.

Written here because libsndfile drops a comment of more than 2 046 characters when it reads, takes
a file that was cut short for a shorter one, and writes its header only at the end.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.formats import SAMPLE_RATE_HZ

SAMPLE_BYTES = 2
_UINT32_MAX = 0xFFFF_FFFF
_FMT = struct.pack(
    "<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * SAMPLE_BYTES, SAMPLE_BYTES, 16
)


@dataclass(frozen=True)
class Wav:
    """A file as read.

    Attributes:
        samples: int16, (samples,), 24 000 Hz.
        comment: text of the `ICMT` entry; empty if there is none.
    """

    samples: NDArray[np.int16]
    comment: str


def wav_header(total_samples: int, *, comment: str = "") -> bytes:
    """Return all that comes before the first of `total_samples` samples.

    Past 4 GiB (some 25 hours of speech) the header is RF64's, after EBU Tech 3306: the sizes move
    to a `ds64` chunk, and the old fields hold 0xFFFFFFFF.

    Args:
        total_samples: of the file.
        comment: what players show as its comment; ASCII.
    """
    data_bytes = total_samples * SAMPLE_BYTES
    info = _FMT + (_comment_chunk(comment.encode("ascii")) if comment else b"")
    riff_bytes = len(b"WAVE") + len(info) + 8 + data_bytes
    if riff_bytes <= _UINT32_MAX:
        return b"".join(
            (
                struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE"),
                info,
                struct.pack("<4sI", b"data", data_bytes),
            )
        )
    ds64_bytes = 28  # three 64-bit sizes and the length of an empty table
    return b"".join(
        (
            struct.pack("<4sI4s", b"RF64", _UINT32_MAX, b"WAVE"),
            struct.pack("<4sI", b"ds64", ds64_bytes),
            struct.pack("<QQQI", riff_bytes + 8 + ds64_bytes, data_bytes, total_samples, 0),
            info,
            struct.pack("<4sI", b"data", _UINT32_MAX),
        )
    )


def endless_wav_header() -> bytes:
    """Return a header for samples whose number is not known yet: its sizes are 0xFFFFFFFF."""
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", _UINT32_MAX, b"WAVE"),
            _FMT,
            struct.pack("<4sI", b"data", _UINT32_MAX),
        )
    )


def read_wav(data: bytes) -> Wav:
    """Read a file made of `wav_header` and its samples, below 4 GiB, without copying them.

    Raises:
        ValueError: it is cut short, too long, or of another kind.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    if int.from_bytes(data[4:8], "little") != len(data) - 8:
        raise ValueError("a WAV file's length is not what its header says")
    chunks: dict[bytes, memoryview] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        chunks[name] = memoryview(data)[at + 8 : at + 8 + size]
        if len(chunks[name]) != size:
            raise ValueError("a WAV file's chunk is cut short")
        at += 8 + size + size % 2
    if bytes(chunks.get(b"fmt ", b"")) != _FMT[8:]:
        raise ValueError("a WAV file is not mono PCM_16 at 24 000 Hz")
    if b"data" not in chunks or len(chunks[b"data"]) % SAMPLE_BYTES:
        raise ValueError("a WAV file has no whole samples")
    # Past "INFO", "ICMT" and its length; the text ends with a zero.
    comment = bytes(chunks.get(b"LIST", b"")[12:]).rstrip(b"\0").decode("ascii")
    return Wav(np.frombuffer(chunks[b"data"], "<i2"), comment)


def _comment_chunk(text: bytes) -> bytes:
    text += b"\0" * (2 - len(text) % 2)  # at least one zero ends it, and the length is even
    entry = struct.pack("<4sI", b"ICMT", len(text)) + text
    return struct.pack("<4sI4s", b"LIST", 4 + len(entry), b"INFO") + entry
