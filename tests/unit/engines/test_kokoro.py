import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.errors import (
    DeviceLost,
    EngineFailed,
    InvalidInput,
    ModelUnavailable,
    OutOfDeviceMemory,
)
from shared.voices import parse_voice
from tests.unit.engines.conftest import PHONEMES, MakeSegment
from worker.engines.base import Engine
from worker.engines.checkpoint import WEIGHTS_NAME, write_checkpoint
from worker.engines.facts import FRAME_SAMPLES
from worker.engines.kokoro import KokoroEngine
from worker.engines.network.network import Network
from worker.engines.plausibility import check_audio
from worker.engines.voicepacks import MAX_CACHED_MIXES, VoicePacks


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to break; small enough to copy for each test."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def load(folder: Path | str) -> KokoroEngine:
    return KokoroEngine.load(str(folder), device="cpu")


def edit_config(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def edit_weights(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    checkpoint = torch.load(folder / WEIGHTS_NAME, weights_only=True)
    edit(checkpoint)
    torch.save(checkpoint, folder / WEIGHTS_NAME)


def test_durations_account_for_every_sample(
    kokoro_engine: Engine, make_segment: MakeSegment
) -> None:
    (audio,) = kokoro_engine.forward([make_segment()])
    assert audio.durations is not None
    assert audio.durations.dtype == np.int64
    assert audio.durations.shape == (len(PHONEMES) + 2,)
    assert audio.durations.sum() * FRAME_SAMPLES == audio.samples.size


def test_the_seed_changes_the_audio_but_not_its_length(
    kokoro_engine: Engine, make_segment: MakeSegment
) -> None:
    one, two, again = kokoro_engine.forward([make_segment(seed=seed) for seed in (1, 2, 1)])
    assert one.samples.size == two.samples.size
    assert not np.array_equal(one.samples, two.samples)
    np.testing.assert_array_equal(one.samples, again.samples)


def test_rendering_leaves_torchs_generator_and_gradients_alone(
    kokoro_engine: Engine, make_segment: MakeSegment
) -> None:
    before = torch.random.get_rng_state()
    kokoro_engine.forward([make_segment()])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_the_longest_segment_is_rendered_and_a_longer_one_refused(
    kokoro_engine: Engine, make_segment: MakeSegment
) -> None:
    longest = make_segment(phonemes="ə" * 510)
    check_audio(kokoro_engine.forward([longest])[0], longest)
    for phonemes in ("ə" * 511, "", "☃☃"):
        with pytest.raises(InvalidInput):
            kokoro_engine.forward([make_segment(phonemes=phonemes)])


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (torch.OutOfMemoryError, OutOfDeviceMemory),
        (torch.AcceleratorError, DeviceLost),
        (RuntimeError, EngineFailed),
    ],
)
def test_a_failure_inside_torch_has_the_projects_name(
    tiny_checkpoint: Path,
    make_segment: MakeSegment,
    monkeypatch: pytest.MonkeyPatch,
    raised: type[RuntimeError],
    named: type[EngineFailed],
) -> None:
    engine = load(tiny_checkpoint)

    def fail(*_: object, **__: object) -> None:
        raise raised("no memory left")

    monkeypatch.setattr(Network, "text", fail)
    with pytest.raises(EngineFailed, match="no memory left") as failure:
        engine.forward([make_segment()])
    assert isinstance(failure.value.__cause__, raised)
    assert type(failure.value) is named


def test_a_librarys_error_is_the_devices_if_the_device_answers_no_more(
    tiny_checkpoint: Path, make_segment: MakeSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(tiny_checkpoint)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED")

    monkeypatch.setattr(Network, "text", fail)
    monkeypatch.setattr("worker.engines.device._cuda_in_use", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    with pytest.raises(EngineFailed) as failure:
        engine.forward([make_segment()])
    assert type(failure.value) is EngineFailed

    def sticky() -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "synchronize", sticky)
    with pytest.raises(DeviceLost, match="CUBLAS"):
        engine.forward([make_segment()])


def test_an_error_about_phonemes_does_not_name_them(
    kokoro_engine: Engine, make_segment: MakeSegment
) -> None:
    with pytest.raises(InvalidInput, match="None of a segment's 6 phonemes") as caught:
        kokoro_engine.forward([make_segment(phonemes="ЖЖЩЩЪЪ")])
    assert "Ж" not in caught.value.message


def test_a_mix_is_the_weighted_mean_of_its_packs(tiny_checkpoint: Path) -> None:
    voices = VoicePacks(tiny_checkpoint / "voices", "cpu")
    heart, sky = (voices.row(parse_voice(name), 10) for name in ("af_heart", "af_sky"))
    mixed = voices.row(parse_voice("af_heart(3)+af_sky(1)"), 10)
    assert mixed.shape == (1, 256)
    torch.testing.assert_close(mixed, 0.75 * heart + 0.25 * sky)


def test_endless_new_mixes_take_bounded_memory(tiny_checkpoint: Path) -> None:
    voices = VoicePacks(tiny_checkpoint / "voices", "cpu")
    for weight in range(1, MAX_CACHED_MIXES + 20):
        voices.row(parse_voice(f"af_heart({weight})+af_sky(1)"), 10)
    assert len(voices._mixes) == MAX_CACHED_MIXES


def test_the_fingerprint_follows_the_content_and_not_the_folder(
    kokoro_engine: Engine, copy: Path
) -> None:
    same = load(copy).manifest
    assert same == kokoro_engine.manifest
    edit_weights(copy, lambda c: c["decoder"]["module.F0_conv.bias"].add_(1))
    heart = copy / "voices" / "af_heart.pt"
    torch.save(torch.load(heart, weights_only=True) + 1, heart)
    changed = load(copy).manifest
    assert changed.fingerprint != same.fingerprint
    different = {name for name in same.voices if same.voices[name] != changed.voices[name]}
    assert different == {"af_heart"}


def test_a_synthetic_checkpoint_says_so_in_its_name(kokoro_engine: Engine) -> None:
    assert kokoro_engine.manifest.model == "synthetic-tiny"


def test_real_weights_are_named_by_their_folder(copy: Path) -> None:
    edit_config(copy, lambda config: config.pop("synthetic"))
    assert load(copy).manifest.model == "copy"


def test_weights_without_upstreams_key_prefix_load_too(
    copy: Path, make_segment: MakeSegment
) -> None:
    expected = load(copy).forward([make_segment()])[0].samples

    def strip(checkpoint: dict[str, Any]) -> None:
        for name, state in checkpoint.items():
            checkpoint[name] = {key.removeprefix("module."): v for key, v in state.items()}

    edit_weights(copy, strip)
    np.testing.assert_array_equal(load(copy).forward([make_segment()])[0].samples, expected)


def truncate(folder: Path) -> None:
    weights = folder / WEIGHTS_NAME
    os.truncate(weights, weights.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "cannot be read as weights"),
        (lambda f: (f / WEIGHTS_NAME).write_bytes(b""), "cannot be read as weights"),
        (lambda f: torch.save([1], f / WEIGHTS_NAME), "not Kokoro's modules"),
        (lambda f: edit_weights(f, lambda c: c.pop("bert")), "not Kokoro's modules"),
        (
            lambda f: edit_weights(f, lambda c: c["predictor"].pop("module.F0_proj.bias")),
            r"module predictor: F0_proj.bias is missing",
        ),
        (
            lambda f: edit_weights(f, lambda c: c["decoder"].update(extra=torch.ones(1))),
            "extra is unknown",
        ),
        (
            lambda f: edit_config(f, lambda c: c["plbert"].update(hidden_size=128)),
            r"is \(.*\) instead of \(",
        ),
        (lambda f: edit_config(f, lambda c: c["vocab"].update(x=9999)), "vocabulary"),
        (lambda f: edit_config(f, lambda c: c.update(vocab={})), "vocabulary"),
        (lambda f: edit_config(f, lambda c: c.pop("istftnet")), "KeyError: 'istftnet'"),
        (lambda f: edit_config(f, lambda c: c.update(style_dim=64)), "style_dim"),
        (
            lambda f: edit_config(f, lambda c: c["istftnet"].update(gen_istft_hop_size=10)),
            "a frame has 1200 samples",
        ),
        (lambda f: (f / "config.json").write_text("{"), "not JSON"),
        (lambda f: (f / "config.json").unlink(), "config.json cannot be read"),
        (lambda f: (f / WEIGHTS_NAME).unlink(), r"must hold one \*.pth; found: none"),
        (lambda f: shutil.copy(f / WEIGHTS_NAME, f / "other.pth"), "found: kokoro-v1_0.pth, other"),
        (lambda f: shutil.rmtree(f / "voices"), "holds no voice"),
        (lambda f: (f / "voices" / "af_sky.pt").write_bytes(b"no"), "cannot be read as a voice"),
        (
            lambda f: torch.save(torch.zeros(510, 1, 128), f / "voices" / "af_sky.pt"),
            "is not a voice pack",
        ),
        (
            lambda f: torch.save(torch.full((510, 1, 256), torch.nan), f / "voices" / "af_sky.pt"),
            "is not a voice pack",
        ),
    ],
)
def test_a_broken_checkpoint_is_refused_with_the_reason(
    copy: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy)
    with pytest.raises(ModelUnavailable, match=message):
        load(copy)


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self._made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._made),)


def plant(folder: Path, name: str, form: str, made: Path) -> None:
    """Put a malicious pickle in place of a file of a checkpoint."""
    payload = {"bert": Payload(made)}
    if form == "plain":
        (folder / name).write_bytes(pickle.dumps(payload, protocol=2))
    else:
        torch.save(payload, folder / name, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["plain", "legacy", "zip"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (WEIGHTS_NAME, "cannot be read as weights"),
        ("voices/af_sky.pt", "cannot be read as a voice"),
    ],
    ids=["weights", "voice"],
)
def test_a_malicious_pickle_is_refused_and_never_runs(
    copy: Path, tmp_path: Path, name: str, message: str, form: str
) -> None:
    made = tmp_path / "made-by-the-pickle"
    plant(copy, name, form, made)
    with pytest.raises(ModelUnavailable, match=message):
        load(copy)
    assert not made.exists()
    # It is a working one: whoever trusts it runs it.
    with contextlib.suppress(RuntimeError):
        torch.load(copy / name, weights_only=False)
    assert made.exists()


@pytest.mark.parametrize("model", ["", "/nowhere/at/all", "a/b/c", "not a repository"])
def test_a_model_that_is_nowhere_is_refused_with_a_remedy(model: str) -> None:
    with pytest.raises(ModelUnavailable, match="KC_MODEL"):
        load(model)


def test_an_unreachable_hub_is_refused_with_a_remedy(tmp_path: Path) -> None:
    code = (
        "from worker.engines.kokoro import KokoroEngine\n"
        "from shared.errors import ModelUnavailable\n"
        "try:\n    KokoroEngine.load('hexgrad/Kokoro-82M', device='cpu')\n"
        "except ModelUnavailable as error:\n    print(error.message)\n"
    )
    env = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert "hexgrad/Kokoro-82M could not be had from the hub" in done.stdout
    assert "set KC_MODEL to a local folder" in done.stdout


def test_loading_imports_neither_spacy_nor_misaki_and_leaves_kokoro_importable() -> None:
    code = (
        "import sys\n"
        "from worker.engines.kmodel import kmodel_class\n"
        "before = kmodel_class()\n"
        "assert not {'spacy', 'misaki', 'kokoro'} & sys.modules.keys()\n"
        "import kokoro\n"
        "assert kokoro.KModel is before is kmodel_class() and kokoro.KPipeline\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_the_full_size_checkpoint_renders_a_sentence(
    tmp_path: Path, make_segment: MakeSegment
) -> None:
    folder = tmp_path / "full"
    write_checkpoint(folder, size="full")
    engine = load(folder)
    segment = make_segment(voice="zm_yunyang")
    check_audio(engine.forward([segment])[0], segment)
    assert len(engine.manifest.voices) == 54
    assert engine.manifest.model == "synthetic-full"
