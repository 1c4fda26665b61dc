"""Webhook receivers, good and bad, that note what reached them."""

import hashlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.faults.events import EventLog

HANG_S = 60.0
"""Longer than any delivery may take."""
INSIDE = "127.0.0.2"
"""Stands for a private address: nothing but 127.0.0.1 is allowed to receivers."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, receivers: "Receivers") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receivers = receivers

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hung up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.path.strip("/").partition("/")[0]
        self.server.receivers.note(kind, dict(self.headers.items()), body)
        getattr(self, f"_{kind}")()

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _ok(self) -> None:
        self._answer(204)

    def _500(self) -> None:
        self._answer(500)

    def _once(self) -> None:
        again = self.server.receivers.knows(self.headers["webhook-id"])
        self._answer(204 if again else 500)

    def _hang(self) -> None:
        self.server.receivers.stopping.wait(HANG_S)
        self.close_connection = True

    def _drip(self) -> None:
        self.close_connection = True
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
            if self.server.receivers.stopping.wait(1):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def _inward(self) -> None:
        self._answer(307, Location=f"http://{INSIDE}:{self.server.receivers.inside_port}/")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Receivers:
    """One server for all kinds, `/ok`, `/500`, `/once` (500 at the first attempt), `/hang`, `/drip`
    and `/inward`, and a trap that nothing may connect to.

    Attributes:
        trapped: connections to the trap so far.
    """

    def __init__(self, log: EventLog, secret: str) -> None:
        self._log = log
        self._webhook = Webhook(secret)
        self.stopping = threading.Event()
        self.trapped = 0
        self._known: set[str] = set()
        self._server = _Server(self)
        self.port = self._server.server_port
        self._trap = socket.create_server((INSIDE, 0))
        self.inside_port = int(self._trap.getsockname()[1])
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True),
            threading.Thread(target=self._watch_trap, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def url(self, kind: str, host: str = "127.0.0.1") -> str:
        """Return the address of a kind of receiver."""
        return f"http://{host}:{self.port}/{kind}"

    def note(self, kind: str, headers: dict[str, str], body: bytes) -> None:
        """Write down what came, and whether its signature holds."""
        told = json.loads(body)
        try:
            self._webhook.verify(body, {name.lower(): value for name, value in headers.items()})
            signed = True
        except WebhookVerificationError:
            signed = False
        self._log.write(
            "received",
            kind=kind,
            delivery={name.lower(): value for name, value in headers.items()}["webhook-id"],
            job=told["data"]["id"],
            type=told["type"],
            body_sha256=hashlib.sha256(body).hexdigest(),
            signed=signed,
            wall=time.time(),
        )

    def knows(self, delivery: str) -> bool:
        """Return whether a delivery has been asked about before; from now on it has."""
        known = delivery in self._known
        self._known.add(delivery)
        return known

    def _watch_trap(self) -> None:
        while True:
            try:
                connection, _ = self._trap.accept()
            except OSError:
                return
            self.trapped += 1
            connection.close()

    def close(self) -> None:
        """Stop listening and let go of whoever hangs."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._trap.close()
