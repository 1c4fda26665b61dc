"""Why a worker's child is replaced between two tasks, told where an operator looks."""

import json
import time
from typing import Any

import pytest

from shared.ledger.states import JobStatus, Recycled
from tests.integration.workers.conftest import Cluster


def worker_state(cluster: Cluster, worker: str) -> dict[str, Any]:
    """Return what a worker says of itself to the list of workers."""
    (state,) = [row for row in states(cluster) if row["id"] == worker]
    return state


def states(cluster: Cluster) -> list[dict[str, Any]]:
    """Return what all workers say of themselves."""
    rows = [cluster.client.get(key) for key in cluster.client.keys("kc:worker:*")]
    return [json.loads(row) for row in rows if row]


def ended(cluster: Cluster, reason: Recycled) -> float:
    """Return how many children the ledger says ended of a reason."""
    return float(cluster.client.hget("kc:totals", f"recycled.{reason}") or 0)


def succeed(cluster: Cluster, texts: int) -> None:
    """Have jobs done one after another, each a task of its own at least."""
    for n in range(texts):
        job = cluster.finished(cluster.submit(f"Text number {n} of {time.monotonic()}."))
        assert job.status is JobStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("leak", "bound", "reason"),
    [
        ("leak_kib=40000", {"recycle_rss_mib": 64}, Recycled.HOST_MEMORY),
        ("leak_device_mib=100", {"recycle_gpu_growth_mib": 300}, Recycled.DEVICE_MEMORY),
    ],
)
def test_a_child_that_leaks_is_replaced_between_two_tasks_and_its_worker_says_why(
    cluster: Cluster, leak: str, bound: dict[str, int], reason: Recycled
) -> None:
    name = reason.value
    cluster.start("synth", name, model=f"scripted:{leak}", **bound)
    first = cluster.child(f"synth.{name}")
    succeed(cluster, 24)
    cluster.wait(lambda: ended(cluster, reason) >= 1)
    assert cluster.child(f"synth.{name}") != first
    state = cluster.wait(
        lambda: s if (s := worker_state(cluster, f"synth.{name}"))["last_recycle"] else None
    )
    assert state["last_recycle"]["reason"] == reason
    assert state["recycled"] == {reason: state["recycles"]}
    assert ended(cluster, Recycled.DIED) == 0


def test_a_child_that_is_killed_and_one_that_is_stuck_are_told_apart(cluster: Cluster) -> None:
    cluster.start("synth", "killed", render_timeout_s=1.5)
    cluster.kill(cluster.child("synth.killed"))
    cluster.wait(lambda: ended(cluster, Recycled.DIED) == 1)
    cluster.engine()
    cluster.submit("This says KC-FAULT-HANG.")
    cluster.wait(lambda: ended(cluster, Recycled.DEADLINE) == 1)
