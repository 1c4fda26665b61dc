"""The store is slow, away, or does what it is asked and says it did not: row 13."""

import time
from collections import Counter

from shared.steps import Step
from tests.faults.cluster import FaultCluster
from tests.faults.proxy import Mode, Proxy
from tests.faults.rows_redis import begun
from tests.faults.run import Run, row


@row(
    13,
    "store 30 s slow; away for 5 minutes; 500 after the write",
    "each audio stored once, bytes right, finished audio not rendered again",
)
def store(run: Run) -> None:
    with run.cluster(bucket=True) as cluster:
        proxy = cluster.store_proxy
        assert proxy is not None
        cluster.start_all(deliver=False, model="scripted:sleep_s=0.5", batch_max=4)
        jobs = [cluster.submit(cluster.words(6)) for _ in range(3)]
        cluster.event(Step.SYNTH_RENDERED, job=jobs[0])
        proxy.delay_s = 3.0
        run.fault()
        time.sleep(run.times(30, quick=5))
        proxy.delay_s = 0.0
        _finished(run, cluster, jobs)

        jobs = [cluster.submit(cluster.words(6)) for _ in range(3)]
        cluster.event(Step.SYNTH_BEGUN, job=jobs[0])
        proxy.set(Mode.CUT)
        run.fault()
        time.sleep(run.times(300, quick=10))
        proxy.set(Mode.PASS)
        _finished(run, cluster, jobs)

        _fail_writes(run, cluster, proxy)
        stored = Counter(key.split("/")[1] for key in _keys(cluster) if key.startswith("segments/"))
        run.must("each audio is stored once", max(stored.values()) == 1, stored.most_common(2))


def _fail_writes(run: Run, cluster: FaultCluster, proxy: Proxy) -> None:
    for _ in range(run.times(3, quick=1)):
        jobs = [cluster.submit(cluster.words(4)) for _ in range(2)]
        cluster.event(Step.SYNTH_BEGUN, job=jobs[0])
        proxy.set(Mode.FAIL_WRITES)
        run.fault()
        time.sleep(run.dice.uniform(4, 10))
        proxy.set(Mode.PASS)
        _finished(run, cluster, jobs)


def _finished(run: Run, cluster: FaultCluster, jobs: list[str]) -> None:
    back = time.monotonic()
    views = cluster.wait_for(jobs, 120)
    run.recovered(time.monotonic() - back)
    statuses = {view["status"] for view in views}
    run.must("all succeeded", statuses == {"succeeded"}, statuses)
    whole = all(cluster.audio_is_whole(view) for view in views if view["status"] == "succeeded")
    run.must("bytes are right", whole)
    rows = begun(cluster, jobs)
    run.must("nothing was rendered again", len(rows) == len(set(rows)), len(rows))


def _keys(cluster: FaultCluster) -> list[str]:
    """Return what is stored: `segments/<hash>` and the rest, below the store's prefix."""
    found = []
    for key in cluster.objects():
        parts = key.split("/")
        found.append(f"segments/{parts[2]}" if parts[0] == "segments" else key)
    return found
