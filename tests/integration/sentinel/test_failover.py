"""A cluster goes on by itself when its Redis is killed and a sentinel promotes the replica."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from deploy.doctor.examination import examine
from deploy.doctor.finding import Verdict
from tests.conftest import free_port
from tests.integration.sentinel.conftest import Watched
from tests.integration.workers.conftest import Cluster

WITHOUT_S = 6.0
"""Longer than a lease and several rounds of everything that asks Redis."""


@pytest.fixture
def cluster(watched: Watched, tmp_path: Path) -> Iterator[Cluster]:
    with redis.Redis.from_url(watched.servers[0].url) as client:
        cluster = Cluster(client, watched.servers[0], tmp_path)
        yield cluster
        cluster.group.stop()
        cluster.celery.close()


class Visitor:
    """Somebody who submits jobs through the gateway."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def ready(self) -> bool:
        try:
            return self.http.get("/health/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def submit(self, text: str) -> str | None:
        """Return the job; None if the cluster says that it can't take one now."""
        answer = self.http.post("/v1/jobs", json={"input": text, "voice": "af_heart"})
        assert answer.status_code in {200, 202, 503}, answer.text
        return str(answer.json()["id"]) if answer.is_success else None

    def succeeded(self, uid: str) -> bool:
        answer = self.http.get(f"/v1/jobs/{uid}")
        assert answer.status_code in {200, 503}, answer.text
        return bool(answer.json().get("status") == "succeeded")


@pytest.fixture
def visitor(watched: Watched, cluster: Cluster) -> Iterator[Visitor]:
    """Somebody at a cluster that is ready and knows its Redis through the sentinel."""
    for stage in ("plan", "synth", "assemble", "reconciler"):
        cluster.start(stage, redis_url=watched.url)
    port = free_port()
    cluster.start("gateway", port=port, redis_url=watched.url)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:
        made = Visitor(http)
        cluster.wait(made.ready, 90)
        yield made


@pytest.mark.slow
def test_jobs_end_before_and_after_a_failover_and_what_was_replicated_is_kept(
    watched: Watched, cluster: Cluster, visitor: Visitor
) -> None:
    first = visitor.submit("Said before the failover.")
    assert first is not None
    cluster.wait(lambda: visitor.succeeded(first))
    cluster.wait(watched.replicated)
    watched.servers[0].kill()
    second = str(cluster.wait(lambda: visitor.submit("Said after the failover."), 60))
    assert watched.primary() == watched.servers[1].port
    cluster.wait(lambda: visitor.succeeded(second), 60)
    assert visitor.succeeded(first)
    audio = visitor.http.get(f"/v1/jobs/{second}/audio", follow_redirects=True)
    assert len(audio.content) > 1000
    speech = {"input": "Streamed too.", "voice": "af_heart", "response_format": "wav"}
    streamed = visitor.http.post("/v1/audio/speech", json=speech)
    assert streamed.content.startswith(b"RIFF")


@pytest.mark.slow
def test_a_primary_that_must_have_a_replica_takes_no_job_without_one_and_goes_on_with_it(
    watched: Watched, cluster: Cluster, visitor: Visitor
) -> None:
    cluster.client.config_set("min-replicas-to-write", 1)
    before = visitor.submit("Said while there was a replica.")
    assert before is not None
    cluster.wait(lambda: visitor.succeeded(before))
    watched.servers[1].kill()
    cluster.wait(lambda: visitor.submit("Not taken.") is None)
    assert visitor.succeeded(before), "what only reads goes on"
    time.sleep(WITHOUT_S)
    watched.servers[1].start()
    after = str(cluster.wait(lambda: visitor.submit("Said when it was back.")))
    cluster.wait(lambda: visitor.succeeded(after))
    for worker in cluster.group.members:
        assert worker.process is not None
        assert worker.process.poll() is None, f"{worker.name} ended"


def test_the_doctor_finds_the_primary_through_its_sentinels(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KC_REDIS_URL", watched.url)
    found = {finding.check: finding for finding in examine(["redis"])}
    assert found["reached"].verdict is Verdict.OK
    assert "word-of-redis" not in found["reached"].detail
    assert found["role"].verdict is Verdict.OK
