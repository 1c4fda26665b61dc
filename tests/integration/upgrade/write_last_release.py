"""Writes what `test_last_release.py` reads, by running an older checkout once.

`python -m tests.integration.upgrade.write_last_release CHECKOUT` starts that checkout's gateway and
workers, makes jobs that end, wait and are held at every stage, kills the processes, and writes down
the ledger, the wake-ups, what workers said of themselves and the objects. To be run at each
release, with a checkout of its tag.
"""

import base64
import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import redis

from deploy.redis_server import RedisServer
from shared.ledger.backup import back_up
from shared.ledger.scripts import text
from shared.storage import open_storage
from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster

HERE = Path(__file__).parent / "last_release"
TEN_YEARS_S = 315_360_000
LASTING: dict[str, Any] = {
    # Long enough that no test comes too late to find a job open.
    "job_deadline_s": TEN_YEARS_S,
    "job_deadline_max_s": TEN_YEARS_S,
    "job_ttl_s": TEN_YEARS_S,
    "job_ttl_max_s": TEN_YEARS_S,
    "segment_ttl_s": TEN_YEARS_S,
    "record_ttl_s": TEN_YEARS_S,
}
FLAC = {"outputs": ["flac"]}
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
WEBHOOK = {"url": "http://127.0.0.1:9/hook", "events": ["job.succeeded"]}


def main(checkout: str) -> None:
    """Run the older checkout, and write."""
    os.chdir(checkout)  # where its processes find their modules first
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder) / "redis", free_port())
        server.start()
        client = redis.Redis.from_url(server.url)
        cluster = Cluster(client, server, Path(folder))
        try:
            names = make(cluster)
            write(cluster, names)
        finally:
            cluster.group.stop()
            cluster.celery.close()
            server.stop()


def make(cluster: Cluster) -> dict[str, str]:
    """Bring jobs to every stage; return their ids by what became of them."""
    port = free_port()
    allowed: dict[str, Any] = {
        "webhook_allow_private": "127.0.0.0/8",
        "webhook_ports": "*",
        "webhook_secret": SECRET,
    }
    cluster.start("gateway", port=port, **allowed, **LASTING)
    plan = cluster.start("plan", **LASTING)
    cluster.start("assemble", **LASTING)
    synth = cluster.start("synth", **LASTING)
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def ready() -> bool:
        try:
            return http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def post(text: str, **more: Any) -> str:
        answer = http.post("/v1/jobs", json={"input": text, "voice": "af_heart", **FLAC, **more})
        if answer.is_error:
            raise SystemExit(answer.text)
        return str(answer.json()["id"])

    cluster.wait(ready)
    entries = [{"word": "Nguyen", "phonemes": "wˈɪn"}]
    http.put(
        "/v1/lexicons/names", json={"language": "en-us", "entries": entries}
    ).raise_for_status()
    done = post("Hi.\n\nYou.", webhook=WEBHOOK, timestamps=True, outputs=["flac", "wav", "vtt"])
    cluster.wait(lambda: http.get(f"/v1/jobs/{done}").json()["status"] == "succeeded")
    assert synth.process is not None
    cluster.kill(synth.process.pid)
    cluster.start("synth", "slow", model="scripted:sleep_s=30", batch_max=1, **LASTING)
    cluster.child("synth.slow")
    held = post("You.\n\nHe.\n\nShe.")  # its first segment is there already, and is reused
    cluster.wait(lambda: cluster.phase("synth.slow") == "rendering")
    waiting = post("It.")
    cluster.wait(lambda: client_waits(cluster, waiting))
    assert plan.process is not None
    cluster.kill(plan.process.pid)
    unplanned = post("We met Nguyen.", lexicons=["names"], webhook=WEBHOOK)
    items = [{"custom_id": f"n{n}", "input": f"They, {n}."} for n in range(2)]
    batch = http.post("/v1/batches", json={"items": items}).raise_for_status().json()["id"]
    return {
        "done": done,
        "held": held,
        "waiting": waiting,
        "unplanned": unplanned,
        "batch": str(batch),
    }


def client_waits(cluster: Cluster, uid: str) -> bool:
    """Return whether a job has been planned."""
    return cluster.client.hget(f"kc:job:{uid}", "planned") == b"1"


def write(cluster: Cluster, names: dict[str, str]) -> None:
    """Write everything down as JSON."""
    copy = cluster.folder / "ledger.gz"
    back_up(cluster.client, copy)
    HERE.mkdir(exist_ok=True)
    (HERE / "ledger.jsonl").write_bytes(gzip.decompress(copy.read_bytes()))
    workers = [
        json.loads(cluster.client.get(key) or "") for key in cluster.client.keys("kc:worker:*")
    ]
    wakeups = {
        text(key): [text(item) for item in cluster.client.lrange(key, 0, -1)]
        for key in cluster.client.keys("kc.*")
    }
    storage = open_storage(cluster.settings.storage)
    objects = {
        item.key: base64.b64encode(storage.get(item.key)).decode() for item in storage.list()
    }
    for name, value in (
        ("jobs", names),
        ("workers", workers),
        ("wakeups", wakeups),
        ("objects", objects),
    ):
        (HERE / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
