"""Accepted jobs a second beside bare Celery's `.delay`, and how long an acceptance takes.

In: seconds, connections. Out: rates a core, a ratio, and percentiles at 200 requests a second.

Both hand over the same text on the same Redis in the same run, in turns. Who accepts has a core of
its own (the gateway, or the process that calls `.delay`); Redis and the load generator have the
other. The generator is `wrk` where it is installed, and `benchmarks.load` where it is not and for
the fixed rate, which `wrk` has not. No worker runs: jobs are recorded, admitted and rung for, and
wait; once 32 wake-ups wait too, the gateway sends no more, as it would in front of a backlog.
A second figure takes the wake-ups away, so that every job sends one. A job counts when it was
answered 202 and stands in the ledger. Last, batches of a thousand jobs: `benchmarks.batches`.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks.batches import MOST_HELD_MS, RATE, batches_table, measure_batches
from benchmarks.corpus import Length, Text, describe, select
from benchmarks.report import Report, Table, Target, options, spread
from benchmarks.rig import bench, cpu_s, pin, run_module, settings_for, workplace
from shared.bell import Stage
from shared.languages import Language
from shared.ledger.work import WorkLedger
from worker.engines.scripted import ScriptedEngine

ROUNDS, QUICK_ROUNDS = 3, 1
ROUND_S, QUICK_ROUND_S = 10.0, 2.0
FIXED_RATE, FIXED_RATE_S, QUICK_FIXED_RATE_S = 200.0, 30.0, 3.0
WARM_UP_S = 1.0
LEAST_RATIO, MOST_P99_MS = 0.6, 20.0

SETTLE_S = 0.5
NAMES = {
    "gateway": "POST /v1/jobs",
    "gateway_ringing": "POST /v1/jobs, every one with a wake-up",
    "delay_one_thread": "`.delay`, one thread",
    "delay_threads": "`.delay`, as many threads as connections",
}

WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = assert(io.open("body.json"))
wrk.body = file:read("a")
file:close()
"""


@dataclass(frozen=True)
class Cores:
    """Who runs where; empty lists: anywhere."""

    accepting: list[int]
    others: list[int]


def share_cores() -> Cores:
    """Return a core for who accepts, and the rest for Redis and the generator."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[:1], cores[1:]) if len(cores) > 1 else Cores([], [])


def jobs_in_ledger(ledger: redis.Redis) -> int:
    """Return how many jobs were ever recorded."""
    return int(float(ledger.hget("kc:totals", "jobs_accepted") or 0))


def job_body(text: Text) -> str:
    """Return the body of a submission."""
    return json.dumps({"input": text.text, "voice": "af_heart", "response_format": "mp3"})


def generator_name() -> str:
    """Return what posts in a closed loop on this machine."""
    return "wrk" if shutil.which("wrk") else "benchmarks.load (wrk is not installed)"


@dataclass(frozen=True)
class Load:
    """What is posted, and from where.

    Attributes:
        body: of each request, JSON.
        connections: kept alive, of the closed loop.
    """

    url: str
    folder: Path
    body: str
    connections: int
    cores: Cores

    def closed_loop(self, seconds: float) -> dict[str, Any]:
        """Post as fast as the gateway answers; return what was answered."""
        if shutil.which("wrk") is None:
            return self.generate(seconds, connections=self.connections, rate=0)
        (self.folder / "post.lua").write_text(WRK_SCRIPT)
        (self.folder / "body.json").write_text(self.body)
        sizes = [f"-c{self.connections}", "-t1", f"-d{round(seconds)}s"]
        with subprocess.Popen(  # noqa: S603 - a known load generator, on our own gateway
            ["wrk", *sizes, "-spost.lua", self.url],  # noqa: S607 - wherever it is installed
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                pin([process.pid], self.cores.others)
                output, _ = process.communicate(timeout=seconds + 30)
            finally:
                if process.poll() is None:
                    process.kill()
        total = re.search(r"(\d+) requests in ([\d.]+)s", output)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
        if total is None:
            raise RuntimeError(f"wrk said: {output}")
        bad = int(refused[1]) if refused else 0
        return {"took_s": float(total[2]), "statuses": {"202": int(total[1]) - bad, "other": bad}}

    def generate(self, seconds: float, *, connections: int, rate: float) -> dict[str, Any]:
        """Post by the project's own generator; return what was answered."""
        output = run_module(
            "benchmarks.load",
            *("--url", self.url, "--body", self.body, "--seconds", str(seconds)),
            *("--connections", str(connections), "--rate", str(rate)),
            within_s=seconds + 60,
            cores=self.cores.others,
        )
        found: dict[str, Any] = json.loads(output)
        return found


def gateway_round(
    pid: int, ledger: redis.Redis, load: Load, seconds: float, *, drain: bool
) -> dict[str, float]:
    """Measure one round of the gateway: jobs a second, and jobs a second of its CPU time.

    Args:
        pid: the gateway's.
        ledger: where the jobs must stand afterwards.
        load: what is posted.
        seconds: of the round.
        drain: take wake-ups away as workers would, so that every job sends one.
    """
    time.sleep(SETTLE_S)  # what was under way when the load before ended
    before, cpu_before = jobs_in_ledger(ledger), cpu_s(pid)
    stopping = threading.Event()

    def take_wakeups() -> None:
        while not stopping.wait(0.005):
            ledger.delete(Stage.PLAN.queue)

    taker = threading.Thread(target=take_wakeups)
    if drain:
        taker.start()
    try:
        answer = load.closed_loop(seconds)
    finally:
        stopping.set()
        if drain:
            taker.join()
    time.sleep(SETTLE_S)
    used_s = cpu_s(pid) - cpu_before
    recorded = jobs_in_ledger(ledger) - before
    accepted = int(answer["statuses"].get("202", 0))
    refused = sum(answer["statuses"].values()) - accepted
    # Those whose answers the generator no longer waited for stand in the ledger too.
    if refused or not accepted <= recorded <= accepted + 2 * load.connections:
        raise RuntimeError(f"{accepted} accepted, {refused} refused, {recorded} in the ledger")
    return {
        "per_s": accepted / answer["took_s"],
        "per_cpu_s": recorded / used_s,
        "core_share": used_s / answer["took_s"],
        "jobs": accepted,
    }


def delay_round(
    url: str, text: str, seconds: float, threads: int, cores: Cores
) -> dict[str, float]:
    """Measure one round of `.delay`: tasks a second, and tasks a second of its CPU time."""
    output = run_module(
        "benchmarks.delay_rate",
        *("--url", url, "--text", text, "--seconds", str(seconds), "--threads", str(threads)),
        within_s=seconds + 60,
        cores=cores.accepting,
    )
    found = json.loads(output)
    return {
        "per_s": found["tasks"] / found["took_s"],
        "per_cpu_s": found["tasks"] / found["cpu_s"],
        "core_share": found["cpu_s"] / found["took_s"],
        "jobs": found["tasks"],
    }


def measure(folder: Path, body: str, text: str, connections: int, *, quick: bool) -> dict[str, Any]:
    """Measure the gateway and `.delay` in turns, then the gateway at a fixed rate."""
    cores = share_cores()
    rounds, seconds = (QUICK_ROUNDS, QUICK_ROUND_S) if quick else (ROUNDS, ROUND_S)
    fixed_s = QUICK_FIXED_RATE_S if quick else FIXED_RATE_S
    found: dict[str, Any] = {name: [] for name in NAMES}
    with bench(settings_for(folder)) as made, redis.Redis(port=made.server.port) as ledger:
        assert made.server.process is not None  # noqa: S101 - started by the block
        pin([made.server.process.pid], cores.others)
        WorkLedger(ledger, incarnation="bench/0", lease_s=5, attempts_max=3).register_engine(
            ScriptedEngine().manifest
        )
        pid = made.start_gateway().pid
        pin([pid], cores.accepting)
        load = Load(f"{made.url}/v1/jobs", folder, body, connections, cores)
        load.closed_loop(WARM_UP_S)
        for _ in range(rounds):
            found["gateway"].append(gateway_round(pid, ledger, load, seconds, drain=False))
            found["gateway_ringing"].append(gateway_round(pid, ledger, load, seconds, drain=True))
            for name, threads in (("delay_one_thread", 1), ("delay_threads", connections)):
                found[name].append(delay_round(made.server.url, text, seconds, threads, cores))
                ledger.delete("celery")
        time.sleep(SETTLE_S)
        before, cpu_before = jobs_in_ledger(ledger), cpu_s(pid)
        answer = load.generate(fixed_s, connections=32, rate=FIXED_RATE)
        if set(answer["statuses"]) != {"202"} or answer["errors"]:
            raise RuntimeError(f"{answer['statuses']}, {answer['errors']} errors")
        if jobs_in_ledger(ledger) - before != len(answer["wait_ms"]):
            raise RuntimeError("the ledger has not the jobs that were accepted")
        found["fixed_rate"] = {
            "asked_per_s": FIXED_RATE,
            "answered_per_s": len(answer["wait_ms"]) / answer["took_s"],
            "gateway_cpu_share": (cpu_s(pid) - cpu_before) / answer["took_s"],
            "wait_ms": spread(answer["wait_ms"]),
        }
        found["batches"] = measure_batches(
            made.url,
            ledger,
            lambda seconds: load.generate(seconds, connections=16, rate=RATE),
            quick=quick,
        )
    return found


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    parser.add_argument("--connections", type=int, default=8)
    chosen = parser.parse_args()
    text = max(
        select(length=Length.SHORT, languages=[Language.AMERICAN_ENGLISH]),
        key=lambda one: len(one.text),
    )
    body = job_body(text)
    with workplace() as folder:
        found = measure(folder, body, text.text, chosen.connections, quick=chosen.quick)
    middle = {
        name: {
            key: statistics.median(r[key] for r in found[name])
            for key in ("per_s", "per_cpu_s", "core_share")
        }
        for name in NAMES
    }
    best = max(("delay_one_thread", "delay_threads"), key=lambda name: middle[name]["per_s"])
    ratio = middle["gateway"]["per_s"] / middle[best]["per_s"]
    cpu_ratio = middle["gateway"]["per_cpu_s"] / middle[best]["per_cpu_s"]
    fixed = found["fixed_rate"]
    generator = generator_name()
    report = Report(
        "gateway",
        "jobs accepted by POST /v1/jobs beside tasks handed over by bare Celery's `.delay`",
        corpus=describe([text]),
        precision="no model: nothing is spoken",
        quick=chosen.quick,
        figures={**found, "median": middle, "ratio": ratio, "ratio_of_cpu_time": cpu_ratio},
        notes=[
            f"closed loop by {generator}, {chosen.connections} connections; `.delay` from one "
            f"thread and from {chosen.connections}; the better of the two is what counts",
            "one core for who accepts, the others for Redis and the generator"
            if share_cores().accepting
            else "one core for all: the rates are not those of a core",
            "where the gateway does not use up its core, the generator or Redis is the bound, or "
            "others take the core: then compare by CPU time",
        ],
    )
    report.tables.append(
        Table(
            f"Accepted a second: medians of {len(found['gateway'])} rounds",
            ["", "a second, on one core", "a second of its own CPU time", "of its core"],
            [[NAMES[name], *row.values()] for name, row in middle.items()],
        )
    )
    wait = fixed["wait_ms"]
    report.tables.append(
        Table(
            f"Milliseconds to a 202 at {FIXED_RATE:.0f} requests a second, open loop",
            ["n", "p50", "p99", "mean", "max", "answered a second", "of the gateway's core"],
            [
                [
                    *(wait[key] for key in ("n", "p50", "p99", "mean", "max")),
                    fixed["answered_per_s"],
                    fixed["gateway_cpu_share"],
                ]
            ],
        )
    )
    report.tables.append(batches_table(found["batches"]))
    report.targets += [
        Target(
            "longest script of a batch of 1,000 jobs, ms",
            max(row["held_ms"] for row in found["batches"][1:]),
            most=MOST_HELD_MS,
        ),
        Target("accepted a second beside `.delay`, one core each", ratio, least=LEAST_RATIO),
        Target("p99 to a 202, ms", wait["p99"], most=MOST_P99_MS),
    ]
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
