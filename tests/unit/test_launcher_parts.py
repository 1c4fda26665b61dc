"""The launcher's parts that need no running cluster."""

import os
from pathlib import Path

import pytest

from deploy.local import LocalCluster, count_gpus
from deploy.weights import choose_engine
from shared.manifest import EngineName
from shared.settings import Settings

LISTING = """GPU 0: NVIDIA H200 (UUID: GPU-1)
GPU 1: NVIDIA H200 (UUID: GPU-2)
"""


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose nvidia-smi lists two GPUs."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("two_gpus")
def test_each_gpu_gets_a_worker_that_sees_only_it() -> None:
    assert count_gpus() == 2
    devices = LocalCluster(Settings())._devices()
    assert devices == [
        ("0", {"CUDA_VISIBLE_DEVICES": "0"}),
        ("1", {"CUDA_VISIBLE_DEVICES": "1"}),
    ]


@pytest.mark.usefixtures("two_gpus")
def test_the_cpu_can_be_chosen_on_a_machine_with_gpus() -> None:
    assert LocalCluster(Settings(device="cpu"))._devices() == [("0", {})]


@pytest.mark.usefixtures("two_gpus")
def test_more_workers_than_gpus_share_them_in_turn() -> None:
    devices = LocalCluster(Settings(synth_workers=3))._devices()
    assert [env["CUDA_VISIBLE_DEVICES"] for _, env in devices] == ["0", "1", "0"]


def test_an_engine_that_was_named_is_never_replaced_by_the_stand_in() -> None:
    choice = choose_engine(Settings(model="some/where"))
    assert (choice.engine, choice.model) == (EngineName.KOKORO, "some/where")


def test_without_weights_the_stand_in_is_chosen_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("deploy.weights._download", lambda repo: "the hub can't be reached")
    choice = choose_engine(Settings())
    assert choice.engine is EngineName.ESPEAK
    assert "STAND-IN" in choice.note
    assert "KC_MODEL=" in choice.note
