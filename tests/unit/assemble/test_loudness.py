"""Loudness is what BS.1770 says, whatever the blocks; and no gain clips a peak."""

import math
import tracemalloc
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.assemble.loudness import (
    PEAK_MOST_DBFS,
    Gain,
    Loudness,
    LoudnessMeter,
    amplified,
    gain_to,
    measure,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyloudnorm  # type: ignore[import-untyped]

RATE_HZ = 24_000
Samples = NDArray[np.int16]


def blocks(samples: Samples, size: int = RATE_HZ) -> Iterator[Samples]:
    for start in range(0, samples.size, size):
        yield samples[start : start + size]


def signal(seed: int, seconds: float, *, quietest: float = 0.001) -> Samples:
    """Noise of changing colour and level with silences, as speech has them."""
    rng = np.random.default_rng(seed)
    parts = []
    left = round(seconds * RATE_HZ)
    while left > 0:
        size = min(left, int(rng.integers(2_000, 60_000)))
        noise = rng.standard_normal(size)
        noise = np.convolve(noise, np.ones(int(rng.integers(1, 12))), "same")
        level = 0.0 if rng.random() < 0.2 else float(rng.uniform(quietest**0.25, 0.25**0.25)) ** 4
        parts.append(noise / (np.abs(noise).max() + 1e-9) * level)
        left -= size
    whole: Samples = np.rint(np.concatenate(parts) * 32_767).astype(np.int16)
    return whole


def reference_lufs(samples: Samples) -> float:
    # "DeMan" has the coefficients of BS.1770 at any rate; its default's are of another shelf.
    meter = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")
    # It makes a shorter last block of what is left over; by the standard that counts for nothing.
    whole = samples[: samples.size // 2400 * 2400]
    return float(meter.integrated_loudness(whole / 32_768))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(5, 30), st.integers(500, RATE_HZ))
def test_the_meter_agrees_with_pyloudnorm_on_any_signal_in_any_blocks(
    seed: int, seconds: float, block: int
) -> None:
    samples = signal(seed, seconds)
    expected = reference_lufs(samples)
    found = measure(blocks(samples, block)).lufs
    if found is None:
        assert expected < -69
    else:
        assert found == pytest.approx(expected, abs=0.15), seed


@pytest.mark.parametrize("samples", [np.zeros(5 * RATE_HZ, np.int16), np.zeros(0, np.int16)])
def test_silence_has_no_loudness(samples: Samples) -> None:
    assert measure(blocks(samples)) == Loudness(None, -math.inf)


def test_less_than_a_block_of_sound_has_no_loudness() -> None:
    assert measure(blocks(signal(1, 0.35))).lufs is None


def test_a_true_peak_is_found_between_samples() -> None:
    # A sine of a quarter of the rate, between whose samples it is 3 dB louder.
    n = np.arange(RATE_HZ)
    wave = np.sin(np.pi / 2 * n + np.pi / 4) * np.hanning(RATE_HZ)
    samples = np.rint(0.5 * 32_767 * wave).astype(np.int16)
    highest = 20 * math.log10(np.abs(samples).max() / 32_768)
    assert measure(blocks(samples)).peak_dbfs == pytest.approx(highest + 3.01, abs=0.1)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(-40, -5))
def test_what_is_amplified_is_as_loud_as_was_asked_for_or_as_its_peaks_permit(
    seed: int, target_lufs: float
) -> None:
    samples = signal(seed, 8, quietest=0.02)
    found = measure(blocks(samples))
    gain = gain_to(target_lufs, found)
    if found.lufs is None or gain.reached_lufs is None:
        assert gain == Gain(1.0, limited=False, reached_lufs=None)
        return
    louder = measure(amplified(blocks(samples), gain.factor))
    assert louder.peak_dbfs <= PEAK_MOST_DBFS + 0.05
    assert gain.reached_lufs <= target_lufs + 0.001
    assert gain.limited is (gain.reached_lufs < target_lufs - 0.001)
    assert louder.lufs == pytest.approx(gain.reached_lufs, abs=0.3)


def test_a_gain_rounds_and_clips_and_one_changes_nothing() -> None:
    block = np.array([-32_768, -3, 0, 3, 32_767], np.int16)
    assert next(amplified([block], 1.0)) is block
    assert next(amplified([block], 0.5)).tolist() == [-16_384, -2, 0, 2, 16_384]
    assert next(amplified([block], 2.0)).tolist() == [-32_768, -6, 0, 6, 32_767]


def test_ten_minutes_are_measured_in_the_memory_of_a_second() -> None:
    second = signal(3, 1)
    meter = LoudnessMeter()
    meter.write(second)
    tracemalloc.start()
    for _ in range(600):
        meter.write(second)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert meter.close().lufs == pytest.approx(reference_lufs(np.tile(second, 20)), abs=0.3)
    assert peak_bytes < 2_000_000
