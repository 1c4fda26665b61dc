"""How long encoding takes, by what was measured of each encoder."""

import time

import pytest

from shared.ledger.encoding import LOUDNESS, EncodingCost, encode_s

MEASURED = {
    "mp3.cpu_s": 10,
    "mp3.audio_s": 1000,
    "wav.cpu_s": 1,
    "wav.audio_s": 10_000,
    "loudness.cpu_s": 1,
    "loudness.audio_s": 100,
    "cpu_s": 4,
    "wall_s": 4,
}


def test_each_encoder_counts_by_what_it_costs_whatever_it_was_measured_beside() -> None:
    assert encode_s(MEASURED, ("mp3",), 500) == pytest.approx(5)
    assert encode_s(MEASURED, ("mp3", "wav"), 500) == pytest.approx(5.05)
    assert encode_s(MEASURED, ("mp3", LOUDNESS), 500) == pytest.approx(10)
    assert encode_s(MEASURED, ("mp3", "mp3"), 500) == pytest.approx(10), "chapters' files too"


def test_an_encoder_that_was_never_measured_is_not_guessed_at() -> None:
    assert encode_s(MEASURED, ("mp3", "opus"), 500) is None
    assert encode_s({}, ("wav",), 500) is None


def test_a_machine_that_does_other_things_too_takes_longer_by_as_much_as_of_late() -> None:
    busy = {**MEASURED, "wall_s": 12}
    assert encode_s(busy, ("mp3",), 500) == pytest.approx(15, rel=0.05)
    # What took no time that a clock could tell of says nothing of the machine.
    hardly = {**MEASURED, "cpu_s": 0.001, "wall_s": 0.009}
    assert encode_s(hardly, ("mp3",), 500) == pytest.approx(5, rel=0.1)


def test_a_short_job_is_mostly_what_goes_on_around_its_encoding() -> None:
    known = {
        **MEASURED,
        "around|1.s": 1,
        "around|1.audio_s": 10,
        "around|3.s": 1,
        "around|3.audio_s": 1000,
    }
    assert encode_s(known, ("wav",), 20) == pytest.approx(2.002)
    assert encode_s(known, ("wav",), 2000) == pytest.approx(2.2)
    assert encode_s(known, ("wav",), 500) == pytest.approx(0.55), "the longer one is nearer"


def test_a_cost_tells_the_processors_time_from_the_clocks() -> None:
    cost = EncodingCost()
    with cost.timed():
        time.sleep(0.2)
    assert cost.wall_s >= 0.2
    assert cost.cpu_s < 0.1
