"""How much faster 1, 2, 4 and 8 synth workers are than one, when each has a device of its own.

In: numbers of workers. Out: audio-seconds a second of each, beside a straight line.

The devices sleep (`scripted:sleep_per_audio_s=…`) for as long as a device of the stated speed would
compute. All workers run on this one machine, so the speed is chosen such that eight of them leave
its cores mostly idle: what is measured is whether they get in one another's way (claims, wake-ups,
Redis), not how fast this machine is. Synth workers are halted until everything is planned.
"""

import signal
import time
from datetime import datetime
from typing import Any

from benchmarks.claimants import Spent
from benchmarks.corpus import Length, Text, describe, mixed
from benchmarks.latency import log_lines
from benchmarks.report import Report, Table, Target, options
from benchmarks.rig import cluster, settings_for, signal_all, wait_until_planned, workplace
from shared.languages import Language

WORKERS, QUICK_WORKERS = (1, 2, 4, 8), (1, 2)
DEVICE_AUDIO_S_PER_S = 50.0
SECONDS, QUICK_SECONDS = 40.0, 4.0
"""How long the devices of one run have work: so much audio is chosen for each number of workers."""
AUDIO_S_PER_TEXT = 14.0
"""Of this mix, by the scripted engine; only to choose how many texts."""
LEAST_OF_LINEAR = 0.95
GIVE_UP_AFTER_S = 300.0
BATCH_MAX = 4
"""A worker whose last batch ends while others still have theirs idles: small batches in a long run
keep that end, which a service before a backlog does not have, out of the figure."""


def choose(workers: int, seconds: float) -> list[Text]:
    """Return enough texts to keep so many devices at work."""
    count = round(workers * seconds * DEVICE_AUDIO_S_PER_S / AUDIO_S_PER_TEXT)
    return mixed(
        count,
        seed=workers,
        languages=[Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH],
        shares={Length.SHORT: 0.5, Length.MEDIUM: 0.5},
    )


def run(workers: int, seconds: float) -> dict[str, Any]:
    """Speak enough for so many workers; return their speed and what was spoken."""
    texts = choose(workers, seconds)
    with workplace() as folder:
        settings = settings_for(
            folder,
            model=f"scripted:sleep_per_audio_s={1 / DEVICE_AUDIO_S_PER_S}",
            device="cpu",
            synth_workers=workers,
            batch_max=BATCH_MAX,
        )
        with cluster(settings) as running:
            names = [f"synth.{n}" for n in range(workers)]
            _wait_for_workers(running.workers, workers)
            halted = [pid for name in names for pid in running.pids(name)]
            signal_all(halted, signal.SIGSTOP)
            try:
                for n, text in enumerate(texts):
                    # Numbered, so that nothing is reused; fast lossless files, so that encoders
                    # leave the cores alone.
                    running.submit(
                        {
                            "input": f"{n}. {text.text}",
                            "voice": text.voice,
                            "response_format": "wav",
                            "priority": "batch",
                        }
                    )
                wait_until_planned(running.ledger, len(texts), within_s=GIVE_UP_AFTER_S)
                before = Spent.of(running.ledger)
                released = time.time()
            finally:
                signal_all(halted, signal.SIGCONT)
            running.wait_until(len(texts), within_s=GIVE_UP_AFTER_S)
            spent = Spent.of(running.ledger).since(before)
            load = [
                (datetime.fromisoformat(entry["ts"]).timestamp(), entry)
                for entry in log_lines(running.local.logs)
                if entry.get("event") == "rendered"
            ]
    by_worker: dict[str, float] = {}
    for _, entry in load:
        name = entry["process"]
        by_worker[name] = by_worker.get(name, 0.0) + float(entry["audio_s"])
    took_s = max(at for at, _ in load) - released
    audio_s = sum(by_worker.values())
    return {
        "workers": workers,
        "texts": len(texts),
        "segments": len(load),
        "audio_s": audio_s,
        "took_s": took_s,
        "audio_s_per_s": audio_s / took_s,
        "segments_per_s": len(load) / took_s,
        "redis_share_of_a_core": spent.cpu_s / took_s,
        "redis_us_per_job": 1e6 * spent.cpu_s / len(texts),
        "redis_us_per_segment": 1e6 * spent.cpu_s / len(load),
        "redis_operations_per_job": spent.operations / len(texts),
        "redis_operations_per_segment": spent.operations / len(load),
        "least_of_one_worker": min(by_worker.values()) / (audio_s / workers),
        "corpus": describe(texts),
    }


def _wait_for_workers(listed: Any, count: int) -> None:
    deadline = time.monotonic() + GIVE_UP_AFTER_S
    while time.monotonic() < deadline:
        if sum(row["state"] == "idle" for row in listed("synth")) == count:
            return
        time.sleep(0.2)
    raise TimeoutError(f"{count} synth workers were not ready")


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    chosen = parser.parse_args()
    seconds = QUICK_SECONDS if chosen.quick else SECONDS
    runs = [run(workers, seconds) for workers in (QUICK_WORKERS if chosen.quick else WORKERS)]
    one = runs[0]["audio_s_per_s"]
    for found in runs:
        found["of_linear"] = found["audio_s_per_s"] / (found["workers"] * one)
        found["of_devices"] = found["audio_s_per_s"] / (found["workers"] * DEVICE_AUDIO_S_PER_S)
    report = Report(
        "scaling",
        "synth workers on one backlog, each with a device that sleeps",
        corpus=runs[-1]["corpus"] + ", for the most workers; in proportion for fewer",
        precision=f"no model: each device sleeps as one of {DEVICE_AUDIO_S_PER_S:.0f} audio-s/s "
        f"would compute, batches of at most {BATCH_MAX}",
        quick=chosen.quick,
        figures={"runs": runs},
        notes=[
            "all workers, planners and encoders share this machine's cores: a miss can be theirs",
        ],
    )
    columns = [
        "workers",
        "segments",
        "seconds",
        "audio-s/s",
        "of linear",
        "of the devices' speed",
        "least busy worker, of its share",
    ]
    keys = [
        "workers",
        "segments",
        "took_s",
        "audio_s_per_s",
        "of_linear",
        "of_devices",
        "least_of_one_worker",
    ]
    report.tables.append(Table("Speed", columns, [[row[key] for key in keys] for row in runs]))
    last = runs[-1]
    report.targets.append(
        Target(
            f"{last['workers']} workers beside one, of linear",
            last["of_linear"],
            least=LEAST_OF_LINEAR,
        )
    )
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
