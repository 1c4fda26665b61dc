"""How much of the time a synth worker's device is busy while work waits.

In: how long the device takes for a batch. Out: a table of the share of the wall clock in which the
engine rendered, what the device idles from batch to batch, and what the worker's child spends of a
core around the engine. Runs the whole local cluster with the scripted engine, whose device sleeps
for as long as a real one would compute; everything around it is real.
"""

import time
from pathlib import Path
from typing import Any

from benchmarks.long_text import make_text
from benchmarks.report import Report, Table, Target, options
from benchmarks.rig import Cluster, cluster, cpu_s, settings_for, wait_until_planned, workplace
from shared.ledger.scripts import text
from shared.settings import Settings

BATCH_MS = (50, 100, 300)
QUICK_BATCH_MS = (100,)
CHARS, QUICK_CHARS = 1_600_000, 800_000
WARM_S = 3.0
MEASURED_S, QUICK_MEASURED_S = 20.0, 5.0
LEAST_BUSY = 0.95


def plan_backlog(settings: Settings, chars: int) -> None:
    """Leave a planned text in the folder: its device never comes to an end of the first batch."""
    hung = settings.model_copy(update={"model": "scripted:sleep_s=600", "batch_max": 1})
    with cluster(hung) as running:
        running.submit({"input": make_text(chars), "speed": 4.0, "response_format": "flac"})
        wait_until_planned(running.ledger, 1, within_s=300)


def totals(running: Cluster) -> dict[str, float]:
    """Return the ledger's running totals."""
    rows = running.ledger.hgetall("kc:totals").items()
    return {text(name): float(value) for name, value in rows}


def child_cpu_s(running: Cluster) -> float:
    """Return the seconds of a core that the synth worker's processes have used."""
    return sum(cpu_s(pid) for pid in running.pids("synth.0"))


def measure(folder: Path, batch_ms: int, batch: int, *, quick: bool) -> dict[str, float]:
    """Give one worker a backlog that lasts, and watch it for a while."""
    settings = settings_for(
        folder, model=f"scripted:sleep_s={batch_ms / 1000}", batch_max=batch, synth_workers=1
    )
    plan_backlog(settings, QUICK_CHARS if quick else CHARS)
    with cluster(settings) as running:
        time.sleep(WARM_S)
        before, at, cpu = totals(running), time.monotonic(), child_cpu_s(running)
        time.sleep(QUICK_MEASURED_S if quick else MEASURED_S)
        after, wall_s = totals(running), time.monotonic() - at
        cpu = child_cpu_s(running) - cpu
        if not int(running.ledger.get("kc:waiting_segments") or 0):
            raise RuntimeError("the backlog ran out: nothing was measured")
    count = after["batches"] - before["batches"]
    busy_s = after["synthesis_s"] - before["synthesis_s"]
    return {
        "asked_ms_a_batch": batch_ms,
        "device_ms_a_batch": 1000 * busy_s / count,
        "segments_a_batch": (after["segments_rendered"] - before["segments_rendered"]) / count,
        "busy_share": busy_s / wall_s,
        "idle_ms_a_batch": 1000 * (wall_s - busy_s) / count,
        "worker_cpu_ms_a_batch": 1000 * cpu / count,
    }


def main() -> None:
    """Measure devices of several speeds and report."""
    parser = options(__doc__)
    parser.add_argument("--batch", type=int, default=8, help="most segments in a batch")
    parser.add_argument("--batch-ms", type=int, nargs="*", help="what a batch takes the device")
    chosen = parser.parse_args()
    chars = QUICK_CHARS if chosen.quick else CHARS
    report = Report(
        "busy",
        "share of the time that a device works while work waits",
        corpus=f"one text of {chars:,} characters, planned before; at speed 4",
        precision="scripted engine, a device that sleeps",
        quick=chosen.quick,
        notes=[
            "the device's time is what the ledger recorded; busy: its share of the wall clock, "
            "task after task",
            "a batch is recorded once it is stored: the share of a short run errs by a batch",
            "CPU: of the synth worker's parent and child, the scripted engine's own included",
        ],
    )
    rows: list[dict[str, Any]] = []
    for batch_ms in chosen.batch_ms or (QUICK_BATCH_MS if chosen.quick else BATCH_MS):
        with workplace() as folder:
            rows.append(measure(folder, batch_ms, chosen.batch, quick=chosen.quick))
    report.figures["batches"] = rows
    report.tables.append(
        Table(
            "One synth worker before a backlog",
            [
                "asked, ms a batch",
                "device, ms a batch",
                "segments a batch",
                "busy, of the wall clock",
                "idle, ms a batch",
                "worker's CPU, ms a batch",
            ],
            [list(row.values()) for row in rows],
        )
    )
    report.targets += [
        Target(
            f"busy share of the wall clock at {row['asked_ms_a_batch']} ms a batch",
            row["busy_share"],
            least=LEAST_BUSY,
        )
        for row in rows
    ]
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
