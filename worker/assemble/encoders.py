"""One encoder per family of formats; each takes blocks of samples and writes a file.

FLAC goes through libsndfile, MP3, Opus, AAC and M4B through FFmpeg (PyAV), which writes the marks
that make all but AAC play at their exact length. The same samples always give the same bytes.
"""

from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from shared.formats import SAMPLE_RATE_HZ

MP3_BIT_RATE = 96_000
"""Constant, so that a player seeks exactly without a table; clear for mono speech at 24 kHz."""
OPUS_BIT_RATE = 48_000
"""Variable around this; speech at 24 kHz has nothing to gain above it."""
AAC_BIT_RATE = 96_000
AAC_DELAY_SAMPLES = 1024
"""ADTS has no field for the encoder's delay: AAC starts this much late (43 ms), and ends within
one frame of 1024 samples after the last sample. A client that needs exact times takes another."""

MP3_OPTIONS = {"compression_level": "5"}
"""Level 5 runs half as fast again as FFmpeg's default, and speech sounds the same."""
OPUS_OPTIONS = {"application": "audio", "compression_level": "5"}
""""voip" would filter the speech: it is meant for microphones. Above level 5 the encoder analyses
what kind of sound it has, for a quarter of the speed; here it is speech."""
AAC_OPTIONS = {"aac_coder": "fast"}
"""Four times as fast as the two-loop search, and no worse at this rate."""

ENCODER_ERRORS = (av.FFmpegError, soundfile.LibsndfileError, OSError)
"""What encoders raise when the disk is full or a codec fails."""


class Encoder(Protocol):
    """Opened on a path, fed with blocks in order, closed once."""

    def write(self, block: NDArray[np.int16]) -> None:
        """Encode the next samples: int16, (samples,), mono, 24 000 Hz, at most a second."""
        ...

    def close(self) -> None:
        """Flush and complete the file; further calls do nothing."""
        ...


class Sink(Protocol):
    """Takes a file's bytes as they come, from the first to the last."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`; return its length."""
        ...


class RawEncoder:
    """PCM (s16le), after a WAV header if there is one.

    Args:
        path: of the file.
        header: its first bytes.
    """

    def __init__(self, path: Path, header: bytes = b"") -> None:
        self._file = path.open("wb")
        self._file.write(header)

    def write(self, block: NDArray[np.int16]) -> None:
        """See `Encoder`."""
        self._file.write(block.astype("<i2", copy=False).tobytes())

    def close(self) -> None:
        """See `Encoder`."""
        self._file.close()


class FlacEncoder:
    """Lossless, 16 bits."""

    def __init__(self, path: Path) -> None:
        self._file = soundfile.SoundFile(
            path, "w", SAMPLE_RATE_HZ, channels=1, format="FLAC", subtype="PCM_16"
        )

    def write(self, block: NDArray[np.int16]) -> None:
        """See `Encoder`."""
        self._file.write(block)

    def close(self) -> None:
        """See `Encoder`."""
        self._file.close()


class LossyEncoder:
    """MP3, Opus or AAC: one codec in one container, one encoder from first to last sample.

    Args:
        file: path of the file, or what takes its bytes in order.
        container: FFmpeg's name.
        codec: FFmpeg's name.
        bit_rate: bits per second.
        options: of the codec.
        container_options: of the container.
    """

    def __init__(
        self,
        file: Path | Sink,
        container: str,
        codec: str,
        bit_rate: int,
        options: dict[str, str],
        *,
        container_options: dict[str, str] | None = None,
    ) -> None:
        # "bitexact" keeps version strings and random stream numbers out of the file.
        self._file = av.open(
            str(file) if isinstance(file, Path) else file,
            "w",
            format=container,
            container_options={"fflags": "+bitexact", **(container_options or {})},
        )
        self._stream = cast(
            av.AudioStream,
            self._file.add_stream(
                codec, rate=SAMPLE_RATE_HZ, options={**options, "flags": "+bitexact"}
            ),
        )
        self._stream.layout = "mono"
        self._stream.bit_rate = bit_rate
        self._samples = 0
        self._closed = False

    def write(self, block: NDArray[np.int16]) -> None:
        """See `Encoder`."""
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._samples
        self._samples += block.size
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        """See `Encoder`."""
        if self._closed:
            return
        self._closed = True
        try:
            self._file.mux(self._stream.encode(None))
        finally:
            self._file.close()
