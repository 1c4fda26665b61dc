"""Fixtures every test may use: a real Redis, and free ports."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server process for all tests of this process."""
    folder: Path = tmp_path_factory.mktemp("redis")
    server = RedisServer(folder, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client on an empty database."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client
