"""Ten thousand jobs under random kills, and clocks that jump: rows 19 and 20."""

import json
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

from shared.steps import Step
from tests.faults.cluster import FaultCluster
from tests.faults.rows_workers import begun_again, stream
from tests.faults.run import RECOVERY_S, CannotTry, Run, row
from tests.faults.soak import Soak


@row(
    19,
    "10,000 jobs with random kills, seeded",
    "memory, descriptors, files, GPU memory flat; all accepted ended once",
)
def many_jobs(run: Run) -> None:
    soak = Soak(
        run.folder / "soak",
        run.dice.getrandbits(32),
        minutes=30,
        jobs=run.times(10_000, quick=200),
        least_minutes=run.times(5, quick=0),  # in two, pools that still fill look like growth
        sizes=(1, 1, 1, 2, 3),
    )
    soak.run()
    run.tried = sum(soak.kills.values())
    if soak.verdict is not None:
        run.verdicts.append(soak.verdict)
    run.must("all came about in time", not soak.trouble, soak.trouble)
    for growth in soak.growths:
        what = f"{growth.role}: {growth.measure} is flat"
        run.must(what, not growth.leaks, f"{growth.per_min:+.2f} a minute, of {growth.last:.0f}")


def build_clock(folder: Path) -> Path:
    """Return a library that sets the clock off of a program it is loaded before.

    Raises:
        CannotTry: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        raise CannotTry("setting a program's clock off takes Linux and a C compiler")
    built = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return built


class Clock:
    """The wall clock of the programs that run with its environment."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self._file.write_bytes(struct.pack("d", 0.0))
        self.environment = {"LD_PRELOAD": str(library), "FAULT_CLOCK": str(file)}

    def jump(self, seconds: float) -> None:
        """Be so far from the true time from now on."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", seconds))


def redis_is_off(cluster: FaultCluster) -> float:
    """Return by how many seconds Redis's clock is ahead of this machine's."""
    return float(cluster.ledger.time()[0]) - time.time()


def worker_is_off(cluster: FaultCluster) -> float:
    """Return the same of the first synth worker's clock, less the age of its last word."""
    row = json.loads(cluster.ledger.get("kc:worker:synth.0") or "{}")
    return float(row["heartbeat_at"]) - time.time()


@row(20, "a host's clock jumps ± 60 s", "no lease lost or stuck")
def clocks(run: Run) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    library = build_clock(run.folder)
    redis, workers = (Clock(library, run.folder / f"{who}.clock") for who in ("redis", "workers"))
    with run.cluster(redis_environment=redis.environment) as cluster:
        model = "scripted:sleep_s=0.5"
        cluster.start("gateway", "gateway")
        cluster.start("reconciler", "reconciler", env=workers.environment)
        for stage in ("plan", "assemble", "deliver"):
            cluster.start_stage(stage)
        cluster.start_stage("synth", 0, env=workers.environment, model=model, batch_max=2)
        cluster.start_stage("synth", 1, model=model, batch_max=2)
        cluster.wait_until_ready()
        with stream(cluster, per_s=2, sentences=2):
            for clock in (workers, redis):
                for jump_s in (60.0, 0.0, -60.0, 0.0)[: run.times(4, quick=2)]:
                    time.sleep(2)
                    clock.jump(jump_s)
                    run.fault()
                    time.sleep(6)  # longer than a lease and the grace
                    off_s = redis_is_off(cluster) if clock is redis else worker_is_off(cluster)
                    told = f"{off_s:+.1f} s for {jump_s:+.0f} s"
                    run.must("the clock did jump", abs(off_s - jump_s) < 5, told)
        rows = [r for e in cluster.log.since(0, Step.SYNTH_BEGUN) for r in e["segments"]]
        used = [r for r in rows if r[3] != 1]
        run.must("no lease was lost", bool(rows) and not used, used[:5])
        cluster.audit()
        _a_death_after_a_jump(run, cluster, redis)
        run.must_recover_within(2 * RECOVERY_S)


def _a_death_after_a_jump(run: Run, cluster: FaultCluster, redis: Clock) -> None:
    """Kill a worker as Redis's clock goes back: its lease must not last a minute longer."""
    for jump_s in (-60.0, 0.0):
        job = cluster.submit(cluster.words(8))
        begun = cluster.event(Step.SYNTH_BEGUN, job=job)
        with cluster.supervisor.lying(begun["process"]):
            redis.jump(jump_s)
            killed = cluster.kill_parent(begun["process"])
            run.fault()
            run.recovered(begun_again(cluster, begun, killed)["mono"] - killed)
        cluster.wait_for([job])
        cluster.wait_until_ready()
