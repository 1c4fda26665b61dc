import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import ImplausibleAudio
from shared.formats import SAMPLE_RATE_HZ
from tests.unit.engines.conftest import MakeSegment
from worker.engines.base import SegmentAudio
from worker.engines.plausibility import check_audio


def noise(length_s: float, level: float = 0.1) -> NDArray[np.float32]:
    size = round(length_s * SAMPLE_RATE_HZ)
    return (level * np.random.default_rng(0).standard_normal(size)).astype(np.float32)


def speech(samples: NDArray[np.float32]) -> SegmentAudio:
    return SegmentAudio(samples=samples, durations=None)


def with_one(samples: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    samples[samples.size // 2] = value
    return samples


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("phonemes", [1, 17, 510])
def test_speech_at_ordinary_speed_passes(
    make_segment: MakeSegment, phonemes: int, speed: float
) -> None:
    for phoneme_s in (0.03, 0.06, 0.2):
        segment = make_segment(phonemes="ə" * phonemes, speed=speed)
        check_audio(speech(noise(phonemes * phoneme_s / speed)), segment)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (noise(0), "Audio of 0.00 s"),
        (noise(1), "Audio of 1.00 s"),
        (noise(60), "Audio of 60.00 s"),
        (noise(6) * 0, "silent"),
        (noise(6) * 0 + 0.5, "silent"),
        (noise(6, 1e-4), "silent"),
        (with_one(noise(6), np.nan), "not finite"),
        (with_one(noise(6), np.inf), "not finite"),
        (with_one(noise(6), 100), "overflows"),
        (np.sign(noise(6)), "clipped"),
        (noise(6).astype(np.float64), "not mono float32"),
        (noise(6).reshape(2, -1), "not mono float32"),
    ],
)
def test_what_cannot_be_a_hundred_phonemes_is_refused(
    make_segment: MakeSegment, samples: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(ImplausibleAudio, match=message):
        check_audio(speech(samples), make_segment(phonemes="ə" * 100))
