"""The command by which Compose and Kubernetes start Redis, run here on the machine's own server."""

import subprocess
import time
from pathlib import Path

import pytest
import redis

from deploy.redis_server import find_server
from tests.conftest import free_port
from tests.unit.deploy.compose import load


def test_redis_starts_by_its_command_keeps_everything_and_lets_in_only_who_knows_the_password(
    tmp_path: Path,
) -> None:
    service = load(["compose.yaml"], {"REDIS_PASSWORD": "a" * 64})["services"]["redis"]
    shell, flags, script = service["command"]
    assert "a" * 64 not in script, "the password is not among the arguments"
    (tmp_path / "data").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(find_server())
    script = script.replace("/tmp/", f"{tmp_path}/").replace(
        "--dir /data", f"--dir {tmp_path}/data"
    )
    port = free_port()
    process = subprocess.Popen(
        [shell, flags, f"{script.rstrip()} --port {port}"],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", **service["environment"]},
        stdout=subprocess.PIPE,
    )
    try:
        with redis.Redis(port=port, password="a" * 64) as client:
            until = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < until
                    time.sleep(0.05)
            found = client.config_get("appendonly", "appendfsync", "maxmemory-policy")
        assert found == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0
    finally:
        process.terminate()  # which the shell, having become the server, hears
        process.communicate(timeout=10)
    assert process.returncode == 0
