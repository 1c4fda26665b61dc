"""Synth workers come, fail, hang and won't start, and an operator follows the page."""

import re

import pytest

from shared.steps import Step
from tests.faults.cluster import FaultCluster
from tests.integration.operations.conftest import Begin

pytestmark = pytest.mark.slow

PACED = "scripted:sleep_s=0.5"


def renderers(cluster: FaultCluster) -> set[str]:
    """Return the processes that have begun to render something."""
    return {str(event["process"]) for event in cluster.log.since(0, Step.SYNTH_BEGUN)}


def listed(table: str, worker: str) -> bool:
    """Return whether a worker is in what `kokoro-cluster workers` wrote."""
    return re.search(rf"^{re.escape(worker)} ", table, re.MULTILINE) is not None


def test_a_worker_on_another_gpu_takes_its_part_and_goes_again(begin: Begin) -> None:
    operator = begin()
    cluster = operator.cluster
    cluster.start_all(synth=1, deliver=False, model=PACED, batch_max=2)
    operator.settings = {"KC_MODEL": PACED, "KC_BATCH_MAX": "2"}
    jobs = [cluster.submit(cluster.words(6)) for _ in range(30)]
    with operator.situation("Add a GPU") as steps:
        assert "redis" in steps.next()
        steps.next()
        assert re.search(r"^synth\.b1 +\w+ +cuda:1 ", steps.next(), re.MULTILINE)
        cluster.wait(lambda: "synth.b1" in renderers(cluster))
        look = 'curl -s "$KC_URL/metrics" | grep "^kc_synth_busy.*b1" || true'
        cluster.wait(lambda: re.search(r" [0-9.]*[1-9]", operator.shell(look)), 30)
        busy = dict(re.findall(r'worker="([^"]+)"\} ([0-9.]+)', steps.next()))
        assert float(busy["synth.b1"]) > 0
        assert float(busy["synth.0"]) > 0
        steps.next()
    operator.wait_for_end("b1")
    views = cluster.wait_for(jobs, 120)
    assert {view["status"] for view in views} == {"succeeded"}
    assert {view["metrics"]["attempts"] for view in views} == {1}
    assert not cluster.supervisor.exits


def test_a_device_that_fails_ends_its_worker_and_one_that_hangs_is_taken_out(begin: Begin) -> None:
    operator = begin()
    cluster = operator.cluster
    # Alone at first, so that it is given work.
    operator.start_synth("b2", "KC_MODEL=scripted:sleep_s=600")
    cluster.start_all(synth=0, deliver=False)
    stuck = cluster.submit(cluster.words(2))
    cluster.event(Step.SYNTH_BEGUN, job=stuck)
    operator.start_synth("b1", "KC_MODEL=scripted:lost_after=1")
    jobs = [cluster.submit(cluster.words()) for _ in range(2)]
    operator.wait_for_end("b1", 90)
    with operator.situation("A GPU is sick") as steps:
        said = steps.next()
        assert re.search(r'^kc_recycles_total\{reason="device"\} [2-9]', said, re.MULTILINE), said
        assert "child starts in a row finished no segment" in said
        assert not listed(said, "synth.b1")
        assert listed(said, "synth.b2")
        held = steps.next().splitlines()
        assert held[1].split()[:3] == ["synth.b2", "segment", stuck], held
        assert float(held[1].split()[5]) > 1
        cluster.start_stage("synth", 0)
        cluster.wait(lambda: cluster.loaded("synth.0"))
        steps.next()
        operator.wait_for_end("b2", 20)
        views = cluster.wait_for([stuck, *jobs], 60)
        said = steps.next()
        assert "synth.b2" not in said
        assert listed(said, "synth.0")
    assert {view["status"] for view in views} == {"succeeded"}
    assert views[0]["metrics"]["attempts"] == 1, "being taken out of service counts for nothing"


def test_a_worker_that_cannot_start_says_why_and_the_doctor_does_too(begin: Begin) -> None:
    operator = begin()
    operator.settings = {"KC_MODEL": "scripted:nonsense=1"}
    with operator.situation("A worker won't start") as steps:
        said = steps.next()
        assert "exit code 78" in said
        assert "is no script" in said
        said = steps.next()
        assert "is no script" in said
        assert "exit code 1" in said
