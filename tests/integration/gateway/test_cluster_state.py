"""Voices, models, workers, health, metrics, and Redis or the store going away."""

import time
from pathlib import Path

import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from deploy.redis_server import RedisServer
from shared.errors import StorageUnavailable
from shared.ledger.leases import Leases
from shared.ledger.states import Recycled
from tests.conftest import free_port
from tests.integration.gateway.conftest import MANIFEST, Cluster, Starter


def metrics(cluster: Cluster) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = cluster.http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_voices_are_listed_with_what_their_names_tell(cluster: Cluster) -> None:
    voices = {voice["id"]: voice for voice in cluster.http.get("/v1/voices").json()["data"]}
    assert set(voices) == set(MANIFEST.voices)
    assert voices["bm_george"] == {
        "id": "bm_george",
        "name": "George",
        "language": "en-gb",
        "gender": "male",
        "stand_in": True,
    }
    assert voices["custom"]["language"] is None


def test_a_stand_in_says_so_among_the_models(cluster: Cluster) -> None:
    model, *aliases = cluster.http.get("/v1/models").json()["data"]
    assert [alias["stand_in"] for alias in aliases] == [True] * 4
    assert model == {
        "id": "espeak-ng",
        "object": "model",
        "created": 1_737_936_000,
        "owned_by": "espeak",
        "stand_in": True,
        "precision": "exact",
    }


def test_workers_are_listed_as_they_announce_themselves(cluster: Cluster) -> None:
    state = {"name": "synth-0", "role": "synth", "state": "busy", "recycles": 3}
    Leases(cluster.redis, lease_s=5).announce("synth-0", state)
    assert cluster.http.get("/v1/workers").json() == {"object": "list", "data": [state]}


def test_a_workers_times_are_written_as_a_jobs_are(cluster: Cluster) -> None:
    state = {"name": "synth-1", "started_at": 1_769_860_800.5, "heartbeat_at": 1_769_860_801.0}
    Leases(cluster.redis, lease_s=5).announce("synth-1", state)
    (worker,) = cluster.http.get("/v1/workers").json()["data"]
    assert worker["started_at"] == "2026-01-31T12:00:00.500Z"
    assert worker["heartbeat_at"] == "2026-01-31T12:00:01.000Z"


def test_the_last_child_that_ended_is_told_with_its_reason_and_time(cluster: Cluster) -> None:
    state = {"name": "synth-2", "last_recycle": {"reason": "idle", "at": 1_769_860_800.5}}
    Leases(cluster.redis, lease_s=5).announce("synth-2", state)
    Leases(cluster.redis, lease_s=5).count(f"recycled.{Recycled.IDLE}")
    (worker,) = cluster.http.get("/v1/workers").json()["data"]
    assert worker["last_recycle"] == {"reason": "idle", "at": "2026-01-31T12:00:00.500Z"}
    found = metrics(cluster)
    assert found["kc_recycles_total", (("reason", "idle"),)] == 1
    assert found["kc_recycles_total", (("reason", "died"),)] == 0


def test_without_an_engine_the_gateway_is_live_and_not_ready(start: Starter) -> None:
    cluster = start(engine=None)
    assert cluster.http.get("/health/live").json() == {"status": "live"}
    answer = cluster.http.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"] == "ok"
    assert answer.json()["checks"]["engine"] != "ok"
    assert cluster.error(cluster.http.get("/v1/voices"), 503)["code"] == "no_engine"


def test_with_an_engine_it_is_ready(start: Starter) -> None:
    assert start().http.get("/health/ready").json() == {
        "status": "ready",
        "checks": {"redis": "ok", "engine": "ok", "storage": "ok"},
        "warnings": [],
    }


def test_metrics_tell_what_the_cluster_did(cluster: Cluster) -> None:
    cluster.succeed()
    cluster.submit("Waiting.")
    synth = {"id": "s", "role": "synth", "state": "idle", "busy_s": 9.5, "shift_s": 10.0}
    Leases(cluster.redis, lease_s=5).announce("s", synth)
    found = metrics(cluster)
    assert found["kc_ledger_up", ()] == 1
    assert found["kc_jobs", (("status", "succeeded"),)] == 1
    assert found["kc_jobs", (("status", "queued"),)] == 1
    assert found["kc_queue_depth", (("stage", "plan"),)] == 1
    assert found["kc_queue_age_seconds", (("stage", "plan"),)] < 10
    assert found["kc_accepted_jobs_total", ()] == 2
    assert found["kc_synthesis_seconds_total", ()] == 0.5
    assert found["kc_audio_seconds_total", ()] == 1
    assert found["kc_batches_total", ()] == 1
    assert found["kc_batch_size_bucket", (("le", "1.0"),)] == 1
    assert found["kc_batch_size_sum", ()] == 1
    assert found["kc_segments_rendered_total", ()] == 1
    assert found["kc_workers", (("role", "synth"), ("state", "idle"))] == 1
    assert found["kc_synth_busy_seconds_total", (("worker", "s"),)] == 9.5
    assert found["kc_synth_shift_seconds_total", (("worker", "s"),)] == 10
    assert found["kc_webhook_attempts_total", (("outcome", "delivered"),)] == 0
    posts = (("method", "POST"), ("route", "/v1/jobs"), ("status", "202"))
    assert found["kc_http_requests_total", posts] >= 2


def test_the_queue_of_the_whole_cluster_is_told_with_what_was_measured(cluster: Cluster) -> None:
    nothing = cluster.http.get("/v1/cluster").json()
    assert (nothing["queued_jobs"], nothing["queued_chars"], nothing["workers"]) == (0, 0, 0)
    assert nothing["oldest_queued_s"] == 0
    assert nothing["audio_s_per_s"] is nothing["chars_per_s"] is None, "nothing was measured"
    cluster.succeed()
    first = cluster.submit("Waiting.")
    for name in ("synth.0", "synth.1", "plan.0"):
        Leases(cluster.redis, lease_s=5).announce(name, {"id": name})
    # The queue keeps the time a job came at; this one, a minute ago.
    cluster.redis.zincrby("kc:queue:plan", -60_000, first["id"])
    state = cluster.http.get("/v1/cluster").json()
    assert (state["queued_jobs"], state["queued_chars"], state["workers"]) == (1, 8, 3)
    assert 60 <= state["oldest_queued_s"] < 90
    # One second of audio, of six characters, in half a second of a device; and two devices.
    assert (state["audio_s_per_s"], state["chars_per_s"]) == (4, 24)
    assert state["jobs_by_status"] == {
        **dict.fromkeys(("processing", "failed", "canceled", "expired"), 0),
        "queued": 1,
        "succeeded": 1,
    }


def test_made_up_paths_and_methods_make_no_new_series(start: Starter) -> None:
    cluster = start()
    for i, method in enumerate(("PROPFIND", "PURGE", "SEARCH")):
        cluster.http.get(f"/nowhere/{i}")
        cluster.http.request(method, "/v1/jobs")
        assert cluster.error(cluster.http.request(f"M{i}", "/v1/jobs"), 400)
        cluster.http.get(f"/v1/jobs/unknown-{i}")
    routes = {labels for (name, labels) in metrics(cluster) if name == "kc_http_requests_total"}
    assert routes == {
        (("method", "GET"), ("route", "unmatched"), ("status", "404")),
        (("method", "OTHER"), ("route", "/v1/jobs"), ("status", "405")),
        (("method", "GET"), ("route", "/v1/jobs/{job_id}"), ("status", "404")),
    }


def test_a_redis_that_may_lose_accepted_jobs_is_told_of_and_used_all_the_same(
    start: Starter, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path / "other-redis", free_port())
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            safe = start(redis_url=server.url).http.get("/health/ready").json()
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("appendonly", "no")
            client.set("kc:engine", MANIFEST.to_json())
            answer = start(redis_url=server.url).http.get("/health/ready")
    finally:
        server.stop()
    assert safe["warnings"] == []
    assert answer.status_code == 200
    policy, persistence = answer.json()["warnings"]
    assert "allkeys-lru" in policy and "noeviction" in policy
    assert "append-only file is off" in persistence


def test_while_redis_is_away_all_say_so_and_then_go_on(start: Starter, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "other-redis", free_port())
    server.start()
    try:
        cluster = start(redis_url=server.url, engine=None)
        server.kill()
        body = {"input": "Hello."}
        for answer in (
            cluster.http.post("/v1/jobs", json=body),
            cluster.http.get("/v1/jobs"),
            cluster.http.get("/v1/jobs/some-job/audio"),
            cluster.http.get("/v1/workers"),
        ):
            assert cluster.error(answer, 503)["code"] == "ledger_unavailable"
            assert int(answer.headers["retry-after"]) >= 1
        assert metrics(cluster)["kc_ledger_up", ()] == 0
        assert cluster.http.get("/health/live").status_code == 200
        # A short pause flips no probe.
        assert cluster.http.get("/health/ready").json()["checks"]["redis"] == "ok"
        server.start()
        deadline = time.monotonic() + 10
        while cluster.http.get("/v1/jobs").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        server.stop()


def test_a_redis_that_is_away_at_the_start_stops_nothing(start: Starter) -> None:
    cluster = start(redis_url=f"redis://127.0.0.1:{free_port()}/0", engine=None)
    assert cluster.http.get("/health/live").status_code == 200
    ready = cluster.http.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["redis"]) == (503, "has not answered yet")


def test_a_full_redis_means_the_system_is_full(cluster: Cluster) -> None:
    cluster.redis.config_set("maxmemory", 1)
    try:
        answer = cluster.http.post("/v1/jobs", json={"input": "Hello."})
        assert cluster.error(answer, 503)["code"] == "system_full"
        assert "retry-after" in answer.headers
    finally:
        cluster.redis.config_set("maxmemory", 0)
    assert cluster.http.get("/v1/jobs").json()["data"] == []


def test_a_store_that_is_away_is_503(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sign(*_: object, **__: object) -> str:
        raise StorageUnavailable("Object storage did not answer.")

    job = cluster.succeed()
    monkeypatch.setattr("shared.storage.Storage.sign_get_async", sign)
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/audio")
    assert cluster.error(answer, 503)["code"] == "storage_unavailable"
    assert "retry-after" in answer.headers


def test_a_bug_is_500_with_an_id_and_no_traceback(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def workers(_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("shared.ledger.intake.Intake.workers", workers)
    answer = cluster.http.get("/v1/workers")
    assert cluster.error(answer, 500)["code"] == "internal"
    assert "secret" not in answer.text


def test_audio_that_breaks_off_never_ends_cleanly(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stream(*_: object) -> object:
        yield b"the beginning"
        raise StorageUnavailable("Object storage did not answer.")

    job = cluster.succeed()
    monkeypatch.setattr("shared.storage.Storage.stream_async", stream)
    with pytest.raises(httpx.RemoteProtocolError):
        cluster.http.get(f"/v1/jobs/{job['id']}/audio")


def test_probes_answer_while_long_texts_are_taken_in(cluster: Cluster) -> None:
    body = {"input": "Word after word. " * 100_000}
    slowest = 0.0
    for _ in range(3):
        assert cluster.http.post("/v1/jobs", json=body).status_code == 202
        began = time.perf_counter()
        assert cluster.http.get("/health/live").status_code == 200
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 1
