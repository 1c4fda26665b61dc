import multiprocessing
import signal
import time

import numpy as np
import pytest

from shared.errors import DeviceLost, EngineFailed, ImplausibleAudio, InvalidSettings
from tests.unit.engines.conftest import MakeSegment
from worker.engines.base import SegmentInput
from worker.engines.plausibility import check_audio
from worker.engines.scripted import Fault, Script, ScriptedEngine, parse_script


def test_a_script_is_read_strictly() -> None:
    assert parse_script("") == parse_script("scripted") == Script()
    assert parse_script("scripted:sleep_s=0.05,load_s=2") == Script(sleep_s=0.05, load_s=2)


@pytest.mark.parametrize(
    "text",
    [
        "scripted:sleep=1", "scripted:sleep_s=-1", "scripted:sleep_s=", "scripted:sleep_s=nan",
        "scripted:sleep_s=1,sleep_s=2", "scripted:sleep_s=1,", "hexgrad/Kokoro-82M", "scriptedx",
    ],
)  # fmt: skip
def test_anything_else_is_refused_as_a_script(text: str) -> None:
    with pytest.raises(InvalidSettings, match="is no script"):
        parse_script(text)


def test_it_sleeps_for_each_batch_and_each_second_of_audio(make_segment: MakeSegment) -> None:
    engine = ScriptedEngine(Script(sleep_s=0.1, sleep_per_audio_s=0.1))
    start = time.perf_counter()
    engine.forward([make_segment(phonemes="ə" * 100), make_segment(phonemes="ə" * 100)])
    assert 0.1 + 0.1 * 14 <= time.perf_counter() - start < 3


def test_a_text_can_ask_for_an_error(make_segment: MakeSegment) -> None:
    with pytest.raises(EngineFailed):
        ScriptedEngine().forward([make_segment(), make_segment(text=f"x {Fault.RAISE}")])


def test_a_text_can_ask_for_a_device_that_is_lost_but_no_longer_than_the_text(
    make_segment: MakeSegment,
) -> None:
    engine = ScriptedEngine()
    with pytest.raises(DeviceLost):
        engine.forward([make_segment(), make_segment(text=f"x {Fault.POISON}")])
    assert engine.forward([make_segment()])


def test_a_script_can_fail_every_third_call(make_segment: MakeSegment) -> None:
    engine = ScriptedEngine(parse_script("scripted:raise_every=3"))
    failed = []
    for call in range(1, 10):
        try:
            engine.forward([make_segment()])
        except EngineFailed:
            failed.append(call)
    assert failed == [3, 6, 9]


def test_a_script_can_lose_the_device_for_good(make_segment: MakeSegment) -> None:
    engine = ScriptedEngine(parse_script("scripted:lost_after=2"))
    assert engine.forward([make_segment()])
    for _ in range(3):
        with pytest.raises(DeviceLost):
            engine.forward([make_segment()])


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.NAN])
def test_a_text_can_ask_for_implausible_audio(make_segment: MakeSegment, fault: Fault) -> None:
    bad, good = make_segment(text=f"Say {fault} please."), make_segment()
    audios = ScriptedEngine().forward([bad, good])
    check_audio(audios[1], good)
    with pytest.raises(ImplausibleAudio):
        check_audio(audios[0], bad)
    assert audios[0].samples.size == audios[1].samples.size


def render(segment: SegmentInput) -> None:
    ScriptedEngine().forward([segment])


def test_a_text_can_kill_or_hang_the_process(make_segment: MakeSegment) -> None:
    spawn = multiprocessing.get_context("spawn")
    killed, hung = (
        spawn.Process(target=render, args=(make_segment(text=fault),), daemon=True)
        for fault in (Fault.KILL, Fault.HANG)
    )
    killed.start()
    hung.start()
    killed.join(30)
    assert killed.exitcode == -signal.SIGKILL
    hung.join(2)
    assert hung.is_alive()
    hung.kill()
    hung.join(10)


def test_a_tone_belongs_to_its_phonemes(make_segment: MakeSegment) -> None:
    one, two = ScriptedEngine().forward([make_segment(), make_segment(phonemes="həlˈO wˈɜɹld")])
    strongest = [np.abs(np.fft.rfft(a.samples, 48_000)).argmax() for a in (one, two)]
    assert strongest[0] != strongest[1]
