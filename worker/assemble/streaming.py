"""One encoder per family of formats that hands its bytes out as it goes.

The same codecs and rates as for files. What a file's header says of its length, a stream's can't:
WAV and FLAC say "unknown", MP3 has no first frame that tells players what to leave out (it plays
`MP3_DELAY_SAMPLES` late), and Opus comes in pages of a tenth of a second.
"""

import numpy as np
from numpy.typing import NDArray

from shared.formats import AudioFormat
from worker.assemble.encoders import (
    AAC_BIT_RATE,
    AAC_OPTIONS,
    MP3_BIT_RATE,
    MP3_OPTIONS,
    OPUS_BIT_RATE,
    OPUS_OPTIONS,
    LossyEncoder,
)
from worker.wav import endless_wav_header

MP3_DELAY_SAMPLES = 1105
"""How much later than its file an MP3 stream starts, at 24 kHz (46 ms)."""


class _Pending:
    """Holds bytes until they are taken."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes, /) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._data)
        self._data.clear()
        return taken


class StreamEncoder:
    """Encodes blocks in order; the same blocks always give the same bytes.

    Args:
        audio_format: of the stream.
        volume: factor on each sample; what is too loud then is clipped.

    Raises:
        One of `ENCODER_ERRORS`: the codec can't be had.
    """

    def __init__(self, audio_format: AudioFormat, *, volume: float = 1.0) -> None:
        self._volume = volume
        self._out = _Pending()
        self._encoder = _open(audio_format, self._out)
        if audio_format is AudioFormat.WAV:
            self._out.write(endless_wav_header())

    def encode(self, block: NDArray[np.int16]) -> bytes:
        """Return the bytes that the next samples lead to, perhaps none yet.

        Args:
            block: int16, (samples,), mono, 24 000 Hz, at most a second.

        Raises:
            One of `ENCODER_ERRORS`.
        """
        if self._volume != 1.0:
            louder = np.rint(block.astype(np.float32) * np.float32(self._volume))
            block = np.clip(louder, -32_768, 32_767).astype(np.int16)
        if self._encoder is None:
            self._out.write(block.astype("<i2", copy=False).tobytes())
        elif block.size:
            self._encoder.write(block)
        return self._out.take()

    def finish(self) -> bytes:
        """Return the last bytes.

        Raises:
            One of `ENCODER_ERRORS`.
        """
        if self._encoder is not None:
            self._encoder.close()
        return self._out.take()


def _open(audio_format: AudioFormat, out: _Pending) -> LossyEncoder | None:
    """Return what encodes the format into `out`; None for one of plain samples."""
    codec: tuple[str, str, int, dict[str, str]]
    options = {"flush_packets": "1"}  # each packet is handed on at once
    match audio_format:
        case AudioFormat.MP3:
            codec = ("mp3", "libmp3lame", MP3_BIT_RATE, MP3_OPTIONS)
            options |= {"write_xing": "0", "id3v2_version": "0"}
        case AudioFormat.OPUS:
            codec = ("ogg", "libopus", OPUS_BIT_RATE, OPUS_OPTIONS)
            options |= {"page_duration": "100000"}  # microseconds
        case AudioFormat.AAC:
            codec = ("adts", "aac", AAC_BIT_RATE, AAC_OPTIONS)
        case AudioFormat.FLAC:
            # libsndfile writes no FLAC that it can't go back in; FFmpeg's is as lossless.
            codec = ("flac", "flac", 0, {})
        case AudioFormat.WAV | AudioFormat.PCM:
            return None
    return LossyEncoder(out, *codec, container_options=options)
