"""A long run under random kills: is anything lost, and does anything grow?

    python -m tests.faults.soak --minutes 10 --seed 1 --png out/soak.png --json out/soak.json
    python -m tests.faults.soak --minutes 2 --leak-kib 256      # must end with 1: it leaks

Jobs of mixed size are submitted while processes, and Redis itself, are killed or frozen at random.
The second worker of each stage is left alone, so that there are processes that grow old.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from benchmarks.report import Report, Table, options
from shared.ledger.scripts import text
from tests.faults.checker import Verdict, check
from tests.faults.cluster import FaultCluster, StillNotSo
from tests.faults.events import read_events
from tests.faults.samples import Growth, Sample, Sampler, growths

SAMPLE_EVERY_S = 1.0
OUTSTANDING_MOST = 150
CLIENTS = 6
KILL_EVERY_S = (3.0, 9.0)
SETTLE_S = 120.0
"""How long after the last submission everything must have ended."""


@dataclass
class Soak:
    """One run.

    Attributes:
        minutes: how long jobs are submitted; None: until there are `jobs`.
        jobs: how many are enough; None: as many as fit.
        least_minutes: it goes on for so long though there are enough.
        leak_kib: memory the engine keeps at each batch.
        sizes: segments of a job, chosen evenly.
    """

    folder: Path
    seed: int
    minutes: float | None = 10.0
    jobs: int | None = None
    least_minutes: float = 0.0
    leak_kib: int = 0
    kill: bool = True
    sizes: Sequence[int] = (1, 1, 1, 2, 3, 5, 8, 20, 60)
    model: str = "scripted:sleep_s=0.02,sleep_per_audio_s=0.001"
    kills: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    verdict: Verdict | None = None
    trouble: list[str] = field(default_factory=list)
    _began: float = field(init=False, default=0.0)

    def run(self) -> None:
        """Do it; what came of it is in the attributes."""
        cluster = FaultCluster(self.folder, seed=self.seed)
        try:
            self._start(cluster)
            self._soak(cluster)
            cluster.wait(lambda: _none_open(cluster), SETTLE_S)
            cluster.audit()
        except StillNotSo as error:
            self.trouble.append(f"{error}; open: {_what_is_open(cluster)}")
        finally:
            cluster.stop()
        self.verdict = check(read_events(cluster.log.path.read_text().splitlines()))

    def _start(self, cluster: FaultCluster) -> None:
        leak = f",leak_kib={self.leak_kib}" if self.leak_kib else ""
        cluster.start("gateway", "gateway")
        cluster.start("reconciler", "reconciler")
        for number in (0, 1):
            for stage in ("plan", "assemble", "deliver"):
                cluster.start_stage(stage, number, assemble_workers=1, deliver_workers=8)
            cluster.start_stage(
                "synth",
                number,
                model=self.model + leak,
                batch_max=16,
                recycle_after_jobs=5000,  # else no child would grow old enough to be judged
            )
        cluster.wait_until_ready()

    def _soak(self, cluster: FaultCluster) -> None:
        stopping = threading.Event()
        sampler = Sampler(cluster)
        self._began = time.monotonic()
        work: list[Callable[[], None]] = [lambda: self._submit(cluster, stopping)] * CLIENTS
        if self.kill:
            work.append(lambda: self._kill(cluster, stopping))
        threads = [threading.Thread(target=self._try, args=(call,), daemon=True) for call in work]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60 * (self.minutes or 60)
        while time.monotonic() < until and not self._enough(cluster):
            sampler.look()
            time.sleep(SAMPLE_EVERY_S)
        stopping.set()
        for thread in threads:
            thread.join(90)
        self.samples = sampler.samples

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # a thread that ends early would make the run an easy one
            self.trouble.append(f"the harness failed: {error!r}")

    def _enough(self, cluster: FaultCluster) -> bool:
        enough = self.jobs is not None and len(cluster.accepted) >= self.jobs
        return enough and time.monotonic() - self._began >= 60 * self.least_minutes

    def _submit(self, cluster: FaultCluster, stopping: threading.Event) -> None:
        while not stopping.is_set() and not self._enough(cluster):
            if _outstanding(cluster) > OUTSTANDING_MOST:
                stopping.wait(0.1)
                continue
            body: dict[str, Any] = {"speed": 4}
            if cluster.random.random() < 0.3:
                body["webhook"] = {"url": cluster.receivers.url("ok")}
            try:
                cluster.submit(cluster.words(cluster.random.choice(self.sizes)), **body)
            except StillNotSo as error:
                self.trouble.append(str(error))

    def _kill(self, cluster: FaultCluster, stopping: threading.Event) -> None:
        harms: dict[str, Callable[[], object]] = {
            "synth child": lambda: cluster.kill(cluster.child("synth.0")),
            "synth worker": lambda: cluster.kill_parent("synth.0"),
            "plan child": lambda: cluster.kill(cluster.child("plan.0")),
            "plan worker": lambda: cluster.kill_parent("plan.0"),
            "assemble child": lambda: cluster.kill(cluster.child("assemble.0")),
            "assemble worker": lambda: cluster.kill_parent("assemble.0"),
            "deliver worker": lambda: cluster.kill_parent("deliver.0"),
            "gateway": lambda: cluster.kill_parent("gateway"),
            "reconciler": lambda: cluster.kill_parent("reconciler"),
            "redis": lambda: _restart_redis(cluster),
            "freeze": lambda: _freeze(cluster, "synth.0", stopping),
        }
        while not stopping.wait(cluster.random.uniform(*KILL_EVERY_S)):
            name = cluster.random.choice(sorted(harms))
            with contextlib.suppress(StillNotSo):  # it is only just starting again
                harms[name]()
                self.kills[name] = self.kills.get(name, 0) + 1

    @property
    def growths(self) -> list[Growth]:
        """How much everything grew."""
        return growths(self.samples)

    @property
    def broken(self) -> list[str]:
        """What did not hold, a line each."""
        leaks = [
            f"leak: {g.role}: {g.measure} grows by {g.per_min:.2f} a minute"
            for g in self.growths
            if g.leaks
        ]
        violations = (
            [str(violation) for violation in self.verdict.violations] if self.verdict else []
        )
        return [*self.trouble, *violations, *leaks]


def _outstanding(cluster: FaultCluster) -> int:
    try:
        return int(cluster.ledger.get("kc:queued_jobs") or 0)
    except RedisError:
        return OUTSTANDING_MOST + 1


def _none_open(cluster: FaultCluster) -> bool:
    """Return whether no job is open and no webhook due."""
    try:
        return _outstanding(cluster) == 0 and cluster.ledger.zcard("kc:due") == 0
    except RedisError:
        return False


def _what_is_open(cluster: FaultCluster) -> str:
    ledger = cluster.ledger
    if cluster.redis.process is None or cluster.redis.process.poll() is not None:
        return "no Redis"
    names = (
        "kc:queue:plan",
        "kc:queue:redo",
        "kc:render_since",
        "kc:queue:assemble",
        "kc:queue:assemble:long",
    )
    waiting = {name: ledger.zcard(name) for name in (*names, "kc:due")}
    held = [text(key) for key in ledger.keys("kc:held:*")]
    return f"{_outstanding(cluster)} jobs; waiting {waiting}; held by {held}"


def _restart_redis(cluster: FaultCluster) -> None:
    cluster.redis.kill()
    cluster.log.write("redis-killed")
    time.sleep(1)
    cluster.supervisor.have_started(cluster.redis.start)


def _freeze(cluster: FaultCluster, name: str, stopping: threading.Event) -> None:
    pids = cluster.freeze(name)
    stopping.wait(9)
    cluster.thaw(pids)


def plot(soak: Soak, path: Path) -> None:
    """Draw what was sampled, a panel a measure, a line a process."""
    import matplotlib  # noqa: PLC0415 - only where a picture is wanted

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    measures = ["memory_mib", "descriptors", "threads", "files"]
    names = ["memory, MiB", "open descriptors", "threads", "files of the workers"]
    roles = sorted({sample.role for sample in soak.samples})
    colours = dict(zip(roles, plt.get_cmap("tab20").colors, strict=False))  # type: ignore[attr-defined]
    figure, axes = plt.subplots(len(measures), 1, figsize=(11, 13), sharex=True)
    for axis, measure, name in zip(axes, measures, names, strict=True):
        lines: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for sample in soak.samples:
            if measure in sample.values:
                lines.setdefault((sample.role, sample.pid), []).append(
                    (sample.at_s / 60, sample.values[measure])
                )
        labelled = set()
        for (role, _), points in lines.items():
            label = None if role in labelled else role
            labelled.add(role)
            axis.plot(*zip(*points, strict=True), color=colours[role], lw=0.9, label=label)
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        if measure == "memory_mib":
            axis.legend(ncol=4, fontsize=7, loc="upper left", bbox_to_anchor=(0, 1.32))
    axes[-1].set_xlabel("minutes")
    total = sum(soak.kills.values())
    state = "flat" if not soak.broken else "NOT FLAT"
    figure.suptitle(
        f"{len({s.pid for s in soak.samples})} processes, {total} kills: {state}", y=0.995
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def report(soak: Soak, title: str) -> Report:
    """Return what came of a run."""
    made = Report(
        "soak",
        title,
        "texts of unique sentences",
        "the scripted engine",
        quick=(soak.minutes or 10) < 5,
    )
    rows = [
        [
            g.role,
            g.measure,
            g.first,
            g.last,
            g.per_min,
            g.error_per_min,
            g.processes,
            "**leaks**" if g.leaks else "flat",
        ]
        for g in soak.growths
    ]
    columns = [
        "process",
        "measure",
        "first",
        "last",
        "grows a minute",
        "± error",
        "processes",
        "verdict",
    ]
    made.tables.append(Table("Growth", columns, rows))
    assert soak.verdict is not None
    kills = ", ".join(f"{name} {count}" for name, count in sorted(soak.kills.items()))
    made.notes += [
        f"{soak.verdict.accepted} jobs accepted, {soak.verdict.count('lost')} lost, "
        f"{soak.verdict.count('double')} with two outcomes",
        f"harm done: {kills or 'none'}",
        *(f"**broken**: {line}" for line in soak.broken[:20]),
    ]
    made.figures = {
        "accepted": soak.verdict.accepted,
        "lost": soak.verdict.count("lost"),
        "double": soak.verdict.count("double"),
        "kills": soak.kills,
        "growths": [{**vars(g), "leaks": g.leaks} for g in soak.growths],
        "broken": soak.broken,
    }
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak; exit with 1 if something was lost or grew."""
    parser: argparse.ArgumentParser = options(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--leak-kib", type=int, default=0, help="what the engine keeps of each batch"
    )
    parser.add_argument("--no-kills", action="store_true", help="only submit and sample")
    keep = "keep logs and the event log in this folder, if something did not hold"
    parser.add_argument("--keep", type=Path, help=keep)
    parser.add_argument("--png", type=Path, help="draw what was sampled")
    wanted = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    minutes = 1.0 if wanted.quick else wanted.minutes
    folder = Path(tempfile.mkdtemp(prefix="kc-soak-"))
    try:
        soak = Soak(
            folder, wanted.seed, minutes, leak_kib=wanted.leak_kib, kill=not wanted.no_kills
        )
        soak.run()
    finally:
        if wanted.keep and soak.broken:
            ignored = shutil.ignore_patterns("objects", "redis")
            shutil.copytree(folder, wanted.keep, dirs_exist_ok=True, ignore=ignored)
        shutil.rmtree(folder, ignore_errors=True)
    title = f"{minutes:g} minutes of jobs under random kills, seed {wanted.seed}"
    report(soak, title).publish(wanted.json)
    if wanted.png:
        plot(soak, wanted.png)
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
