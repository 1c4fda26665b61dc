"""Receivers that misbehave, and a deliverer that is killed: rows 14 and 15."""

import math
import time
from collections import Counter
from pathlib import Path

from benchmarks.report import percentile
from shared.steps import Step, crash_marker
from tests.faults.receivers import INSIDE
from tests.faults.run import Run, row

SHIM = Path(__file__).with_name("names")
"""A folder whose `sitecustomize` gives names under `.test` the addresses it is told to."""


@row(
    14,
    "receivers that hang, drip, answer 500, redirect inward, rebind their DNS",
    "healthy deliveries p99 < 2 s; no connection to a private address",
    quick=True,
)
def bad_receivers(run: Run) -> None:
    with run.cluster(webhook_timeout_s=5) as cluster:
        here = "ok.test=127.0.0.1,hang.test=127.0.0.1,drip.test=127.0.0.1,500.test=127.0.0.1,"
        here += "inward.test=127.0.0.1,"
        path = f"{SHIM}:{Path(__file__).parents[2]}"
        # At submission the name is harmless; when it is called it has moved inside.
        names = {"PYTHONPATH": path, "FAULT_NAMES": here + "rebind.test=127.0.0.1"}
        moved = {"PYTHONPATH": path, "FAULT_NAMES": here + f"rebind.test={INSIDE}"}
        cluster.start("gateway", "gateway", env=names)
        cluster.start("reconciler", "reconciler")
        for stage in ("plan", "synth", "assemble"):
            cluster.start_stage(stage)
        cluster.start("deliver.0", "worker", "deliver", "--name", "0", env=moved)
        cluster.wait_until_ready()
        bad = ["hang", "drip", "500", "inward"]
        healthy, moved_in = [], []
        for _ in range(run.times(20, quick=8)):
            for kind in bad:
                cluster.submit(
                    cluster.words(),
                    webhook={"url": cluster.receivers.url(kind, f"{kind}.test")},
                )
                run.fault()
            trap = f"http://rebind.test:{cluster.receivers.inside_port}/"
            moved_in.append(cluster.submit(cluster.words(), webhook={"url": trap}))
            run.fault()
            url = cluster.receivers.url("ok", "ok.test")
            healthy.append(cluster.submit(cluster.words(), webhook={"url": url}))
        cluster.wait_for(cluster.accepted)
        for job in healthy:
            cluster.event("received", job=job)
        events = cluster.log.read()
        ended = {e["job"]: e["mono"] for e in events if e["event"] == "ended"}
        got = [e for e in events if e["event"] == "received"]
        for event in got:
            if event["job"] in healthy:
                run.recovered(event["mono"] - ended[event["job"]])
        p99 = percentile(run.recoveries_s or [math.inf], 99)
        bound_s = 2 * run.slack
        run.must(f"healthy deliveries' p99 < {bound_s:g} s", p99 < bound_s, f"{p99:.3f} s")
        kinds = Counter(event["kind"] for event in got)
        run.must("every kind was called", {"ok", *bad} <= set(kinds), dict(kinds))
        run.must("every body was signed", all(event["signed"] for event in got))
        refused = {e["job"] for e in events if e["event"] == Step.DELIVER_SENT and not e["status"]}
        run.must("deliveries to a name that moved inside were tried", bool(refused & set(moved_in)))
        run.must("nothing connected inside", cluster.receivers.trapped == 0)


@row(
    15,
    "kill the deliverer after the send, before the record",
    "the repeat has the same id and the same bytes",
    quick=True,
)
def deliverer_killed(run: Run) -> None:
    step = Step.DELIVER_SENT
    with run.cluster() as cluster:
        cluster.start_all(synth=1, deliver=False)
        cluster.start_stage("deliver", crash_at=step)
        cluster.wait_until_ready()
        for _ in range(run.times(5, quick=1)):
            marker = crash_marker(cluster.settings.run_dir, step)
            marker.unlink(missing_ok=True)
            began = time.monotonic()
            url = cluster.receivers.url("ok")
            job = cluster.submit(cluster.words(), webhook={"url": url})
            cluster.wait(marker.exists)
            run.fault()
            died = cluster.event("cut", after=began)["mono"]
            again = cluster.event("received", job=job, after=died)
            run.recovered(again["mono"] - died)
            got = [e for e in cluster.log.since(began, "received") if e["job"] == job]
            same = {(event["delivery"], event["body_sha256"]) for event in got}
            run.must("it was sent again", len(got) == 2, len(got))
            run.must("with the same id and the same bytes", len(same) == 1, same)
            cluster.event(Step.DELIVER_RECORDED, job=job)
            cluster.wait_for([job])
        run.must_recover_within(15)
