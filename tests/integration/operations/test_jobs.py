"""A job does harm, and too much comes."""

import time
from pathlib import Path

import httpx
import pytest

from shared.apikeys import add_key
from shared.steps import Step
from tests.faults.cluster import FaultCluster
from tests.integration.operations.conftest import Begin

pytestmark = pytest.mark.slow


def test_a_poison_job_is_found_and_ended_by_name_and_no_other_is_harmed(begin: Begin) -> None:
    operator = begin()
    cluster = operator.cluster
    operator.start_synth("b1")
    cluster.start_all(synth=0, deliver=False)
    killer = cluster.submit("This sentence KC-FAULT-KILL ends whatever renders it.")
    assert [view["error"]["code"] for view in cluster.wait_for([killer])] == ["poison"]
    hanging = cluster.submit("This sentence KC-FAULT-HANG never comes to an end.")
    cluster.event(Step.SYNTH_BEGUN, job=hanging)
    time.sleep(1)
    cluster.start_stage("synth", 0)
    others = [cluster.submit(cluster.words(2)) for _ in range(6)]
    with operator.situation("A poison job") as steps:
        said = steps.next()
        assert 'kc_failed_jobs_total{code="poison"} 1.0' in said
        assert 'kc_recycles_total{reason="died"} 3.0' in said
        assert killer in said
        worker, stage, item, *_ = steps.next().splitlines()[1].split()
        assert (worker, stage, item) == ("synth.b1", "segment", hanging)
        assert "ended; it was processing" in steps.next({"job_…": item})
        assert cluster.look(hanging)["status"] == "canceled"
        steps.next()
    cluster.wait(lambda: cluster.loaded("synth.b1"))
    views = cluster.wait_for(others)
    assert {view["status"] for view in views} == {"succeeded"}
    assert {view["metrics"]["attempts"] for view in views} == {1}
    cluster.supervisor.end(["synth.0"])
    (last,) = cluster.wait_for([cluster.submit(cluster.words())])
    assert last["metrics"]["worker"] == "synth.b1", "its device is free again"


def submit_as(cluster: FaultCluster, token: str) -> httpx.Response:
    """Submit once, by a key."""
    body = {"input": cluster.words(), "response_format": "wav"}
    return cluster.client.post("/v1/jobs", json=body, headers={"Authorization": f"Bearer {token}"})


def test_in_an_overload_one_key_is_limited_while_all_runs_and_others_are_served(
    begin: Begin, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    greedy, token = add_key(path, "greedy")
    _, other = add_key(path, "modest")
    operator = begin(api_keys_file=path, max_queued_jobs=100)
    cluster = operator.cluster
    operator.settings = {"KC_API_KEY": token}
    cluster.client.headers["Authorization"] = f"Bearer {token}"
    cluster.start_all(synth=1, deliver=False, model="scripted:sleep_s=0.6", batch_max=2)
    refused = None
    for _ in range(400):
        refused = submit_as(cluster, token)
        if not refused.is_success:
            break
        cluster.note_accepted(refused)
    assert refused is not None
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "system_full")
    assert int(refused.headers["retry-after"]) > 0
    with operator.situation("A day of overload") as steps:
        said = steps.next()
        assert '"queued_jobs":' in said
        assert 'kc_queue_age_seconds{stage="synth"}' in said
        assert "kc_synth_workers 1.0" in said
        said = steps.next({"KEY…": greedy.id})
        assert "greedy" in said
        assert "10 jobs a minute, 200000 queued characters, a share of 0.2" in said
        cluster.wait(lambda: said_to(cluster, token) == 429, 30)
        modest = cluster.wait(lambda: accepted(cluster, other), 30)
        table = operator.shell("kokoro-cluster jobs --status processing")
        queued = next(line for line in table.splitlines() if " 0/1 " in line).split()[0]
        said = steps.next({"job_…": queued})
        assert queued in said
    assert cluster.look(queued)["status"] == "canceled"
    waiting = int(cluster.ledger.get("kc:queued_jobs") or 0)
    assert waiting > 20, "the others of the greedy key still wait"
    cluster.client.headers["Authorization"] = f"Bearer {other}"
    (view,) = cluster.wait_for([modest], 20)
    assert view["status"] == "succeeded", "it had its turn before them"
    assert int(cluster.ledger.get("kc:queued_jobs") or 0) > 5
    cluster.client.headers["Authorization"] = f"Bearer {token}"
    mine = [job for job in cluster.accepted if job != queued]
    assert {v["status"] for v in cluster.wait_for(mine, 120)} == {"succeeded"}


def said_to(cluster: FaultCluster, token: str) -> int:
    """Submit once, by a key; return the status it is answered with."""
    answer = submit_as(cluster, token)
    if answer.is_success:
        cluster.note_accepted(answer)
    return answer.status_code


def accepted(cluster: FaultCluster, token: str) -> str | None:
    """Submit once; return the job if it was accepted."""
    answer = submit_as(cluster, token)
    return str(answer.json()["id"]) if answer.is_success else None
