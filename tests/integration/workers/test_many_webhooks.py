"""One receiver with many webhooks due."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.integration.workers.conftest import Cluster


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(0.05)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_receiver_with_many_webhooks_due_gets_them_without_pauses(cluster: Cluster) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for n in range(80):
        uid = cluster.ledger.accept(
            f"job {n}",
            webhook_url=f"http://127.0.0.1:{server.server_port}/",
            webhook_host="127.0.0.1",
            webhook_events="job.canceled",
        )
        cluster.ledger.ask(lambda intake, uid=uid: intake.cancel(uid))  # type: ignore[misc]
    cluster.start(
        "deliver",
        webhook_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        webhook_allow_private="127.0.0.0/8",
        webhook_ports="*",
    )
    first = cluster.wait(lambda: cluster.client.hget("kc:totals", "webhook_delivered")) and (
        time.monotonic()
    )
    cluster.wait(lambda: cluster.client.hget("kc:totals", "webhook_delivered") == b"80", 30)
    assert time.monotonic() - first < 3
    server.shutdown()
    server.server_close()
