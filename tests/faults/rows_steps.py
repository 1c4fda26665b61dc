"""A process dies at each named step of a job's way, once: row 3."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.steps import Step
from tests.faults.cluster import FaultCluster
from tests.faults.run import Run, row
from worker.engines.scripted import Fault

RECOVERED_S = 15.0


def _a_job(cluster: FaultCluster) -> None:
    """Submit a job with a webhook; it ends, and its receiver hears of it."""
    job = cluster.submit(cluster.words(2), webhook={"url": cluster.receivers.url("ok")})
    cluster.wait_for([job], 60)
    cluster.event("received", job=job, within_s=40)
    cluster.event(Step.DELIVER_RECORDED, job=job, within_s=40)


def _a_segment_that_fails(cluster: FaultCluster) -> None:
    job = cluster.submit(f"{cluster.words()}\n\nThis one says {Fault.RAISE}.")
    cluster.wait_for([job], 60)


def _a_dead_worker(cluster: FaultCluster) -> None:
    job = cluster.submit(cluster.words(2))
    begun = cluster.event(Step.SYNTH_BEGUN, job=job)
    cluster.kill_parent(begun["process"])
    cluster.wait_for([job], 60)
    cluster.wait(lambda: cluster.died_at(Step.RECONCILE_RELEASED), 30)


def _a_deleted_job(cluster: FaultCluster) -> None:
    job = cluster.submit(cluster.words())
    cluster.wait_for([job], 60)
    cluster.accepted.remove(job)  # its client wants it forgotten
    cluster.client.delete(f"/v1/jobs/{job}").raise_for_status()
    cluster.wait(lambda: cluster.died_at(Step.SWEEP_DELETED), 30)
    cluster.wait(lambda: cluster.ledger.scard("kc:garbage") == 0, 30)


@dataclass(frozen=True)
class Case:
    """How a step comes to be taken.

    Attributes:
        process: which dies there.
        work: makes it take the step, and returns once everything is as if nobody had died.
    """

    process: str
    work: Callable[[FaultCluster], None] = _a_job


CASES: dict[Step, Case] = {
    Step.SUBMIT_CHECKED: Case("gateway"),
    Step.SUBMIT_RECORDED: Case("gateway"),
    Step.PLAN_FETCHED: Case("plan.0"),
    Step.PLAN_CLAIMED: Case("plan.0"),
    Step.PLAN_SPLIT: Case("plan.0"),
    Step.PLAN_RECORDED: Case("plan.0"),
    Step.SYNTH_FETCHED: Case("synth.0"),
    Step.SYNTH_CLAIMED: Case("synth.0"),
    Step.SYNTH_BEGUN: Case("synth.0"),
    Step.SYNTH_RENDERED: Case("synth.0"),
    Step.SYNTH_STORED: Case("synth.0"),
    Step.SYNTH_RECORDED: Case("synth.0"),
    Step.SYNTH_FAILED: Case("synth.0", _a_segment_that_fails),
    Step.ASSEMBLE_FETCHED: Case("assemble.0"),
    Step.ASSEMBLE_CLAIMED: Case("assemble.0"),
    Step.ASSEMBLE_ENCODED: Case("assemble.0"),
    Step.ASSEMBLE_STORED: Case("assemble.0"),
    Step.ASSEMBLE_RECORDED: Case("assemble.0"),
    Step.DELIVER_FETCHED: Case("deliver.0"),
    Step.DELIVER_CLAIMED: Case("deliver.0"),
    Step.DELIVER_FROZEN: Case("deliver.0"),
    Step.DELIVER_SENT: Case("deliver.0"),
    Step.DELIVER_RECORDED: Case("deliver.0"),
    Step.RECONCILE_RELEASED: Case("reconciler", _a_dead_worker),
    Step.SWEEP_DELETED: Case("reconciler", _a_deleted_job),
}
"""Every step has one; a test holds this to the list in `shared.steps`."""

QUICK = (Step.PLAN_CLAIMED, Step.SYNTH_STORED, Step.ASSEMBLE_STORED, Step.DELIVER_FETCHED)
"""Of all processes that row 4 does not kill, the one whose death leaves most half-done."""


def start_one(cluster: FaultCluster, process: str, crash_at: Step | None) -> None:
    """Start a process of the cluster, told to die at a step; does not wait for it."""
    role, _, number = process.partition(".")
    if number:
        cluster.start_stage(role, int(number), crash_at=crash_at, model="scripted:sleep_s=0.3")
    else:
        cluster.start(process, process, crash_at=crash_at)


@row(
    3,
    "kill between fetch and claim, and at every other named step",
    "recovered ≤ 15 s",
    quick=True,
    alone=True,
)
def every_step(run: Run) -> None:
    steps = QUICK if run.quick else tuple(CASES)
    with run.cluster() as cluster:
        for name in ("gateway", "reconciler", "plan.0", "synth.0", "assemble.0", "deliver.0"):
            start_one(cluster, name, None)
        cluster.wait_until_ready()
        for step in steps:
            case = CASES[step]
            cluster.supervisor.end([case.process])
            start_one(cluster, case.process, step)
            cluster.wait_until_ready()
            case.work(cluster)
            done = time.monotonic()
            run.must(f"a process died at {step}", cluster.died_at(step))
            if cluster.died_at(step):
                run.fault()
                cuts = [e for e in cluster.log.since(0, "cut") if e.get("at") == step]
                run.recovered(done - cuts[0]["mono"])
        run.must_recover_within(RECOVERED_S)
