"""What benchmarks stand on leaves nothing behind."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.rig import pin, run_module, workplace


def test_a_workplace_hides_the_operators_settings_and_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KC_PORT", "1")
    with workplace() as folder:
        assert "KC_PORT" not in os.environ
        assert Path.cwd() == folder
    assert os.environ["KC_PORT"] == "1"
    assert not folder.exists()


def test_a_benchmark_told_to_end_leaves_its_workplace_tidy() -> None:
    with pytest.raises(SystemExit), workplace() as folder:
        os.kill(os.getpid(), signal.SIGTERM)
    assert not folder.exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_module_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError):
        run_module("http.server", "--bind", "127.0.0.1", "0", within_s=1.0)


def test_pinning_to_no_core_changes_nothing() -> None:
    before = os.sched_getaffinity(0)
    pin([os.getpid()], [])
    assert os.sched_getaffinity(0) == before
