"""What no log holds, at whatever level: a text, its phonemes, a key, a secret."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from shared.apikeys import add_key
from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster

MARK = "Quorvexil"
TEXT = f"The {MARK} of a private sentence numbered 40213, said to nobody."
SECRET = "whsec_cHJpdmF0ZS1zaWduaW5nLXNlY3JldC0wMDAwMDAwMQ=="
STAGES = ("plan", "synth", "assemble", "deliver", "reconciler")


class _Broken(BaseHTTPRequestHandler):
    """A receiver that fails, and says back what it was sent."""

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500)
        self.end_headers()
        self.wfile.write(f"{MARK} {self.headers} {said!r}".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook/{MARK}?key={MARK}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def is_live(http: httpx.Client) -> bool:
    try:
        return http.get("/health/live").is_success
    except httpx.TransportError:
        return False


def say(port: int, data: bytes) -> None:
    """Send bytes that are no request, and wait for the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        connection.recv(4096)


def be_refused(http: httpx.Client, port: int, secret: str, key_id: str) -> None:
    """Send whatever is refused, each with the mark or the key in it."""
    requests: list[dict[str, Any]] = [
        {"json": {"input": f"{MARK} [pause:{MARK}]"}},
        {"json": {"input": f"{MARK}\x00"}},
        {"json": {"input": TEXT, "voice": MARK}},
        {"json": {"input": TEXT, "language": MARK}},
        {"json": {"input": TEXT, "model": MARK}},
        {"json": {"input": TEXT, "webhook": {"url": f"http://{MARK}:{MARK}@127.0.0.1/"}}},
        {"json": {"input": TEXT, "webhook": {"url": f"http://{MARK}.invalid/"}}},
        {"json": {"input": TEXT, MARK: 1}},
        {"json": [TEXT]},
        {"json": {"input": [TEXT], "metadata": {MARK: 5}}},
        {"content": f'{{"input": "{TEXT}", }}', "headers": {"Content-Type": "application/json"}},
        {"content": f'{{"input": "{TEXT}'.encode() + b"\xff", "headers": {"Content-Type": "text"}},
        {"json": {"input": TEXT}, "headers": {"Idempotency-Key": f"{MARK}é".encode("latin-1")}},
        {"json": {"input": TEXT}, "headers": {"Authorization": f"Bearer kc_{key_id}_{MARK}"}},
        {"json": {"input": TEXT}, "headers": {"Authorization": f"Bearer xx_{key_id}_{secret}"}},
        {"json": {"input": TEXT}, "headers": {"Authorization": f"Basic {secret}"}},
    ]
    for request in requests:
        answer = http.post("/v1/jobs", **request)
        assert 400 <= answer.status_code < 500, answer.text
    assert http.get(f"/{MARK}/{secret}").status_code == 404
    assert http.put(f"/v1/jobs/{MARK}!", json={"input": TEXT}).status_code == 422
    for name in ("custom_id", "after", "status", "created_after"):
        http.get("/v1/jobs", params={name: MARK})
    say(port, f"{MARK} {secret}\r\n\r\n".encode())
    say(port, f"GET / HTTP/1.1\r\nAuthorization {secret}\r\n{MARK}\r\n\r\n".encode())
    say(port, b"GET / HTTP/1.1\r\nHost: here\r\nX: " + MARK.encode() * 5000 + b"\r\n\r\n")


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_log_holds_a_text_or_a_key_whatever_goes_wrong(
    whole: Cluster, receiver: str, log_format: str
) -> None:
    key, token = add_key(whole.folder / "keys.json", "owner")
    secret = token.rpartition("_")[2]
    port = free_port()
    settings: dict[str, Any] = {
        "log_level": "DEBUG",
        "log_format": log_format,
        "port": port,
        "api_keys_file": whole.folder / "keys.json",
        "webhook_secret": SECRET,
        "webhook_allow_private": "127.0.0.0/8",
        "webhook_ports": "*",
        "webhook_schedule_s": "0.1,0.1",
    }
    whole.start("synth", model="scripted:sleep_s=0.5", **settings)
    whole.start("gateway", **settings)
    whole.engine()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False
    ) as http:
        whole.wait(lambda: is_live(http))
        made = {
            fault: http.post(
                "/v1/jobs",
                json={
                    "input": f"{TEXT} {fault}",
                    "custom_id": MARK,
                    "metadata": {MARK: MARK},
                    "outputs": ["wav", "mp3"],
                    "webhook": {"url": receiver},
                },
                headers={"Idempotency-Key": f"{MARK}-{fault}"},
            ).json()["id"]
            for fault in ("", "KC-FAULT-RAISE", "KC-FAULT-SILENT", "KC-FAULT-NAN", "KC-FAULT-KILL")
        }
        be_refused(http, port, secret, key.id)
        for stage in ("plan", *STAGES[2:]):
            whole.start(stage, **settings)
        phonemes = phonemes_of(whole, made[""])
        for fault, uid in made.items():
            job = whole.finished(uid)
            assert job.status == ("failed" if fault else "succeeded"), (fault, job.error_message)
        assert http.get(f"/v1/jobs/{made['']}/audio").status_code == 200
        whole.wait(
            lambda: all(
                http.get(f"/v1/jobs/{uid}/deliveries").json()["data"][0]["status"] == "exhausted"
                for uid in made.values()
            )
        )
        # A ledger that refuses to write: what it says of a command must not quote it.
        whole.client.config_set("maxmemory", 1)
        assert http.post("/v1/jobs", json={"input": TEXT}).status_code == 503
        whole.client.config_set("maxmemory", 0)
    whole.group.stop()
    said = {path.name: path.read_text().lower() for path in whole.folder.rglob("*.log")}
    assert set(said) >= {f"{name}.0.log" for name in ("gateway", *STAGES)}
    for stage in ("gateway", *STAGES[:-1]):
        assert made[""].lower() in said[f"{stage}.0.log"], f"{stage} logged nothing of the job"
    for private in (MARK, "private sentence", "40213", secret, token, SECRET[6:], *phonemes):
        for name, log in said.items():
            assert private.lower() not in log, f"{name}: {around(log, private.lower())}"


def phonemes_of(cluster: Cluster, uid: str) -> list[str]:
    """Return the phonemes of a job's first segment, in stretches that no log has by chance."""

    def planned() -> Any:
        return cluster.client.hget(f"kc:job:{uid}:payload", "0")

    phonemes = json.loads(cluster.wait(planned, 90))["phonemes"]
    return [phonemes[:12], phonemes[20:32]]


def around(said: str, private: str) -> str:
    place = said.index(private)
    return said[max(0, place - 300) : place + 300]
