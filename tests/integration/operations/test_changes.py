"""Secrets, gateways and a whole ledger are changed for others."""

import sys
import threading
from pathlib import Path

import httpx
import pytest

from deploy.redis_server import RedisServer
from tests.conftest import free_port
from tests.faults.cluster import ROOT
from tests.integration.operations.conftest import Begin, Operator

pytestmark = pytest.mark.slow

RECEIVER = ROOT / "docs" / "examples" / "webhook_receiver.py"


def receive(operator: Operator, name: str, secret: str) -> str:
    """Start the example's receiver; return its address."""
    port = free_port()
    command = f"{sys.executable} {RECEIVER} --port {port} --secret {secret}"
    operator.start(name, command)
    operator.cluster.wait(lambda: "listening" in operator.cluster.logs(name), 20)
    return f"http://127.0.0.1:{port}/hook"


def told(operator: Operator, name: str, job: str) -> bool:
    """Return whether a receiver has accepted a webhook about a job."""
    return f"job.succeeded {job}" in operator.cluster.logs(name)


def test_while_the_webhook_secret_is_rotated_old_and_new_receivers_accept(begin: Begin) -> None:
    operator = begin()
    cluster = operator.cluster
    secret = cluster.settings.webhook_secret
    operator.start("deliver", "kokoro-cluster worker deliver")
    cluster.start_all(synth=1, deliver=False)
    old = receive(operator, "old", secret)
    first = cluster.submit(cluster.words(), webhook={"url": old})
    cluster.wait(lambda: told(operator, "old", first))
    with operator.situation("Rotating the webhook secret") as steps:
        steps.next()
        new = receive(operator, "new", (operator.folder / "new_secret").read_text().strip())
        early = cluster.submit(cluster.words(), webhook={"url": new})
        cluster.wait(lambda: outcome(operator, early) == 400, 30)
        steps.next()
        both = [cluster.submit(cluster.words(), webhook={"url": url}) for url in (old, new)]
        cluster.wait(lambda: told(operator, "old", both[0]))
        cluster.wait(lambda: told(operator, "new", both[1]))
        cluster.wait(lambda: told(operator, "new", early), 30)
        steps.next()
        late = [cluster.submit(cluster.words(), webhook={"url": url}) for url in (old, new)]
        cluster.wait(lambda: told(operator, "new", late[1]))
        cluster.wait(lambda: outcome(operator, late[0]) == 400, 30)
        said = steps.next({"job_…": late[0]})
        assert 'kc_webhook_attempts_total{outcome="retried"}' in said
        assert '"pending"' in said
    assert not told(operator, "old", late[0])


def outcome(operator: Operator, job: str) -> int | None:
    """Return what a job's receiver answered last."""
    found = operator.cluster.client.get(f"/v1/jobs/{job}/deliveries").json()["data"]
    log = found[0]["log"] if found else []
    return log[-1]["status"] if log else None


def test_a_gateway_is_replaced_while_a_client_waits_for_its_answer(begin: Begin) -> None:
    operator = begin()
    cluster = operator.cluster
    operator.start("gateway.old", "kokoro-cluster gateway")
    for stage in ("plan", "assemble"):
        cluster.start_stage(stage)
    cluster.start_stage("synth", model="scripted:sleep_s=8")
    cluster.wait_until_ready()
    answers: list[httpx.Response] = []

    def wait_for_answer() -> None:
        body = {"input": cluster.words()}
        answers.append(cluster.client.post("/v1/jobs", json=body, headers={"Prefer": "wait=30"}))

    client = threading.Thread(target=wait_for_answer, daemon=True)
    client.start()
    cluster.wait(lambda: cluster.ledger.get("kc:queued_jobs") == b"1")
    port = str(free_port())
    with operator.situation("A gateway is replaced") as steps:
        assert '"redis"' in steps.next({"8881": port})
        steps.next()
        operator.wait_for_end("gateway.old", 15)
        client.join(10)
        assert [answer.status_code for answer in answers] == [202], "and not a broken connection"
        job = answers[0].json()["id"]
        assert job in steps.next({"8881": port})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as new:
        cluster.wait(lambda: new.get(f"/v1/jobs/{job}").json()["status"] == "succeeded")


def test_what_was_queued_at_a_backup_is_rendered_after_it_is_restored(
    begin: Begin, tmp_path: Path
) -> None:
    operator = begin()
    cluster = operator.cluster
    cluster.start_all(synth=1, deliver=False)
    cluster.supervisor.end(["synth.0"])
    jobs = [cluster.submit(cluster.words(2)) for _ in range(5)]
    server = RedisServer(tmp_path / "new-redis", free_port())
    operator.settings = {"NEW_REDIS_URL": server.url}
    with operator.situation("Restoring a backup") as steps:
        said = steps.next()
        assert "5 jobs among them" in said
        assert "Whole:" in said
        cluster.supervisor.end(list(cluster.supervisor.members))
        cluster.redis.kill()
        server.start()
        try:
            assert "Restored" in steps.next()
            cluster.settings = cluster.settings.model_copy(update={"redis_url": server.url})
            cluster.start_all(synth=1, deliver=False)
            assert {view["status"] for view in cluster.wait_for(jobs)} == {"succeeded"}
        finally:
            cluster.supervisor.end(list(cluster.supervisor.members))
            server.stop()
