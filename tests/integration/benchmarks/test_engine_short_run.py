"""The engine's benchmark runs, and says of each side what it measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_engines_benchmark_compares_both_sides_and_watches_memory(tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    command = [sys.executable, "-m", "benchmarks.engine", "--quick", "--profile"]
    done = subprocess.run(
        [*command, "--threads", "1", "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(path.read_text())
    for ways in found["figures"]["speeds"].values():
        assert {way["side"] for way in ways} == {"upstream", "exact"}
        assert len({way["audio_s"] for way in ways}) == 1  # the same durations on both sides
        assert all(rate > 0 for way in ways for rate in way["audio_s_per_s"])
    assert found["figures"]["memory"]["exact"]["peak_mib"] > 100
    assert "Where the time goes: exact" in done.stdout
    assert all(target["met"] is not None for target in found["targets"])
