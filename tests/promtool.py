"""Prometheus' own checker, run over what this project gives to Prometheus."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def promtool(*arguments: str, folder: Path | None = None, text: str | None = None) -> str:
    """Run promtool and return what it said, having asserted that it found nothing wrong.

    Where there is none the test is skipped, with CI set it fails: see
    `tests/observability/fetch_programs.sh`.
    """
    fetched = Path(sys.executable).with_name("promtool")
    command = shutil.which("promtool") or (str(fetched) if fetched.exists() else None)
    if command is None:
        reason = "no promtool: run tests/observability/fetch_programs.sh, or install Prometheus"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [command, *arguments],
        input=text,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
