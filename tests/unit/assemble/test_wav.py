"""WAV headers, checked by a reader that is not ours."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile

from worker.wav import read_wav, wav_header

SAMPLES = np.arange(-500, 500, dtype=np.int16)


@pytest.mark.parametrize("comment", ["", "odd", "even", "x" * 5000])
def test_libsndfile_reads_what_is_written(comment: str) -> None:
    data = wav_header(SAMPLES.size, comment=comment) + SAMPLES.tobytes()
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 24_000
    assert np.array_equal(samples, SAMPLES)


@pytest.mark.parametrize("comment", ["", "odd", "even", "x" * 5000])
def test_what_is_written_is_read_back(comment: str) -> None:
    wav = read_wav(wav_header(SAMPLES.size, comment=comment) + SAMPLES.tobytes())
    assert wav.comment == comment
    assert np.array_equal(wav.samples, SAMPLES)


def test_players_see_the_comment() -> None:
    data = wav_header(SAMPLES.size, comment="durations") + SAMPLES.tobytes()
    with av.open(io.BytesIO(data)) as file:
        assert file.metadata["comment"] == "durations"


def test_a_file_written_by_libsndfile_is_read() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES, 24_000, format="WAV", subtype="PCM_16")
    assert np.array_equal(read_wav(buffer.getvalue()).samples, SAMPLES)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFF\x00\x00\x00\x00WAVE",
        (wav_header(1000) + SAMPLES.tobytes())[:-2],
        wav_header(1000) + SAMPLES.tobytes() + b"\0",
        wav_header(1001)[:4] + struct.pack("<I", 2036) + wav_header(1001)[8:] + SAMPLES.tobytes(),
        (wav_header(1000) + SAMPLES.tobytes()).replace(b"data", b"junk"),
        (wav_header(1000) + SAMPLES.tobytes()).replace(struct.pack("<I", 24_000), b"\0\0\1\0"),
    ],
)
def test_what_is_cut_short_or_foreign_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="WAV"):
        read_wav(data)


def test_the_header_is_plain_riff_up_to_4_gib() -> None:
    most = (0xFFFF_FFFF - 36) // 2
    header = wav_header(most)
    assert header[:4] == b"RIFF"
    assert struct.unpack_from("<I", header, 4)[0] == 36 + most * 2
    assert wav_header(most + 1)[:4] == b"RF64"


def test_past_4_gib_the_header_is_rf64_with_the_sizes_in_ds64() -> None:
    samples = 60 * 3600 * 24_000
    header = wav_header(samples)
    assert struct.unpack_from("<4sI4s4sI", header) == (b"RF64", 0xFFFFFFFF, b"WAVE", b"ds64", 28)
    riff_bytes, data_bytes, count, table = struct.unpack_from("<QQQI", header, 20)
    assert riff_bytes == len(header) + samples * 2 - 8
    assert (data_bytes, count, table) == (samples * 2, samples, 0)
    assert header[-8:] == b"data\xff\xff\xff\xff"


class SparseFile(io.RawIOBase):
    """A header followed by zeros without end in sight, none of them in memory."""

    def __init__(self, header: bytes, size: int) -> None:
        self._header = header
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        count = max(0, min(size, self._size - self._at))
        data = self._header[self._at : self._at + count].ljust(count, b"\0")
        self._at += count
        return data

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: object) -> int:
        raise io.UnsupportedOperation("read only")


def test_libsndfile_and_ffmpeg_read_the_length_of_a_file_past_4_gib() -> None:
    samples = 60 * 3600 * 24_000
    header = wav_header(samples)
    with soundfile.SoundFile(SparseFile(header, len(header) + samples * 2)) as file:
        assert (file.format, file.frames) == ("RF64", samples)
        file.seek(samples - 10)
        assert file.read(100, dtype="int16").size == 10
    with av.open(SparseFile(header, len(header) + samples * 2), "r") as container:
        assert container.duration is not None
        assert container.duration / 1_000_000 == pytest.approx(60 * 3600)
