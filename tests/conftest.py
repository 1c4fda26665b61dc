"""Fixtures every test may use: a real Redis, free ports, and a turn of one's own."""

import contextlib
import fcntl
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer

PORTS = range(12_000, 30_000)
"""Below those the system gives to whoever connects: a port whose server is killed by a test stays
free until it is started again, also of clients that happen to connect to themselves."""


def free_port() -> int:
    """Return a loopback port that is free now, and is given to nobody who did not ask for it."""
    for _ in range(100):
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


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


@pytest.fixture
def one_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of this test run has it: for tests with bounds in seconds."""
    # Beside the folder of each of xdist's processes is that of the run.
    with (tmp_path_factory.getbasetemp().parent / "faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
