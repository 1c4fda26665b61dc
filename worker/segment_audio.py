"""How one rendered segment is stored: a WAV file that any player opens.

Mono PCM_16 at 24 000 Hz; the engine's durations ride along as JSON in the file's comment.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import DamagedSegment, ImplausibleAudio
from shared.formats import SAMPLE_RATE_HZ
from worker.engines.base import SegmentAudio
from worker.wav import read_wav, wav_header

BLOCK_SAMPLES = SAMPLE_RATE_HZ
"""What a reader hands on at once: one second."""


@dataclass(frozen=True)
class StoredSegment:
    """A segment as read back.

    Attributes:
        samples: int16, (samples,), mono, 24 000 Hz.
        durations: as in `SegmentAudio`; None where the engine had none.
    """

    samples: NDArray[np.int16]
    durations: NDArray[np.int64] | None


def quantise(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Turn float32 in [-1, 1] into int16: clip, times 32 767, round half to even, no dither.

    Dither would make the same segment's bytes differ from run to run, and speech at 16 bits gains
    nothing from it.

    Raises:
        ImplausibleAudio: a sample is NaN or infinite.
    """
    if not np.isfinite(samples).all():
        raise ImplausibleAudio("The engine returned samples that are not finite.")
    scaled: NDArray[np.float32] = np.clip(samples, -1.0, 1.0) * np.float32(32_767)
    return np.rint(scaled).astype(np.int16)


def encode_segment(audio: SegmentAudio) -> bytes:
    """Encode a segment for storage; equal audio gives equal bytes.

    Raises:
        ImplausibleAudio: a sample is NaN or infinite.
    """
    comment = ""
    if audio.durations is not None:
        comment = json.dumps({"durations": audio.durations.tolist()}, separators=(",", ":"))
    samples = quantise(audio.samples)
    return wav_header(samples.size, comment=comment) + samples.astype("<i2", copy=False).tobytes()


def decode_segment(data: bytes) -> StoredSegment:
    """Decode what `encode_segment` wrote.

    Raises:
        DamagedSegment: the bytes are cut short or are something else.
    """
    try:
        wav = read_wav(data)
        durations = None
        if wav.comment:
            durations = np.array(json.loads(wav.comment)["durations"], np.int64)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedSegment(f"A stored segment is damaged: {error}.") from error
    return StoredSegment(wav.samples, durations)


def read_blocks(data: bytes) -> Iterator[NDArray[np.int16]]:
    """Yield a stored segment's samples, int16, at most `BLOCK_SAMPLES` at a time.

    Raises:
        DamagedSegment: the bytes are cut short or are something else.
    """
    samples = decode_segment(data).samples
    for start in range(0, samples.size, BLOCK_SAMPLES):
        yield samples[start : start + BLOCK_SAMPLES]
