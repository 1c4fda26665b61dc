"""The look for known vulnerabilities, against a service of the test's own."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.audit import main

ADVISORY = {
    "id": "PYSEC-0000-1",
    "summary": "It was made up.",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
            "versions": ["3.10"],
        }
    ],
}

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]
Serve = Callable[[Answer], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a service that answers as it is told; return its address."""
    with ExitStack() as stack:

        def start(answer: Answer) -> str:
            class Service(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    question = json.loads(self.rfile.read(int(self.headers["content-length"])))
                    status, body = answer(question)
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    """Say nothing."""

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Service))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/v1/query"

        yield start


@pytest.fixture
def packages(tmp_path: Path) -> list[str]:
    """Arguments by which two packages are looked at instead of all that are installed."""
    listed = tmp_path / "packages.txt"
    listed.write_text("idna==3.10\ncertifi==2025.1.31\n")
    return ["--requirement", str(listed), "--no-deps", "--disable-pip"]


def test_packages_without_a_known_vulnerability_pass(
    serve: Serve, packages: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        asked.append(question["package"]["name"])
        return 200, b"{}"

    assert main(packages, service_url=serve(answer)) == 0
    assert "No known vulnerabilities found" in capfd.readouterr().err
    assert asked == ["pip", "idna", "certifi"]


def vulnerable(question: dict[str, Any]) -> tuple[int, bytes]:
    found = {"vulns": [ADVISORY]} if question["package"]["name"] == "idna" else {}
    return 200, json.dumps(found).encode()


def test_a_vulnerable_package_fails_and_is_named(
    serve: Serve, packages: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(packages, service_url=serve(vulnerable)) == 1
    table = capfd.readouterr().out
    assert "idna" in table
    assert "PYSEC-0000-1" in table
    assert "9.9" in table
    assert "certifi" not in table


def test_a_vulnerability_that_is_known_and_accepted_passes(
    serve: Serve, packages: list[str]
) -> None:
    accepted = [*packages, "--ignore-vuln", "PYSEC-0000-1"]
    assert main(accepted, service_url=serve(vulnerable)) == 0


def test_a_service_that_breaks_off_in_between_is_no_pass(serve: Serve, packages: list[str]) -> None:
    asked = []

    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        asked.append(question["package"]["name"])
        return (500, b"") if asked[-1] == "certifi" else (200, b"{}")

    assert main(packages, service_url=serve(answer)) != 0
    assert asked == ["pip", "idna", "certifi"]


def skipped(said: str, why: str) -> None:
    (line,) = said.splitlines()
    assert line.startswith("pip-audit skipped")
    assert why in line


def test_a_service_that_is_not_there_is_skipped_in_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main([], service_url=f"http://127.0.0.1:{port}/v1/query") == 0
    skipped("".join(capfd.readouterr()), "ConnectError")


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b"", "answers 404"),
        (403, b"<html>blocked</html>", "answers 403"),
        (200, b"<html>sign in</html>", "not answer in JSON"),
        (200, b"[]", "not answer as the service does"),
    ],
)
def test_something_else_in_the_services_place_is_skipped_in_one_line(
    serve: Serve, capfd: pytest.CaptureFixture[str], status: int, body: bytes, why: str
) -> None:
    assert main([], service_url=serve(lambda _: (status, body))) == 0
    skipped("".join(capfd.readouterr()), why)


def test_a_service_that_is_too_slow_is_left_and_skipped(
    serve: Serve, packages: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    left = threading.Event()

    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        if question["package"]["name"] != "pip":
            left.wait(30)
        return 200, b"{}"

    began = time.monotonic()
    assert main(packages, service_url=serve(answer), timeout_s=3) == 0
    left.set()
    assert time.monotonic() - began < 15
    skipped(capfd.readouterr().out, "did not get through")
