"""Today's processes go on with what the last release has written: records, wake-ups, objects.

`write_last_release.py` made it, with real processes of that release that were then killed.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from deploy.redis_server import RedisServer
from shared.ledger.backup import restore
from tests.conftest import free_port
from tests.integration.upgrade.write_last_release import HERE, LASTING, SECRET
from tests.integration.workers.conftest import Cluster

STAGES = ("plan", "synth", "assemble", "deliver", "reconciler")


def written(name: str) -> Any:
    """Return one of the files."""
    return json.loads((HERE / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, httpx.Client]]:
    """Today's processes on a ledger, queues and a store of the last release's."""
    folder = tmp_path_factory.mktemp("upgraded")
    server = RedisServer(folder / "redis", free_port())
    server.start()
    with redis.Redis.from_url(server.url) as client:
        copy = folder / "ledger.gz"
        copy.write_bytes(gzip.compress((HERE / "ledger.jsonl").read_bytes()))
        restore(client, copy)
        for queue, messages in written("wakeups").items():
            client.rpush(queue, *messages)
        for state in written("workers"):
            client.set(f"kc:worker:{state['id']}", json.dumps(state), ex=60)
            client.sadd("kc:workers", state["id"])
        cluster = Cluster(client, server, folder)
        for key, data in written("objects").items():
            cluster.storage.put(key, base64.b64decode(data))
        port = free_port()
        allowed: dict[str, Any] = {
            "webhook_allow_private": "127.0.0.0/8",
            "webhook_ports": "*",
            "webhook_secret": SECRET,
        }
        for stage in STAGES:
            cluster.start(stage, **allowed, **LASTING)
        cluster.start("gateway", port=port, **allowed, **LASTING)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            cluster.wait(lambda: ready(http))
            yield cluster, http
        cluster.group.stop()
        cluster.celery.close()
    server.stop()


def ready(http: httpx.Client) -> bool:
    """Return whether the gateway accepts jobs."""
    try:
        return http.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


Upgraded = tuple[Cluster, httpx.Client]


def ended(upgraded: Upgraded, path: str) -> dict[str, Any]:
    """Wait for the end of a job or a batch; return it."""
    cluster, http = upgraded
    open_ones = {"queued", "processing", "in_progress", "canceling"}

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = http.get(path).raise_for_status().json()
        return None if found["status"] in open_ones else found

    return dict(cluster.wait(look, 120))


@pytest.mark.parametrize("stage", ["held", "waiting", "unplanned"])
def test_a_job_of_the_last_release_is_finished_wherever_it_stood(
    upgraded: Upgraded, stage: str
) -> None:
    job = ended(upgraded, f"/v1/jobs/{written('jobs')[stage]}")
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert job["metrics"]["attempts"] == 1
    audio = upgraded[1].get(f"/v1/jobs/{job['id']}/audio", follow_redirects=True)
    assert audio.content[:4] == b"fLaC"
    assert len(audio.content) == job["output"]["bytes"]
    if stage == "held":
        assert job["progress"]["segments_reused"] == 1, "the last release's audio counts"


def test_a_batch_of_the_last_release_is_counted_to_its_end(upgraded: Upgraded) -> None:
    batch = ended(upgraded, f"/v1/batches/{written('jobs')['batch']}")
    assert batch["status"] == "completed"
    assert batch["request_counts"]["succeeded"] == 2


def test_what_the_last_release_finished_is_shown_played_and_delivered(upgraded: Upgraded) -> None:
    cluster, http = upgraded
    uid = written("jobs")["done"]
    job = http.get(f"/v1/jobs/{uid}").json()
    assert (job["status"], job["progress"]["segments_done"]) == ("succeeded", 2)
    assert http.get(f"/v1/jobs/{uid}/audio").content[:4] == b"fLaC"
    assert http.get(f"/v1/jobs/{uid}/segments/0/audio").content[:4] == b"RIFF"
    assert http.get(f"/v1/jobs/{uid}/captions.vtt").text.startswith("WEBVTT")

    def attempts() -> int:
        (delivery,) = http.get(f"/v1/jobs/{uid}/deliveries").raise_for_status().json()["data"]
        return int(delivery["attempts"])

    cluster.wait(attempts)  # nobody listens there: it is tried, and that is recorded


def test_lists_show_what_the_last_release_wrote(upgraded: Upgraded) -> None:
    _, http = upgraded
    listed = {job["id"] for job in http.get("/v1/jobs").raise_for_status().json()["data"]}
    assert listed >= {uid for uid in written("jobs").values() if uid.startswith("job_")}
    assert http.get("/v1/lexicons/names").raise_for_status().json()["version"] == 1
    workers = {worker["id"] for worker in http.get("/v1/workers").raise_for_status().json()["data"]}
    assert {"synth.0", "plan.0"} <= workers
    assert http.get("/metrics").raise_for_status().text
