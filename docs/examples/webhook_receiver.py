"""Receive Kokoro Cluster's webhooks: verify the signature, print the event, answer.

    pip install standardwebhooks
    KC_WEBHOOK_SECRET=whsec_… python webhook_receiver.py --port 9000

It answers 204 to what is genuine, 400 to what is not, 413 to what is too long. A cluster sends to
this machine only when told to: KC_WEBHOOK_ALLOW_PRIVATE=127.0.0.0/8 KC_WEBHOOK_PORTS=80,443,9000.
"""

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 64 * 1024


class Receiver(BaseHTTPRequestHandler):
    """Answers one webhook."""

    webhook: Webhook
    seen: set[str]
    timeout = 10  # seconds a sender may stay silent

    def do_POST(self) -> None:
        """Verify before anything else: until then, the body is a stranger's."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        try:
            self.webhook.verify(body, dict(self.headers), json_parse=False)
            event = json.loads(body)
        except (WebhookVerificationError, ValueError):
            return self.answer(400)

        # Delivery is at least once, so the same id may come again: do the work only once.
        # (A real receiver remembers ids in its database, in the transaction that does the work.)
        message_id = self.headers["webhook-id"]
        repeat = " (a repeat)" if message_id in self.seen else ""
        self.seen.add(message_id)
        print(f"{message_id} {event['type']} {event['data'].get('id')}{repeat}", flush=True)
        return self.answer(204)

    def answer(self, status: int) -> None:
        """Send a status and no body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: the events are what to see."""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Receive and verify webhooks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "9000")))
    parser.add_argument("--secret", default=os.environ.get("KC_WEBHOOK_SECRET", ""))
    args = parser.parse_args()
    if not args.secret:
        sys.exit("Give the cluster's webhook secret: set KC_WEBHOOK_SECRET, or use --secret.")
    # While the cluster rotates, it signs with both secrets; one of them is enough here.
    Receiver.webhook = Webhook(args.secret.split()[0])
    Receiver.seen = set()
    with ThreadingHTTPServer((args.host, args.port), Receiver) as server:
        print(f"listening on http://{args.host}:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
