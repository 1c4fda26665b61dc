"""The GPU benchmark's script: what it speaks, and that it runs from end to end without a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import ALIKE_RATIO, MIXED_LENGTHS, claims, synthetic_items
from shared.ledger.work import ALIKE_RATIO as LEDGERS_RATIO

ROOT = Path(__file__).parents[3]
PACKS = [torch.zeros(510, 1, 256)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_batches_are_bounded_as_the_ledger_bounds_them() -> None:
    assert ALIKE_RATIO == LEDGERS_RATIO
    items = synthetic_items(300, PACKS)
    again = synthetic_items(300, PACKS)
    assert [item.tokens for item in items] == [item.tokens for item in again]
    found = list(claims(items, most=16, phonemes=1000))
    assert sum(map(len, found)) == 300
    for batch in found:
        lengths = [len(item.tokens) for item in batch]
        assert len(batch) <= 16
        assert len(batch) * max(lengths) <= 1000 or len(batch) == 1
        assert max(lengths) <= ALIKE_RATIO * min(lengths)


def test_what_is_made_up_is_as_long_as_the_mixed_corpus() -> None:
    lengths = sorted(len(item.tokens) - 2 for item in synthetic_items(2000, PACKS))
    assert lengths[0] >= MIXED_LENGTHS[0]
    assert lengths[-1] <= MIXED_LENGTHS[-1]
    assert abs(lengths[1000] - MIXED_LENGTHS[10]) <= 10


def test_without_a_device_it_says_so_and_measures_nothing() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        "bench-gpu needs a CUDA device, and torch sees none; nothing was measured."
    ]


@pytest.mark.slow
def test_every_section_runs_on_a_cpu_with_the_tiny_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    done = run("--device", "cpu", "--tiny", "--json", str(path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(path.read_text())
    assert found["failed"] == []
    assert len(found["tables"]) == 12
    assert found["headline"]["exact_durations_same"] == 1.0
    assert "FAILED" not in done.stdout
