"""Benchmarks run, and say what they measured and on what; that they meet targets is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FIELDS = {
    "benchmark",
    "corpus",
    "date",
    "figures",
    "machine",
    "precision",
    "quick",
    "tables",
    "targets",
    "versions",
}


def run(tmp_path: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark's short form in a folder of its own; return what it wrote."""
    path = tmp_path / "deep" / f"{name}.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            f"benchmarks.{name}",
            "--quick",
            "--json",
            str(path),
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(path.read_text())
    assert found.keys() >= FIELDS
    assert found["quick"] is True
    assert f"## {name}: " in done.stdout
    assert all(target["met"] is not None for target in found["targets"])
    return found


@pytest.mark.slow
def test_the_gateways_benchmark_counts_jobs_that_stand_in_the_ledger(tmp_path: Path) -> None:
    figures = run(tmp_path, "gateway")["figures"]
    assert figures["gateway"][0]["jobs"] > 0
    assert figures["delay_one_thread"][0]["jobs"] > 0
    assert figures["fixed_rate"]["wait_ms"]["n"] == 600


@pytest.mark.slow
def test_the_latencys_benchmark_shows_every_step(tmp_path: Path) -> None:
    figures = run(tmp_path, "latency")["figures"]
    assert figures["client_wait_ms"]["n"] == 20
    assert figures["step_ms"].keys() == {"planned", "rendered", "succeeded", "answered"}


@pytest.mark.slow
def test_the_traces_benchmark_asks_both_ways_and_sends_spans(tmp_path: Path) -> None:
    figures = run(tmp_path, "traces")["figures"]
    for way in ("without traces", "with traces"):
        assert figures["rounds"][way][0]["jobs"] > 0
        assert figures["client_wait_ms"][way]["n"] == 10
    assert figures["sent"]["bytes"] > 10_000


@pytest.mark.slow
def test_the_systems_benchmark_renders_the_same_audio_both_ways(tmp_path: Path) -> None:
    engine = "scripted:sleep_per_audio_s=0.01"
    figures = run(tmp_path, "system", "--engine", engine, "--texts", "4")["figures"]
    alone, whole = figures["engine_alone"][0], figures["system"][0]
    assert alone["audio_s"] == pytest.approx(whole["audio_s"], abs=0.1)
    assert alone["segments"] == whole["segments"]
    assert figures["encode_audio_s_per_core_s"].keys() == {"wav", "flac", "mp3", "opus", "aac"}


@pytest.mark.slow
def test_the_etas_benchmark_watches_a_job_to_its_end(tmp_path: Path) -> None:
    # How near the estimates are is the benchmark's to say: it depends on what else a machine does.
    (scene,) = run(tmp_path, "eta", "--scene", "0", "--chars", "6000")["figures"]["scenes"]
    etas = [eta for _, eta in scene["said"]]
    assert None not in etas, "all of it was measured before the job came"
    assert scene["off"].keys() == {"0.25", "0.5", "0.75"}
    assert scene["half_eta_s"] + scene["half_took_s"] > scene["total_s"] / 2
    assert etas[-1] < max(etas) / 2, "it comes nearer"
    times = [when for when, _ in scene["said"]]
    assert times == sorted(times)
    assert times[-1] <= scene["total_s"]


@pytest.mark.slow
def test_the_scales_benchmark_tells_redis_from_the_machine(tmp_path: Path) -> None:
    figures = run(tmp_path, "scale")["figures"]
    one, ten, hundred = figures["jobs"]
    assert one["job_operations"] < ten["job_operations"] < hundred["job_operations"]
    assert [row["assembled"] for row in figures["jobs"]] == [row["jobs"] for row in figures["jobs"]]
    for row in (*figures["sleeping"], *figures["at_once"]):
        assert row["segments"] > 0
        assert row["left_waiting"] > 0, "the backlog outlasts the claimants"
        assert 0 < row["redis_share_of_a_core"] <= 1.05
        assert row["claim_p50_ms"] <= row["claim_p99_ms"]
    assert all(row["of_devices"] <= 1.05 for row in figures["sleeping"])
    (worker,) = figures["workers"]
    assert worker["redis_operations_per_segment"] > one["job_operations"] / 100
