"""The Triton kernels give what the plain form gives, in Triton's interpreter; and they compile."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton has no wheel for this machine"
)
HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def run(script: str, environment: dict[str, str]) -> str:
    # Triton asks whether to interpret when a kernel is defined, so each way has its own process.
    done = subprocess.run(
        [sys.executable, str(HERE / script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_in_the_interpreter_they_agree_with_the_plain_form() -> None:
    out = run("triton_interpreted.py", {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"})
    assert out.split()[-1] == "agree"


@pytest.mark.slow
def test_they_compile_for_a_hopper_device_though_there_is_none(tmp_path: Path) -> None:
    out = run("triton_compiled.py", {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"})
    assert out.split()[-1] == "compiled"
