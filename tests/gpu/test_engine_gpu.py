"""What only a CUDA device can show of the Kokoro engine."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.upstream import log_mel_distance
from shared.languages import Language
from shared.voices import parse_voice
from worker.engines.base import SegmentInput
from worker.engines.checkpoint import write_checkpoint
from worker.engines.device import device_memory, release_memory
from worker.engines.kokoro import KokoroEngine
from worker.engines.plausibility import check_audio

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def segment(phonemes: str, voice: str, seed: int) -> SegmentInput:
    return SegmentInput(phonemes, "", Language.AMERICAN_ENGLISH, parse_voice(voice), 1.0, seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write_checkpoint(path, size="tiny")
    return path


def test_it_renders_on_the_gpu_with_the_durations_of_the_cpu(folder: Path) -> None:
    item = segment("həlˈO wˈɜɹld, ðɪs ɪz ɐ tˈɛst.", "af_heart(2)+bf_emma(1)", seed=4)
    engine = KokoroEngine.load(str(folder), device="auto")
    (audio,) = engine.forward([item])
    check_audio(audio, item)
    (expected,) = KokoroEngine.load(str(folder), device="cpu").forward([item])
    assert audio.durations is not None
    assert expected.durations is not None
    np.testing.assert_array_equal(audio.durations, expected.durations)


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_on_the_gpu_too_an_item_depends_on_its_seed_alone(folder: Path, precision: str) -> None:
    engine = KokoroEngine.load(str(folder), device="cuda:0", precision=precision)
    item, other = segment("həlˈO", "af_heart", 4), segment("wˈɜɹld ænd mˈɔɹ", "af_sky", 9)
    (alone,) = engine.forward([item])
    np.testing.assert_array_equal(engine.forward([item])[0].samples, alone.samples)
    # Another shape is another algorithm of cuDNN's, so not to the last bit; but the same sound.
    beside = engine.forward([other, item])[1]
    one, two = (torch.from_numpy(audio.samples.copy()) for audio in (alone, beside))
    assert log_mel_distance(one, two) < 0.1
    (reseeded,) = engine.forward([segment("həlˈO", "af_heart", 5)])
    assert not np.array_equal(reseeded.samples, alone.samples)


def test_memory_in_use_is_reported_and_released(folder: Path) -> None:
    engine = KokoroEngine.load(str(folder), device="cuda:0")
    engine.forward([segment("ə" * 510, "af_heart", 1)])
    before = device_memory()
    release_memory()
    after = device_memory()
    assert before is not None
    assert after is not None
    assert after[0] < before[0] <= before[1]


POISON = """
import sys, torch
from shared.errors import DeviceLost
from tests.gpu.test_engine_gpu import segment
from worker.engines.device import device_answers
from worker.engines.kokoro import KokoroEngine

engine = KokoroEngine.load(sys.argv[1], device="cuda:0")
assert device_answers()
whole = engine._runner.run

def out_of_bounds(prepared):
    torch.zeros(2, device="cuda:0")[torch.tensor([5], device="cuda:0")].cpu()

engine._runner.run = out_of_bounds
for run in (out_of_bounds, whole):
    engine._runner.run = run
    try:
        engine.forward([segment("ə", "af_heart", 1)])
    except DeviceLost:
        continue
    raise SystemExit("the device was not lost")
assert not device_answers()
print("lost, and stays so", flush=True)
"""


def test_an_assertion_on_the_device_loses_it_for_the_process(folder: Path) -> None:
    # In a process of its own: the context of this one must stay whole.
    command = [sys.executable, "-c", POISON, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert "lost, and stays so" in done.stdout, done.stderr[-2000:]
