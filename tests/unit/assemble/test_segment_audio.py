"""A stored segment comes back as it was, or not at all."""

import io

import numpy as np
import pytest
import soundfile

from shared.errors import DamagedSegment, ImplausibleAudio
from worker.engines.base import SegmentAudio
from worker.segment_audio import (
    BLOCK_SAMPLES,
    decode_segment,
    encode_segment,
    quantise,
    read_blocks,
)


def noise(samples: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(7).uniform(-1, 1, samples).astype(np.float32)


@pytest.mark.parametrize("longest", [50, 200, 100_000])
def test_samples_and_durations_of_the_longest_segment_come_back(longest: int) -> None:
    durations = np.random.default_rng(7).integers(1, longest, 512, endpoint=True)
    audio = SegmentAudio(noise(70_001), durations)
    stored = decode_segment(encode_segment(audio))
    assert stored.samples.dtype == np.int16
    assert np.array_equal(stored.samples, quantise(audio.samples))
    assert stored.durations is not None
    assert np.array_equal(stored.durations, durations)


def test_an_engine_without_durations_has_none_back() -> None:
    assert decode_segment(encode_segment(SegmentAudio(noise(100), None))).durations is None


def test_any_player_opens_a_stored_segment() -> None:
    data = encode_segment(SegmentAudio(noise(1000), np.full(512, 200, np.int64)))
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 24_000
    assert np.array_equal(samples, quantise(noise(1000)))


def test_equal_audio_gives_equal_bytes() -> None:
    audio = SegmentAudio(noise(1000), np.arange(1, 10))
    assert encode_segment(audio) == encode_segment(audio)


def test_rounding_clips_and_rounds_halves_to_even() -> None:
    given = np.array([0, 1, -1, 2, -2, 0.5 / 32767, 1.5 / 32767, 2.5 / 32767], np.float32)
    assert quantise(given).tolist() == [0, 32767, -32767, 32767, -32767, 0, 2, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_never_stored(bad: float) -> None:
    with pytest.raises(ImplausibleAudio):
        encode_segment(SegmentAudio(np.array([0, bad], np.float32), None))


def test_blocks_are_at_most_a_second_and_add_up() -> None:
    audio = SegmentAudio(noise(2 * BLOCK_SAMPLES + 5), None)
    blocks = list(read_blocks(encode_segment(audio)))
    assert [block.size for block in blocks] == [BLOCK_SAMPLES, BLOCK_SAMPLES, 5]
    assert np.array_equal(np.concatenate(blocks), quantise(audio.samples))


@pytest.mark.parametrize("cut", [0, 3, 11, 40, 500, -2, -1])
def test_a_segment_cut_short_is_damaged_and_not_shorter(cut: int) -> None:
    data = encode_segment(SegmentAudio(noise(1000), np.arange(1, 10)))
    with pytest.raises(DamagedSegment):
        decode_segment(data[:cut])
    with pytest.raises(DamagedSegment):
        list(read_blocks(data[:cut]))


def test_durations_that_are_no_list_of_numbers_are_damage() -> None:
    data = encode_segment(SegmentAudio(noise(10), np.arange(1, 10)))
    for instead in (b'{"somethin', b'["durations', b'\xff"durations'):
        with pytest.raises(DamagedSegment):
            decode_segment(data.replace(b'{"duration', instead[:10]))
