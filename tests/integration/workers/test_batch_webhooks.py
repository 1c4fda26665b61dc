"""A batch's webhook from its last job to the receiver: real processes, real HTTP, signatures."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {
    "webhook_secret": SECRET,
    "webhook_allow_private": "127.0.0.0/8",
    "webhook_ports": "*",
    "webhook_schedule_s": "0.1,0.1,0.1",
}


class Receiver(ThreadingHTTPServer):
    """Answers with what it is told to, and then 204.

    Attributes:
        url: where it listens.
        answers: statuses of the next answers.
        got: headers, in small letters, and body of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((headers, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    port = free_port()
    cluster.start("synth")
    cluster.start("deliver", **SETTINGS)
    cluster.start("gateway", port=port, **SETTINGS)
    cluster.engine()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

        def lives() -> bool:
            try:
                return client.get("/health/live").is_success
            except httpx.TransportError:
                return False

        cluster.wait(lives)
        yield client


def deliveries(http: httpx.Client, batch: dict[str, Any]) -> list[dict[str, Any]]:
    return list(http.get(f"/v1/batches/{batch['id']}/deliveries").json()["data"])


def test_a_batchs_webhook_reaches_its_receiver_signed_and_again_with_the_same_bytes(
    cluster: Cluster, http: httpx.Client, receiver: Receiver
) -> None:
    receiver.answers = [500, 503]
    items = [{"custom_id": f"c{n}", "input": f"Item number {n}."} for n in range(3)]
    body = {"items": items, "metadata": {"course": "spring"}, "webhook": {"url": receiver.url}}
    batch = http.post("/v1/batches", json=body).json()
    cluster.wait(
        lambda: [row["status"] for row in deliveries(http, batch)] == ["delivered"], timeout_s=90
    )
    (delivery,) = deliveries(http, batch)
    assert (delivery["event"], delivery["url"]) == ("batch.completed", receiver.url)
    assert [entry["status"] for entry in delivery["log"]] == [500, 503, 204]
    again = http.post(f"/v1/batches/{batch['id']}/deliveries/{delivery['id']}/replay")
    assert (again.status_code, again.json()["id"]) == (202, delivery["id"])
    cluster.wait(lambda: len(deliveries(http, batch)[0]["log"]) == 4)
    assert len(receiver.got) == 4
    for headers, sent in receiver.got:
        Webhook(SECRET).verify(sent, headers)
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {delivery["id"]}
    (sent,) = {sent for _, sent in receiver.got}
    told = json.loads(sent)
    assert (told["type"], told["data"]["id"]) == ("batch.completed", batch["id"])
    assert told["data"]["request_counts"]["succeeded"] == 3
    assert told["data"]["metadata"] == {"course": "spring"}
    assert told["timestamp"] == told["data"]["completed_at"]
    assert told["data"] == {
        **http.get(f"/v1/batches/{batch['id']}").json(),
        "urls": told["data"]["urls"],
    }


def test_a_canceled_batch_tells_so_once_and_only_who_asked(
    cluster: Cluster, http: httpx.Client, receiver: Receiver
) -> None:
    # Longer than a cancellation takes, and in the batch lane.
    items = [{"input": f"Paragraph {n}. " * 400} for n in range(20)]

    def canceled(**webhook: Any) -> dict[str, Any]:
        hook = {"url": receiver.url, **webhook}
        batch = http.post("/v1/batches", json={"items": items, "webhook": hook}).json()
        found = http.post(f"/v1/batches/{batch['id']}/cancel").json()
        assert found["status"] == "canceled"
        return dict(found)

    silent = canceled(events=["batch.completed"])
    batch = canceled()
    cluster.wait(lambda: [row["status"] for row in deliveries(http, batch)] == ["delivered"])
    assert deliveries(http, silent) == []
    ((headers, sent),) = receiver.got
    Webhook(SECRET).verify(sent, headers)
    assert json.loads(sent)["type"] == "batch.canceled"
    assert json.loads(sent)["data"]["id"] == batch["id"]
