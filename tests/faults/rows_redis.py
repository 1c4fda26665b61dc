"""Redis is killed, cut off, or swallows what it is sent: rows 5 to 7."""

import time

from shared.steps import Step
from tests.faults.cluster import FaultCluster, Probes
from tests.faults.proxy import Mode
from tests.faults.rows_workers import steady, stream
from tests.faults.run import Run, row


def begun(cluster: FaultCluster, jobs: list[str]) -> list[tuple[str, int]]:
    """Return the segments of jobs that were begun, as often as they were."""
    rows = [r for e in cluster.log.since(0, Step.SYNTH_BEGUN) for r in e["segments"]]
    return [(job, index) for job, index, *_ in rows if job in jobs]


@row(
    5,
    "kill Redis; 3 s and 30 s away",
    "going again ≤ 10 s after it is back; no process restarts, no probe flips",
)
def redis_killed(run: Run) -> None:
    with run.cluster() as cluster:
        # Fast enough for what clients held back meanwhile: what is timed is the cluster's return,
        # and sixty jobs that come at once and share a slow device all end late.
        cluster.start_all(model="scripted:sleep_s=0.2", batch_max=2)
        with Probes(cluster) as probes, stream(cluster, per_s=2, sentences=2):
            for away_s in (3, 30, 3)[: run.times(3, quick=1)]:
                time.sleep(3)
                cluster.redis.kill()
                run.fault()
                time.sleep(away_s)
                cluster.redis.start()
                back = time.monotonic()
                cluster.event(Step.SUBMIT_RECORDED, after=back)
                cluster.event(Step.SYNTH_RECORDED, after=back)
                ended = cluster.event(Step.ASSEMBLE_RECORDED, after=back)
                run.recovered(ended["mono"] - back)
        run.must("no process was restarted", not cluster.supervisor.exits, cluster.supervisor.exits)
        steady(run, probes, 2000)  # a machine of two cores that starts a Redis
        run.must_recover_within(10)


@row(
    6,
    "a batch ends while Redis is away",
    "its audio is kept and finished, not rendered again",
)
def batch_ends_without_redis(run: Run) -> None:
    with run.cluster(proxied=True) as cluster:
        assert cluster.redis_proxy is not None
        cluster.start_all(synth=1, deliver=False, model="scripted:sleep_s=2")
        for attempt in range(run.times(4, quick=1)):
            job = cluster.submit(cluster.words(3))
            cluster.event(Step.SYNTH_BEGUN, job=job)
            if attempt % 2:
                cluster.redis.kill()
            else:
                cluster.redis_proxy.set(Mode.CUT)
            run.fault()
            cluster.event(Step.SYNTH_RENDERED, job=job)
            time.sleep(run.dice.uniform(1, 9))  # beyond the lease, or not
            if attempt % 2:
                cluster.redis.start()
            else:
                cluster.redis_proxy.set(Mode.PASS)
            back = time.monotonic()
            recorded = cluster.event(Step.SYNTH_RECORDED, job=job)
            run.recovered(recorded["mono"] - back)
            (view,) = cluster.wait_for([job])
            run.must("it succeeded", view["status"] == "succeeded", view["status"])
            run.must("it was rendered once", len(begun(cluster, [job])) == 3, begun(cluster, [job]))
        run.must_recover_within(10)


@row(7, "Redis black-holed, not closed", "consuming again ≤ 60 s")
def black_hole(run: Run) -> None:
    with run.cluster(proxied=True) as cluster:
        assert cluster.redis_proxy is not None
        cluster.start_all(model="scripted:sleep_s=0.3")
        for _ in range(run.times(2, quick=1)):
            before = cluster.submit(cluster.words(8))
            cluster.event(Step.SYNTH_BEGUN, job=before)
            cluster.redis_proxy.set(Mode.SILENT)
            run.fault()
            time.sleep(15)
            # New connections work; those of before stay silent for ever, as after a firewall's
            # restart.
            cluster.redis_proxy.set(Mode.FORGOTTEN)
            back = time.monotonic()
            after = cluster.submit(cluster.words(2), within_s=70)
            jobs = cluster.wait_for([before, after], 70)
            run.recovered(time.monotonic() - back)
            statuses = {job["status"] for job in jobs}
            run.must("both succeeded", statuses == {"succeeded"}, statuses)
            cluster.redis_proxy.set(Mode.PASS)
        run.must("no process was restarted", not cluster.supervisor.exits, cluster.supervisor.exits)
        run.must_recover_within(60)
