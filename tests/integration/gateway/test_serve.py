"""The server's process: how it refuses to start, and how it ends."""

import signal
import socket
import time
from pathlib import Path

import httpx

from deploy.doctor.finding import Verdict
from deploy.doctor.machine import examine_machine
from deploy.redis_server import RedisServer
from tests.conftest import free_port
from tests.integration.gateway.conftest import Cluster, spawn_gateway, wait_until_live


def test_a_taken_port_is_one_readable_line_that_names_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn_gateway(tmp_path, port=port)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.strip() == (
        f"Port {port} on 127.0.0.1 is taken. Choose another: KC_PORT={port + 1}."
    )


def test_an_address_open_to_strangers_needs_keys(tmp_path: Path) -> None:
    process = spawn_gateway(tmp_path, host="0.0.0.0", port=free_port())
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(said.strip().splitlines()) == 1
    assert "KC_API_KEYS_FILE" in said and "KC_INSECURE=1" in said


def test_it_serves_until_it_is_told_to_stop_and_logs_no_text(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        port = free_port()
        process = spawn_gateway(tmp_path, port=port, redis_url=redis_server.url)
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, trust_env=False) as http:
            wait_until_live(process, http)
            http.post("/v1/jobs", json={"input": "a private sentence"})
        process.send_signal(number)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert time.monotonic() - began < 5
        assert '"route": "/v1/jobs"' in said
        assert "private sentence" not in said


def test_the_doctor_takes_a_gateway_on_its_port_for_what_it_is(cluster: Cluster) -> None:
    (port,) = [found for found in examine_machine(cluster.settings) if found.check == "port"]
    assert port.verdict is Verdict.OK
    assert "gateway serves" in port.detail
