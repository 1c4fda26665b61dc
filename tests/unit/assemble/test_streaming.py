"""What is streamed plays as what the file holds."""

import io
from itertools import pairwise

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from shared.formats import STREAMABLE, AudioFormat
from worker.assemble.encoders import AAC_DELAY_SAMPLES
from worker.assemble.streaming import MP3_DELAY_SAMPLES, StreamEncoder

RATE_HZ = 24_000
Samples = NDArray[np.int16]

DELAYS = {AudioFormat.MP3: MP3_DELAY_SAMPLES, AudioFormat.AAC: AAC_DELAY_SAMPLES}


def speech(seconds: float = 4.3217) -> Samples:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(140 + 25 * np.sin(2 * np.pi * 0.7 * t)) / RATE_HZ
    tone = sum(np.sin(k * phase + k) / k for k in range(1, 12))
    return np.asarray(6000 * tone * (0.55 - 0.45 * np.cos(2 * np.pi * 3 * t))).astype(np.int16)


def streamed(audio_format: AudioFormat, samples: Samples, **options: float) -> list[bytes]:
    """Return what each block of uneven length leads to, and last what ends the stream."""
    encoder = StreamEncoder(audio_format, **options)
    cuts = [*range(0, samples.size, 19_999), samples.size]
    parts = [encoder.encode(samples[a:b]) for a, b in pairwise(cuts)]
    return [*parts, encoder.finish()]


def decoded(audio_format: AudioFormat, data: bytes) -> Samples:
    if audio_format is AudioFormat.PCM:
        return np.frombuffer(data, "<i2")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(io.BytesIO(data), "r") as container:
        frames = [
            part for frame in container.decode(audio=0) for part in resampler.resample(frame)
        ] + resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.PCM])
def test_lossless_streams_hold_every_sample(audio_format: AudioFormat) -> None:
    whole = speech()
    assert np.array_equal(decoded(audio_format, b"".join(streamed(audio_format, whole))), whole)


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC])
def test_lossy_streams_lose_nothing_but_what_files_lose(audio_format: AudioFormat) -> None:
    whole = speech()
    heard = decoded(audio_format, b"".join(streamed(audio_format, whole)))
    delay = DELAYS.get(audio_format, 0)
    assert 0 <= heard.size - whole.size - delay < 1152
    assert heard.size == whole.size or delay
    in_place = heard[delay : delay + whole.size].astype(float)
    assert np.corrcoef(in_place, whole)[0, 1] > 0.98
    assert np.corrcoef(in_place[-12_000:], whole[-12_000:])[0, 1] > 0.98


@pytest.mark.parametrize("audio_format", sorted(STREAMABLE))
def test_bytes_come_with_the_first_second_and_nearly_all_by_the_last(
    audio_format: AudioFormat,
) -> None:
    *parts, last = streamed(audio_format, speech())
    assert all(parts)
    assert len(last) < 0.15 * sum(map(len, parts))


@pytest.mark.parametrize("audio_format", sorted(STREAMABLE))
def test_the_same_blocks_give_the_same_bytes(audio_format: AudioFormat) -> None:
    whole = speech(2)
    assert streamed(audio_format, whole) == streamed(audio_format, whole)


def test_libsndfile_reads_a_wav_of_unknown_length_to_its_end() -> None:
    whole = speech()
    data = b"".join(streamed(AudioFormat.WAV, whole))
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate_hz == RATE_HZ
    assert np.array_equal(samples, whole)


def test_volume_is_a_factor_and_what_is_too_loud_is_clipped() -> None:
    whole = np.array([0, 100, -100, 20_000, -20_000, 32_767, -32_768], np.int16)
    half = decoded(AudioFormat.PCM, b"".join(streamed(AudioFormat.PCM, whole, volume=0.5)))
    assert half.tolist() == [0, 50, -50, 10_000, -10_000, 16_384, -16_384]
    double = decoded(AudioFormat.PCM, b"".join(streamed(AudioFormat.PCM, whole, volume=2)))
    assert double.tolist() == [0, 200, -200, 32_767, -32_768, 32_767, -32_768]


@pytest.mark.parametrize("audio_format", sorted(STREAMABLE))
def test_a_stream_of_nothing_ends(audio_format: AudioFormat) -> None:
    encoder = StreamEncoder(audio_format)
    assert len(encoder.finish()) < 10_000  # FLAC leaves room for tags
