"""What a container's probe is told of a worker."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.cli import main
from shared.settings import load_settings
from worker.liveness import ALIVE_S, ROUND_ALIVE_S, alive_file, loaded_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KC_DATA_DIR", str(tmp_path))


def touch(worker: str, age_s: float) -> None:
    path = alive_file(load_settings(), worker)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    then = time.time() - age_s
    os.utime(path, (then, then))


def test_a_worker_touched_a_moment_ago_is_alive(capsys: pytest.CaptureFixture[str]) -> None:
    touch("synth.0", ALIVE_S - 2)
    assert main(["worker-health", "synth"]) == 0
    assert "synth.0 is alive" in capsys.readouterr().out


def test_a_worker_not_touched_for_longer_is_not_and_the_line_says_how_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    touch("synth.1", 95)
    assert main(["worker-health", "synth", "--name", "1"]) == 1
    assert "synth.1 is not alive: last seen 95" in capsys.readouterr().out


def test_a_worker_that_was_never_there_is_not_alive(capsys: pytest.CaptureFixture[str]) -> None:
    touch("synth.0", 0)
    assert main(["worker-health", "plan"]) == 1
    assert "there is no" in capsys.readouterr().out


def test_a_worker_is_loaded_once_its_first_child_was_and_stays_so_while_children_are_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    touch("synth.0", 0)
    assert main(["worker-health", "synth", "--loaded"]) == 1
    assert "synth.0 is still loading" in capsys.readouterr().out
    assert main(["worker-health", "synth"]) == 0, "loading is no reason to restart it"
    loaded_file(load_settings(), "synth.0").touch()
    assert main(["worker-health", "synth", "--loaded"]) == 0


def test_a_worker_that_had_loaded_and_is_not_seen_any_more_is_not_alive() -> None:
    touch("synth.0", 95)
    loaded_file(load_settings(), "synth.0").touch()
    assert main(["worker-health", "synth", "--loaded"]) == 1


def test_a_reconciler_may_wait_longer_for_redis_between_two_signs_of_life(
    capsys: pytest.CaptureFixture[str],
) -> None:
    touch("reconciler.0", ROUND_ALIVE_S - 5)
    assert main(["worker-health", "reconciler"]) == 0
    touch("reconciler.0", ROUND_ALIVE_S + 5)
    assert main(["worker-health", "reconciler"]) == 1
    assert "reconciler.0 is not alive" in capsys.readouterr().out


def test_a_bad_setting_fails_the_probe_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KC_DATA_DIRR", "x")
    assert main(["worker-health", "plan"]) == 1
    assert "KC_DATA_DIRR" in capsys.readouterr().err


def test_the_probe_loads_none_of_what_a_worker_needs() -> None:
    code = (
        "import sys\n"
        "from deploy.cli import main\n"
        "main(['worker-health', 'synth'])\n"
        "heavy = {'torch', 'celery', 'fastapi', 'redis', 'numpy', 'obstore', 'structlog'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
