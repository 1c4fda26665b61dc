"""Workers that are killed, frozen, poisoned, recycled or restarted: rows 1, 2, 8 to 11, 16, 18."""

import itertools
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.report import percentile
from shared.bell import Stage, wakeup_template
from shared.steps import Step
from tests.faults.cluster import FaultCluster, Probes, runs
from tests.faults.events import Event
from tests.faults.run import RECOVERY_S, Run, row
from worker.engines.scripted import Fault
from worker.liveness import ALIVE_S

PROBE_P99_MS = 50.0


def begun_again(cluster: FaultCluster, event: Event, after: float, within_s: float = 40) -> Event:
    """Return when the first segment of a batch was begun again."""
    job, index, *_ = event["segments"][0]
    found = cluster.log.wait_for(
        Step.SYNTH_BEGUN,
        after=after,
        where=lambda e: any(row[:2] == [job, index] for row in e["segments"]),
        within_s=within_s,
    )
    assert found is not None, f"segment {index} of {job} was not begun again"
    return found


@row(
    1,
    "kill the synth child mid-batch",
    "rendering again ≤ 8 s + model load",
    quick=True,
    alone=True,
)
def synth_child(run: Run) -> None:
    load_s = 1.0
    with run.cluster() as cluster:
        model = f"scripted:sleep_s=1,load_s={load_s:g}"
        cluster.start_all(synth=1, deliver=False, model=model, batch_max=4)
        for _ in range(run.times(8, quick=2)):
            child = cluster.child("synth.0")
            job = cluster.submit(cluster.words(6))
            begun = cluster.event(Step.SYNTH_BEGUN, job=job)
            time.sleep(run.dice.uniform(0.05, 0.7))
            killed = cluster.kill(child)
            run.fault()
            run.recovered(begun_again(cluster, begun, killed)["mono"] - killed)
            cluster.wait_for([job])
        run.must_recover_within(RECOVERY_S + load_s)


@row(
    2,
    "kill the synth parent",
    "another worker renders ≤ 8 s; nothing left behind",
    quick=True,
    alone=True,
)
def synth_parent(run: Run) -> None:
    with run.cluster() as cluster:
        cluster.start_all(deliver=False, model="scripted:sleep_s=2", batch_max=4)
        for _ in range(run.times(6, quick=2)):
            job = cluster.submit(cluster.words(3))
            begun = cluster.event(Step.SYNTH_BEGUN, job=job)
            victim = begun["process"]
            left = cluster.children(victim)
            with cluster.supervisor.lying(victim):
                killed = cluster.kill_parent(victim)
                run.fault()
                again = begun_again(cluster, begun, killed)
                run.recovered(again["mono"] - killed)
                run.must("another worker took it", again["process"] != victim, again["process"])
                run.must("nothing is left of it", not runs(left), runs(left))
            cluster.wait_for([job])
            cluster.wait_until_ready()
        run.must_recover_within(RECOVERY_S)


@row(
    8,
    "SIGSTOP a worker past its lease, then SIGCONT",
    "the late finisher is refused",
    quick=True,
    alone=True,
)
def frozen_worker(run: Run) -> None:
    with run.cluster() as cluster:
        cluster.start_all(deliver=False, model="scripted:sleep_s=1.5", batch_max=4)
        for _ in range(run.times(4, quick=1)):
            lost_before = cluster.count("segments_lost")
            job = cluster.submit(cluster.words(2))
            begun = cluster.event(Step.SYNTH_BEGUN, job=job)
            frozen = cluster.freeze(begun["process"])
            run.fault()
            stopped = time.monotonic()
            again = begun_again(cluster, begun, stopped)
            run.recovered(again["mono"] - stopped)
            (before,) = cluster.wait_for([job])
            cluster.thaw(frozen)
            cluster.wait(lambda n=lost_before: cluster.count("segments_lost") > n, 20)  # type: ignore[misc]
            (after,) = cluster.wait_for([job])
            run.must("the outcome is the first one's", before["output"] == after["output"])
            run.must("its audio is whole", cluster.audio_is_whole(after))
            cluster.wait_until_ready()
        run.must_recover_within(RECOVERY_S)


@row(
    9,
    "a poison segment that kills the child, the parent, or hangs",
    "exactly 3 attempts, then `failed` with its code; its neighbours succeed",
    quick=True,
)
def poison(run: Run) -> None:
    faults = [Fault.KILL, Fault.KILL_PARENT, Fault.HANG]
    with run.cluster(render_timeout_s=3) as cluster:
        cluster.start_all(synth=1, deliver=False, model="scripted:sleep_s=0.2")
        for fault in faults[: run.times(3, quick=2)]:
            good = [cluster.submit(cluster.words()) for _ in range(3)]
            bad = cluster.submit(f"{cluster.words(2)}\n\nThis one says {fault} and dies.")
            good += [cluster.submit(cluster.words()) for _ in range(3)]
            run.fault()
            began = time.monotonic()
            (view,) = cluster.wait_for([bad])
            run.recovered(time.monotonic() - began)
            code = (view.get("error") or {}).get("code")
            run.must(
                f"{fault} fails as poison", (view["status"], code) == ("failed", "poison"), view
            )
            attempts = [e for e in cluster.log.read() if ends_with_segment(e, bad, 2)]
            run.must(f"{fault} was tried three times", len(attempts) == 3, len(attempts))
            neighbours = {found["status"] for found in cluster.wait_for(good)}
            run.must(f"{fault} harms no neighbour", neighbours == {"succeeded"}, neighbours)


def ends_with_segment(event: Event, job: str, index: int) -> bool:
    """Return whether an event is the beginning of one segment."""
    rows = event.get("segments", ())
    return event["event"] == Step.SYNTH_BEGUN and any(r[:2] == [job, index] for r in rows)


@row(10, "model load three times slower after a recycle", "comes back")
def slow_load(run: Run) -> None:
    with run.cluster(model_load_timeout_s=2) as cluster:
        model = "scripted:sleep_s=0.1,load_s=6"
        cluster.start_all(
            synth=1, deliver=False, model=model, recycle_after_jobs=1, recycle_jitter=0
        )
        for _ in range(run.times(4, quick=1)):
            cluster.wait_for([cluster.submit(cluster.words())])
            run.fault()
            began = time.monotonic()
            cluster.wait_for([cluster.submit(cluster.words())])
            run.recovered(time.monotonic() - began)
        cluster.wait(lambda: cluster.count("recycles") >= 2, 20)
        run.must_recover_within(6 + RECOVERY_S)


@contextmanager
def stream(cluster: FaultCluster, per_s: float, sentences: int = 1) -> Iterator[list[str]]:
    """Submit texts at a rate for the length of a block."""
    stopping = threading.Event()
    jobs: list[str] = []

    def go() -> None:
        due = time.monotonic()
        while not stopping.wait(max(0.0, due - time.monotonic())):
            due += 1 / per_s
            jobs.append(cluster.submit(cluster.words(sentences)))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield jobs
    finally:
        stopping.set()
        thread.join(70)


@row(
    11,
    "recycle every 5 jobs under load, two workers",
    "no stall over 1 s; probes steady",
    quick=True,
    alone=True,
)
def recycling(run: Run) -> None:
    with run.cluster() as cluster:
        # Jobs of a second each, so that a task is about a job, as where jobs are pages.
        cluster.start_all(
            deliver=False,
            model="scripted:sleep_s=0.9,load_s=1",
            recycle_after_jobs=5,
            batch_max=1,
        )
        before = cluster.count("recycles")
        with Probes(cluster) as probes, stream(cluster, per_s=1.4):
            began = time.monotonic() + 3
            time.sleep(run.times(60, quick=25))
            ended = time.monotonic()
        run.tried = int(cluster.count("recycles") - before)
        done = [e["mono"] for e in cluster.log.since(began, Step.SYNTH_BEGUN) if e["mono"] < ended]
        gaps = [b - a for a, b in itertools.pairwise(done)]
        for gap in gaps:
            run.recovered(max(0.0, gap - 1 / 1.4))
        run.must("children were replaced", run.tried >= run.times(6, quick=2), run.tried)
        stall_s = max(gaps, default=float("inf")) - 1 / 1.4
        run.must(f"no stall over {run.slack:g} s", stall_s <= run.slack, f"{stall_s:.2f} s")
        steady(run, probes)
        cluster.audit()


def steady(run: Run, probes: Probes, p99_ms: float = PROBE_P99_MS) -> None:
    """Say whether every probe was answered, and in time."""
    found = probes.found
    wait_ms = found.get("wait_ms", [])
    run.must("every probe was answered 200", not found.get("failed", 1), found.get("failures"))
    p99 = percentile(wait_ms or [math.inf], 99)
    p99_ms *= run.slack
    run.must(f"probes' p99 ≤ {p99_ms:g} ms", p99 <= p99_ms, f"{p99:.1f} ms, n = {len(wait_ms)}")
    oldest = found.get("oldest_alive_s", float("inf"))
    run.must(
        "no worker's liveness flipped", oldest < ALIVE_S, f"oldest sign of life {oldest:.1f} s"
    )


@row(
    16,
    "rolling restart with SIGTERM under load",
    "no attempt is used up if the batch fits the grace",
)
def rolling_restart(run: Run) -> None:
    with run.cluster() as cluster:
        cluster.start_all(model="scripted:sleep_s=0.3", batch_max=4)
        with stream(cluster, per_s=4, sentences=3):
            for _ in range(run.times(2, quick=1)):
                for name in list(cluster.supervisor.members):
                    process = cluster.supervisor.members[name].process
                    assert process is not None
                    process.terminate()
                    run.fault()
                    asked = time.monotonic()
                    process.wait(20)
                    cluster.wait_until_ready()
                    run.recovered(time.monotonic() - asked)
        cluster.audit()
        codes = {code for _, code in cluster.supervisor.exits}
        run.must("every process ended well", codes == {0}, cluster.supervisor.exits)
        rows = [r for e in cluster.log.since(0, Step.SYNTH_BEGUN) for r in e["segments"]]
        used = [r for r in rows if r[3] != 1]
        run.must("every segment took its first attempt", bool(rows) and not used, used[:5])
        run.must_recover_within(20)


@row(18, "the same wake-up ten times", "one rendering", quick=True)
def wakeups(run: Run) -> None:
    with run.cluster() as cluster:
        cluster.start_all(deliver=False, model="scripted:sleep_s=0.3")
        message = wakeup_template()
        for n in range(run.times(10, quick=3)):
            job = cluster.submit(cluster.words(3))
            for stage in Stage:
                rung = message.replace("@stage@", stage).replace("@id@", f"again-{n}")
                cluster.ledger.lpush(stage.queue, *[rung] * 10)
            run.fault()
            cluster.wait_for([job])
        cluster.wait(lambda: not any(cluster.ledger.llen(s.queue) for s in list(Stage)[:3]), 20)
        begun = [
            tuple(r[:2]) for e in cluster.log.since(0, Step.SYNTH_BEGUN) for r in e["segments"]
        ]
        run.must("each segment was rendered once", len(begun) == len(set(begun)), len(begun))
        planned = [e["job"] for e in cluster.log.since(0, Step.PLAN_RECORDED)]
        run.must("each job was planned once", len(planned) == len(set(planned)), len(planned))
