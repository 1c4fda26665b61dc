import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.addresses import parse_rules
from worker.deliver.payload import webhook_body
from worker.deliver.sender import send
from worker.deliver.signing import generate_secret, sign

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "webhook_receiver.py"
RULES = parse_rules("127.0.0.0/8", "*")
BODY = webhook_body("job.succeeded", "2026-01-01T12:00:00Z", {"id": "job_1"})


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str
    secret: str

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def receiver() -> Iterator[Running]:
    secret = generate_secret()
    process = subprocess.Popen(
        [sys.executable, EXAMPLE, "--port", "0"],
        env={**os.environ, "KC_WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Running(process, "", secret)
    try:
        running.url = running.line().removeprefix("listening on ")
        yield running
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_the_example_receiver_accepts_what_the_sender_signs(receiver: Running) -> None:
    headers = sign("whd_1", time.time(), BODY, [generate_secret(), receiver.secret])
    for expected in ("whd_1 job.succeeded job_1", "whd_1 job.succeeded job_1 (a repeat)"):
        assert send(receiver.url, BODY, headers, rules=RULES).status == 204
        assert receiver.line() == expected


@pytest.mark.parametrize("fault", ["other secret", "no signature", "garbled", "old"])
def test_the_example_receiver_refuses_what_is_not_genuine(receiver: Running, fault: str) -> None:
    secret = generate_secret() if fault == "other secret" else receiver.secret
    age_s = 3600 if fault == "old" else 0
    headers = sign("whd_1", time.time() - age_s, BODY, [secret])
    if fault == "no signature":
        del headers["webhook-signature"]
    if fault == "garbled":
        headers["webhook-signature"] = "v1"
    assert send(receiver.url, BODY, headers, rules=RULES).status == 400


def test_the_example_receiver_refuses_a_body_that_is_too_long(receiver: Running) -> None:
    connection = http.client.HTTPConnection(receiver.url.split("/")[2], timeout=10)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", "70000")
    connection.endheaders()
    # The answer comes without the body having been read, or even sent.
    assert connection.getresponse().status == 413
    connection.close()


def test_the_example_receiver_says_what_it_needs() -> None:
    environ = {name: v for name, v in os.environ.items() if name != "KC_WEBHOOK_SECRET"}
    ended = subprocess.run(
        [sys.executable, EXAMPLE],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    assert "KC_WEBHOOK_SECRET" in ended.stderr
