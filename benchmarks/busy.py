"""How much of the time a synth worker's device is busy while work waits.

In: how long the device takes for a second of audio. Out: a table of the share of the time in which
the engine rendered: of the wall clock, task after task, and of the worker's own shifts, which leave
out what lies between two tasks. Runs the whole local cluster with the scripted engine, whose device
sleeps for as long as a real one would compute; everything around it is real.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from benchmarks.long_text import make_text
from deploy.local import LocalCluster
from shared.ledger.scripts import text
from shared.manifest import EngineName
from shared.settings import Settings

DEVICE_S_PER_AUDIO_S = (0.0009, 0.002, 0.004)
"""What a second of audio costs the device: 0.001 is a thousand times faster than speech."""
CHARS = 1_600_000
WARM_S, MEASURED_S = 1.0, 10.0


def synth(cluster: LocalCluster) -> dict[str, Any]:
    """Return the synth worker's own figures."""
    rows = cluster.request("GET", "/v1/workers").json()["data"]
    return next((row for row in rows if row["role"] == "synth" and "busy_s" in row), {})


def settings_for(folder: Path, port: int, script: str, batch: int) -> Settings:
    """Return the settings of a cluster with one synth worker whose device follows a script."""
    return Settings(
        data_dir=folder,
        port=port,
        redis_port=port + 1,
        engine=EngineName.SCRIPTED,
        model=f"scripted:{script}",
        batch_max=batch,
        synth_workers=1,
    )


def plan_backlog(folder: Path, port: int) -> None:
    """Leave a planned text in the folder: its device never comes to an end of the first batch."""
    cluster = LocalCluster(settings_for(folder, port, "sleep_s=600", 1))
    try:
        cluster.start()
        body = {"input": make_text(CHARS), "speed": 4.0, "response_format": "flac"}
        job = cluster.request("POST", "/v1/jobs", json=body).json()
        with redis.Redis.from_url(f"redis://127.0.0.1:{port + 1}/0") as ledger:
            deadline = time.monotonic() + 300
            while ledger.hget(f"kc:job:{job['id']}", "planned") != b"1":
                if time.monotonic() > deadline:
                    raise TimeoutError("the text is not planned")
                time.sleep(0.2)
    finally:
        cluster.stop()


def measure(per_audio_s: float, folder: Path, port: int, batch: int) -> dict[str, float]:
    """Give one worker a backlog that lasts, and watch it for a while."""
    plan_backlog(folder, port)
    script = f"sleep_per_audio_s={per_audio_s}"
    cluster = LocalCluster(settings_for(folder, port, script, batch))
    try:
        cluster.start()
        with redis.Redis.from_url(f"redis://127.0.0.1:{port + 1}/0") as ledger:
            time.sleep(WARM_S)
            before, at, batches = synth(cluster), time.monotonic(), totals(ledger)
            time.sleep(MEASURED_S)
            after, wall_s, ended = synth(cluster), time.monotonic() - at, totals(ledger)
            if not int(ledger.get("kc:waiting_segments") or 0):
                raise RuntimeError("the backlog ran out: nothing was measured")
    finally:
        cluster.stop()
    count = ended["batches"] - batches["batches"]
    synthesis_s = ended["synthesis_s"] - batches["synthesis_s"]
    shift_s = after["shift_s"] - before["shift_s"]
    return {
        "device_ms_a_batch": 1000 * synthesis_s / count,
        "segments_a_batch": (ended["segments_rendered"] - batches["segments_rendered"]) / count,
        "busy_of_wall_clock": synthesis_s / wall_s,
        "busy_of_shifts": (after["busy_s"] - before["busy_s"]) / shift_s,
        "idle_ms_a_batch": 1000 * (wall_s - synthesis_s) / count,
    }


def totals(ledger: redis.Redis) -> dict[str, float]:
    """Return the ledger's running totals."""
    return {text(name): float(value) for name, value in ledger.hgetall("kc:totals").items()}


def main() -> None:
    """Measure devices of several speeds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8990)
    parser.add_argument("--batch", type=int, default=8, help="most segments in a batch")
    parser.add_argument("--speeds", type=float, nargs="*", default=DEVICE_S_PER_AUDIO_S)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    rows = []
    for per_audio_s in options.speeds:
        with tempfile.TemporaryDirectory(prefix="kc-bench-") as folder:
            figures = measure(per_audio_s, Path(folder), options.port, options.batch)
            rows.append({"device_s_per_audio_s": per_audio_s} | figures)
    print(
        f"\n{platform.machine()}, Python {platform.python_version()}, scripted engine, one worker"
    )
    print(
        "\n| device ms a batch | segments a batch | busy, of the wall clock | of shifts | "
        "idle ms a batch |\n|---|---|---|---|---|"
    )
    for row in rows:
        print(
            f"| {row['device_ms_a_batch']:.0f} | {row['segments_a_batch']:.1f} | "
            f"{row['busy_of_wall_clock']:.1%} | {row['busy_of_shifts']:.1%} | "
            f"{row['idle_ms_a_batch']:.1f} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
