"""The server's process: how it refuses to start, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from deploy.redis_server import RedisServer
from tests.conftest import free_port

SERVE = (
    "from gateway.serve import serve; from shared.settings import load_settings; "
    "from shared.errors import InvalidSettings; import sys\n"
    "try: serve(load_settings())\n"
    "except InvalidSettings as error: sys.exit(error.message)"
)


def serve(tmp_path: Path, **settings: object) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name[:3] != "KC_"}
    environment |= {"KC_" + name.upper(): str(value) for name, value in settings.items()}
    environment |= {"KC_DATA_DIR": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, "-c", SERVE], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_a_taken_port_is_one_readable_line_that_names_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = serve(tmp_path, port=port)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.strip() == (
        f"Port {port} on 127.0.0.1 is taken. Choose another: KC_PORT={port + 1}."
    )


def test_an_address_open_to_strangers_needs_keys(tmp_path: Path) -> None:
    process = serve(tmp_path, host="0.0.0.0", port=free_port())
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(said.strip().splitlines()) == 1
    assert "KC_API_KEYS_FILE" in said and "KC_INSECURE=1" in said


def test_it_serves_until_it_is_told_to_stop_and_logs_no_text(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        port = free_port()
        process = serve(tmp_path, port=port, redis_url=redis_server.url)
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        with httpx.Client(base_url=base, trust_env=False) as http:
            while True:
                try:
                    assert http.get("/health/live").status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.05)
            http.post("/v1/jobs", json={"input": "a private sentence"})
        process.send_signal(number)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert time.monotonic() - began < 5
        assert '"route": "/v1/jobs"' in said
        assert "private sentence" not in said
