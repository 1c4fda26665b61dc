"""How far one Redis carries: 1 to 64 synth workers' calls on one ledger, and where that bends.

In: numbers of claimants and of workers. Out: segments and audio-seconds a second, how long a claim
waits, what a segment and a job cost Redis in CPU and operations, and how many of them one core of
Redis would carry.

Two series. The claimants are a worker's calls to the ledger and nothing else (`claimants.py`), once
with a device that sleeps and once with one that takes no time, which shows where Redis, or this
machine beside it, is at its end. The workers are real ones, with Celery, storage and encoders on
the same cores: what bends there is most likely the machine.
"""

import random
from typing import Any

import redis

from benchmarks import scaling
from benchmarks.claim import MOST, PHONEMES, Jobs, sentences
from benchmarks.claimants import accept_and_plan, assemble_all, claim_together
from benchmarks.report import Report, Table, options
from benchmarks.rig import Bench, bench, settings_for, workplace

CLAIMANTS, QUICK_CLAIMANTS = (1, 2, 4, 8, 16, 32, 64), (1, 4)
WORKERS, QUICK_WORKERS = (1, 2, 4, 8, 16), (1,)
DEVICE_AUDIO_S_PER_S = 1000.0
"""Of a claimant's device: as fast as a GPU may be, so that the end comes in sight."""
SECONDS, QUICK_SECONDS = 10.0, 1.0
"""How long claimants begin new batches."""
WORKERS_SECONDS, QUICK_WORKERS_SECONDS = 20.0, 4.0
SEGMENTS_A_JOB = (1, 10, 100)
"""What a job costs is measured for these: a sentence, an answer, a chapter."""
STAGES = ("accept", "plan", "render", "assemble")
KEYS = 12
JOBS, QUICK_JOBS = 250, 50
MEASURED_JOBS = {1: 300, 10: 100, 100: 20}


def backlog(jobs: int, segments: int) -> Jobs:
    """Return jobs of several keys, with sentences of natural lengths."""
    chance = random.Random(11)  # noqa: S311 - the same backlog at each run
    return [(f"key{n % KEYS}", sentences(segments, chance)) for n in range(jobs)]


def measure_claimants(rig: Bench, count: int, device: float, *, quick: bool) -> dict[str, Any]:
    """Let so many claim from a fresh backlog that outlasts them."""
    seconds = QUICK_SECONDS if quick else SECONDS
    with redis.Redis.from_url(rig.server.url) as client:
        client.flushall()
    accept_and_plan(rig.server.url, backlog(QUICK_JOBS if quick else JOBS, 300))
    found = claim_together(rig.server.url, count, device_audio_s_per_s=device, seconds=seconds)
    with redis.Redis.from_url(rig.server.url) as client:
        found["left_waiting"] = int(client.get("kc:waiting_segments") or 0)
    found["of_devices"] = found["audio_s_per_s"] / (count * device) if device else None
    return found


def measure_jobs(rig: Bench, segments: int, *, quick: bool) -> dict[str, Any]:
    """Take jobs of so many segments through the whole ledger; return what one costs."""
    jobs = backlog(5 if quick else MEASURED_JOBS[segments], segments)
    with redis.Redis.from_url(rig.server.url) as client:
        client.flushall()
    found: dict[str, Any] = {"segments": segments, "jobs": len(jobs)}
    found |= accept_and_plan(rig.server.url, jobs)
    # They end when nothing waits any more.
    claimed = claim_together(rig.server.url, 1, device_audio_s_per_s=0, seconds=60)
    found["render_us"] = claimed["redis_us_per_segment"] * segments
    found["render_scripts"] = claimed["redis_scripts_per_segment"] * segments
    found["render_operations"] = claimed["redis_operations_per_segment"] * segments
    found |= assemble_all(rig.server.url)
    for unit in ("us", "scripts", "operations"):
        found[f"job_{unit}"] = sum(found[f"{stage}_{unit}"] for stage in STAGES)
    found["jobs_per_core_s"] = 1e6 / found["job_us"]
    found["segments_per_core_s"] = segments * found["jobs_per_core_s"]
    if found["assembled"] != len(jobs):
        raise RuntimeError(f"{found['assembled']} of {len(jobs)} jobs were assembled")
    return found


def claimants_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Return a series of claimants for people."""
    columns = {
        "claimants": "claimants",
        "segments/s": "segments_per_s",
        "audio-s/s": "audio_s_per_s",
        "of the devices' speed": "of_devices",
        "claim p50, ms": "claim_p50_ms",
        "claim p99, ms": "claim_p99_ms",
        "Redis, of a core": "redis_share_of_a_core",
        "Redis, µs a segment": "redis_us_per_segment",
        "operations a segment": "redis_operations_per_segment",
    }
    return Table(title, list(columns), [[row[key] for key in columns.values()] for row in rows])


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    parser.add_argument("--no-workers", action="store_true", help="the ledger alone")
    chosen = parser.parse_args()
    counts = QUICK_CLAIMANTS if chosen.quick else CLAIMANTS
    with workplace() as folder, bench(settings_for(folder)) as rig:
        jobs = [measure_jobs(rig, n, quick=chosen.quick) for n in SEGMENTS_A_JOB]
        sleeping, at_once = (
            [measure_claimants(rig, n, device, quick=chosen.quick) for n in counts]
            for device in (DEVICE_AUDIO_S_PER_S, 0.0)
        )
    workers: list[dict[str, Any]] = []
    if not chosen.no_workers:
        seconds = QUICK_WORKERS_SECONDS if chosen.quick else WORKERS_SECONDS
        workers = [scaling.run(n, seconds) for n in (QUICK_WORKERS if chosen.quick else WORKERS)]
    for row in workers:
        row["of_devices"] = row["audio_s_per_s"] / (row["workers"] * scaling.DEVICE_AUDIO_S_PER_S)
    report = Report(
        "scale",
        "what one Redis carries, and where it bends",
        corpus="claimants: made-up phoneme counts of sentences, half below 75, 300 to a job, "
        f"jobs of {KEYS} keys; workers: the texts of `scaling`",
        precision=f"no model: a claimant's device sleeps as one of {DEVICE_AUDIO_S_PER_S:,.0f} "
        f"audio-s/s would compute, a worker's as one of {scaling.DEVICE_AUDIO_S_PER_S:.0f}",
        quick=chosen.quick,
        figures={
            "jobs": jobs,
            "sleeping": sleeping,
            "at_once": at_once,
            "workers": workers,
        },
        notes=[
            f"claimants: batches of at most {MOST} segments and {PHONEMES} phonemes with padding",
            "Redis' CPU is its main thread's; operations are commands, those of scripts counted",
            "all share this machine's cores with Redis: where its share of a core stays below one, "
            "what bends is the machine",
        ],
    )
    report.tables += [
        Table(
            "A job, in the ledger",
            [
                "segments",
                *(f"{stage}, µs" for stage in ("accept", "plan", "render", "assemble", "whole")),
                "scripts",
                "operations",
                "jobs a core-second",
                "segments a core-second",
            ],
            [
                [
                    row["segments"],
                    *(row[f"{stage}_us"] for stage in (*STAGES, "job")),
                    *(row[name] for name in ("job_scripts", "job_operations")),
                    *(row[name] for name in ("jobs_per_core_s", "segments_per_core_s")),
                ]
                for row in jobs
            ],
        ),
        claimants_table("Claimants whose devices sleep", sleeping),
        claimants_table("Claimants whose devices take no time", at_once),
    ]
    columns = {
        "workers": "workers",
        "segments/s": "segments_per_s",
        "audio-s/s": "audio_s_per_s",
        "of the devices' speed": "of_devices",
        "Redis, of a core": "redis_share_of_a_core",
        "Redis, µs a job": "redis_us_per_job",
        "Redis, µs a segment": "redis_us_per_segment",
        "operations a job": "redis_operations_per_job",
    }
    if workers:
        rows = [[row[key] for key in columns.values()] for row in workers]
        report.tables.append(Table("Workers, from claim to stored file", list(columns), rows))
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
