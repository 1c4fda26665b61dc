"""A day of a cluster under steady load: burst, killed worker, upgrade, Redis restart."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from shared.ledger.leases import WORKER_TTL_S
from shared.steps import Step
from tests.day.cluster import GATEWAYS, SYNTHS, WORKERS, DayCluster
from tests.day.load import Load
from tests.day.monitor import QueryFailed
from tests.day.panels import SCRAPES_IN_RATE, Watched, watch
from tests.day.release import Release, previous, this
from tests.faults.checker import Verdict, check
from tests.faults.cluster import StillNotSo
from tests.faults.events import read_events

MODEL = "scripted:sleep_s=0.1,sleep_per_audio_s=0.12"
"""The scripted engine, with a device that sleeps."""
DEVICE = ",leak_device_mib=0.001"
"""And one that pretends to have memory, which the release before this one can't."""
CAPACITY_PER_S = 8.0
"""Jobs of `load.SIZES` that two such workers can do in a second, about."""
STEADY = 0.35
"""Of capacity, all day."""
BURST = 4.0
"""Times capacity."""
VICTIM = "synth.0"
BUSY_MOST = 1.02
"""A device's share of the time, with what two scrapes may be apart in."""
SETTLE_S = 180.0
SAMPLE_RATE_HZ = 24_000


@dataclass(frozen=True)
class Timetable:
    """When what happens, in seconds from the day's beginning.

    Attributes:
        burst_s: how long the burst goes on.
        second_burst_s: how long another goes on, right before Redis is restarted.
        dead_s: how long nobody replaces the killed worker.
        replaced: what the upgrade replaces, in order; what is together is replaced together.
        doomed_every: of so many jobs one can only fail.
        calm_s: how long submissions go on after the last of it, at least.
        ends: when submissions end, at the earliest.
        recycle_after_jobs: tasks after which a synth worker's child is replaced.
        scrape_s: seconds between Prometheus' scrapes; None: as deployed.
        too_short_for: panels that show nothing in so short a time.
    """

    burst: float
    burst_s: float
    kill: float
    dead_s: float
    upgrade: float
    second_burst_s: float
    redis: float
    calm_s: float
    ends: float
    replaced: tuple[tuple[str, ...], ...] = tuple((name,) for name in (*WORKERS, *GATEWAYS))
    doomed_every: int = 150
    recycle_after_jobs: int = 30
    scrape_s: int | None = None
    too_short_for: tuple[str, ...] = ()


def timetable(minutes: float) -> Timetable:
    """Return a day of so many minutes."""
    whole = 60 * minutes
    return Timetable(
        burst=0.10 * whole,
        burst_s=0.04 * whole,
        kill=0.30 * whole,
        dead_s=0.12 * whole,
        upgrade=0.48 * whole,
        second_burst_s=0.02 * whole,
        redis=0.84 * whole,
        calm_s=0.08 * whole,
        ends=whole,
    )


QUICK = Timetable(
    burst=2,
    burst_s=3,
    kill=6,
    dead_s=WORKER_TTL_S + 4,
    upgrade=20,
    second_burst_s=2,
    redis=25,
    calm_s=8,
    ends=30,
    replaced=(("reconciler", "plan.0", "assemble.0", "synth.1"), ("synth.0",), ("gateway-a",)),
    doomed_every=12,
    recycle_after_jobs=12,
    scrape_s=1,
    too_short_for=("Cost of a million characters",),
)
"""Seconds of each, with several replaced together and some not at all, to see that it works."""


@dataclass
class Day:
    """One day.

    Attributes:
        folder: for all that it leaves.
        seed: of what is submitted, when, and what follows from it.
        happened: what was done, and when in seconds from the beginning.
        promises: what must hold: what, whether, and the figures.
        releases: names of the release before, or why there is none, and of this one.
    """

    folder: Path
    seed: int
    plan: Timetable
    happened: list[tuple[float, str]] = field(default_factory=list)
    promises: list[tuple[str, bool, str]] = field(default_factory=list)
    releases: tuple[str, str] = ("", "")
    verdict: Verdict | None = None
    watched: Watched | None = None
    load: Load | None = None
    audio_s: float = 0.0
    stored_bytes: int = 0
    say: Callable[[str], None] = lambda line: None
    gateway_names: tuple[str, ...] = ()
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _began: float = 0.0
    _upgraded_at: float = 0.0
    _scrape_s: int = 0

    def run(self) -> None:
        """Live through it; what came of it is in the attributes."""
        older = previous(self.folder / "previous")
        old = older if isinstance(older, Release) else this()
        self.releases = (
            older.name if isinstance(older, Release) else f"the same code, since {older}",
            this().name,
        )
        cluster = DayCluster(
            self.folder / "cluster",
            seed=self.seed,
            release=old,
            scrape_s=self.plan.scrape_s,
            synth={
                "model": MODEL,
                "batch_max": 8,
                "recycle_after_jobs": self.plan.recycle_after_jobs,
            },
        )
        try:
            cluster.start_everything()
            cluster.wait_until_scraped()
            self._live(cluster)
        except (StillNotSo, QueryFailed, httpx.HTTPError) as error:
            self._must("everything came about in time", False, repr(error))
        finally:
            cluster.stop()
        self.verdict = check(read_events(cluster.log.path.read_text().splitlines()))
        self._judge(self.verdict)

    def _must(self, what: str, held: bool, detail: object = "") -> None:
        self.promises.append((what, bool(held), str(detail)))

    def _live(self, cluster: DayCluster) -> None:
        self._began = time.monotonic()
        self._scrape_s = cluster.monitor.scrape_s
        self.gateway_names = tuple(f"gateway {target}" for target in cluster.targets)
        began_at = time.time()
        load = self.load = Load(cluster, self.seed, STEADY * CAPACITY_PER_S, self.plan.doomed_every)
        load.start()
        try:
            self._until(self.plan.burst)
            self._burst(cluster, load, self.plan.burst_s)
            self._kill(cluster, load)
            self._upgrade(cluster, load)
            self._restart_redis(cluster, load)
            self._until(self.plan.ends)
        finally:
            load.stop()
        self._note("submissions end")
        cluster.wait(lambda: _none_open(cluster), SETTLE_S)
        self._note("all has ended")
        cluster.monitor.wait_for_scrape()
        self.watched = watch(cluster.monitor, began_at, time.time())
        self._must("every target is scraped at the end", not cluster.monitor.unscraped())
        cluster.audit()
        self._hear(cluster, load)
        ended_otherwise = [found for found in cluster.supervisor.exits if found[0] != VICTIM]
        self._must("no process ended by itself", not ended_otherwise, ended_otherwise)
        unwell = [found for found in cluster.endings if found[1] != 0]
        self._must("every replaced process ended well", not unwell, unwell)

    # What happens

    def _note(self, what: str) -> None:
        at = time.monotonic() - self._began
        self.happened.append((round(at, 1), what))
        self.say(f"{at:6.1f} s  {what}")

    def _until(self, at: float) -> None:
        time.sleep(max(0.0, self._began + at - time.monotonic()))

    @contextmanager
    def _phase(self, load: Load, name: str) -> Iterator[None]:
        load.phase = name
        yield
        load.phase = "steady"

    def _burst(self, cluster: DayCluster, load: Load, lasts_s: float) -> None:
        steady = load.per_s
        with self._phase(load, "burst"):
            load.per_s = BURST * CAPACITY_PER_S
            self._note(f"a burst of {load.per_s:g} jobs a second, {BURST:g} times capacity")
            time.sleep(lasts_s)
            load.per_s = steady
        waiting = int(cluster.ledger.get("kc:queued_jobs") or 0)
        self._note(f"the burst is over; {waiting} jobs are open")

    def _kill(self, cluster: DayCluster, load: Load) -> None:
        self._until(self.plan.kill)
        with self._phase(load, "killed worker"), cluster.supervisor.lying(VICTIM):
            begun = cluster.log.wait_for(
                Step.SYNTH_BEGUN,
                after=time.monotonic(),
                where=lambda event: event["process"] == VICTIM,
                within_s=30,
            )
            cluster.kill_parent(VICTIM)
            self._must("the worker was killed in a batch that it had just begun", begun is not None)
            self._note(f"{VICTIM} is killed with SIGKILL in a batch")
            time.sleep(self.plan.dead_s)
        cluster.wait(lambda: cluster.loaded(VICTIM), 120)
        self._note(f"{VICTIM} works again")

    def _upgrade(self, cluster: DayCluster, load: Load) -> None:
        self._until(self.plan.upgrade)
        cluster.release = this()
        cluster.synth["model"] = MODEL + DEVICE
        with self._phase(load, "upgrade"):
            self._note(f"upgrade from {self.releases[0]} to {self.releases[1]}")
            for names in self.plan.replaced:
                began = time.monotonic()
                cluster.replace(*names)
                took_s = time.monotonic() - began
                self._note(f"{' and '.join(names)} replaced in {took_s:.1f} s")
            self._upgraded_at = time.time()

    def _restart_redis(self, cluster: DayCluster, load: Load) -> None:
        self._until(self.plan.redis)
        cluster.monitor.wait_for_scrape()
        # Once more, for what only this release's gateways show.
        self._burst(cluster, load, self.plan.second_burst_s)
        with self._phase(load, "Redis restart"):
            self._note("Redis is told to stop")
            away_s = cluster.restart_redis()
            self._note(f"Redis is back after {away_s:.2f} s")
            time.sleep(self.plan.calm_s)

    # What came of it

    def _hear(self, cluster: DayCluster, load: Load) -> None:
        """Look at every job's end, and at every byte that the store has for it."""
        jobs = list(load.expected)

        def look(some: list[str]) -> list[tuple[str, str, float, int]]:
            with httpx.Client(
                base_url=cluster.url, timeout=30, trust_env=False, follow_redirects=True
            ) as client:
                return [_heard(client, cluster.s3_url, job) for job in some]

        parts = [jobs[at : at + 50] for at in range(0, len(jobs), 50)]
        with ThreadPoolExecutor(4) as pool:
            found = [one for some in pool.map(look, parts) for one in some]
        wrong = [
            f"{job}: {state}, expected {load.expected[job]}"
            for job, (state, *_) in zip(jobs, found, strict=True)
            if state != load.expected[job]
        ]
        self.audio_s = sum(audio_s for _, _, audio_s, _ in found)
        self.stored_bytes = sum(size for *_, size in found)
        by_s3 = sum(where == "s3" for _, where, *_ in found)
        whole = sum(state == "succeeded" for state, *_ in found)
        self._must("every job ended as it had to, its audio complete", not wrong, wrong[:5])
        self._must("all audio came out of S3", by_s3 == whole, f"{by_s3} of {whole}")

    def _judge(self, verdict: Verdict) -> None:
        load = self.load
        self._must("nothing was lost", not verdict.count("lost"), verdict.count("lost"))
        self._must("nothing had two outcomes", not verdict.count("double"), verdict.count("double"))
        broken = [str(violation) for violation in verdict.violations]
        self._must("the event log proves all of it", not broken, broken[:5])
        if load is None:
            return
        self._must("jobs were accepted", verdict.accepted > 0, verdict.accepted)
        self._must("no client gave up", not load.refusals, load.refusals[:5])
        self._must("streams were heard to their end", load.streams["whole"] > 0, load.streams)
        if self.watched is not None:
            self.see(self.watched)

    def see(self, watched: Watched) -> None:
        """Say whether the dashboard shows the day."""
        blank = [
            f"{t.panel}: {t.legend}"
            for t in watched.targets
            if not t.shows_something and t.panel not in self.plan.too_short_for
        ]
        self._must("every query of the dashboard shows something", not blank, blank)
        backlog_s = watched.most("Audio that waits", "all")
        self._must(
            "the burst is seen in the backlog", backlog_s > 10, f"{backlog_s:.0f} s of audio"
        )
        age_s = watched.most("Age of the queue", "synth")
        self._must("the burst is seen in the queue's age", age_s > 1, f"{age_s:.1f} s")
        synths = watched.values("Workers", "synth")
        least, most = min(synths, default=0), max(synths, default=0)
        counts = f"{least:g} to {most:g} synth workers"
        self._must(
            "the worker's death is seen, and none counted twice", (least, most) == (1, 2), counts
        )
        self._must("the Redis restart is seen", watched.falls("Age of processes", "Redis") == 1)
        rolled = {name for names in self.plan.replaced for name in names} & set(GATEWAYS)
        fallen = sum(watched.falls("Age of processes", name) for name in self.gateway_names)
        self._must("the gateways' upgrade is seen", fallen == len(rolled), f"{fallen}")
        if set(SYNTHS) <= {name for names in self.plan.replaced for name in names}:
            # Before it, one release counts what the other doesn't.
            settled = self._upgraded_at + (SCRAPES_IN_RATE + 1) * self._scrape_s
            full = watched.values("How full batches are", "without padding", after=settled)
            most = max(full, default=0)
            self._must("no batch is fuller than full", 0 < most <= 1, f"{most:.3f}")
            busy = [
                max(watched.values("Devices' busy share", name, after=settled), default=0)
                for name in SYNTHS
            ]
            self._must("no device is busier than always", max(busy) <= BUSY_MOST, busy)
        critical = [a.name for a in watched.alerts if a.firing_s and a.severity == "critical"]
        self._must("no critical alert fires", not critical, critical)

    @property
    def broken(self) -> list[str]:
        """What did not hold, a line each."""
        return [f"{what}: {detail}" for what, held, detail in self.promises if not held]


def _none_open(cluster: DayCluster) -> bool:
    """Return whether no job is open and no webhook due."""
    return not int(cluster.ledger.get("kc:queued_jobs") or 0) and not cluster.ledger.zcard("kc:due")


def _heard(client: httpx.Client, s3_url: str, job: str) -> tuple[str, str, float, int]:
    """Return how a job ended, from where its audio came, its seconds, and its bytes.

    A job that succeeded without its audio being whole ended `incomplete`.
    """
    view: dict[str, Any] = client.get(f"/v1/jobs/{job}").raise_for_status().json()
    if view["status"] != "succeeded":
        return str(view["status"]), "", 0.0, 0
    output, progress = view["output"], view["progress"]
    answer = client.get(f"/v1/jobs/{job}/audio")
    whole = (
        answer.is_success
        and sha256(answer.content).hexdigest() == output["sha256"]
        and len(answer.content) == output["bytes"]
        and progress["segments_done"] == progress["segments_total"] > 0
    )
    if output["format"] == "wav":
        samples = round(output["audio_s"] * SAMPLE_RATE_HZ)
        whole = whole and len(answer.content) - 2 * samples in range(0, 200)
    where = "s3" if str(answer.url).startswith(s3_url) else "gateway"
    return "succeeded" if whole else "incomplete", where, output["audio_s"], len(answer.content)
