"""Clients that hold a connection and do nothing with it: cut off, and in nobody's way meanwhile."""

import os
import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer
from tests.integration.gateway.conftest import MANIFEST, Cluster, Starter, in_a_process

MIB = 1024 * 1024
LARGE = 64 * MIB


def large_audio(cluster: Cluster, size: int = LARGE) -> str:
    """Finish a job whose file is that large; return where it is."""
    job = cluster.submit()
    cluster.plan()
    cluster.render()
    cluster.assemble(audio=bytes(size))
    return f"/v1/jobs/{job['id']}/audio"


def ask(cluster: Cluster, path: str) -> socket.socket:
    """Ask for a file over a connection that takes in little by itself."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", cluster.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    return connection


def resident_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def open_connections(cluster: Cluster) -> int:
    return len(cluster.server.server_state.connections)


def until_closed(cluster: Cluster, kept: int) -> float:
    """Wait until the gateway has no more connections than `kept`; return for how long."""
    began = time.monotonic()
    while open_connections(cluster) > kept:
        assert time.monotonic() - began < 20
        time.sleep(0.02)
    return time.monotonic() - began


def test_an_answer_that_is_never_read_is_given_up(start: Starter) -> None:
    cluster = start(unread_timeout_s=0.5)
    path = large_audio(cluster)
    kept = open_connections(cluster)
    with closing(ask(cluster, path)) as connection:
        connection.recv(1000)
        assert open_connections(cluster) == kept + 1
        assert until_closed(cluster, kept) < 5
        read = 0  # what the kernels held is still there
        with suppress(ConnectionResetError):
            while chunk := connection.recv(MIB):
                read += len(chunk)
        assert read < LARGE / 2


def test_a_slow_reader_gets_the_whole_file(start: Starter) -> None:
    cluster = start(unread_timeout_s=0.5)
    path = large_audio(cluster, size=8 * MIB)
    began = time.monotonic()
    with closing(ask(cluster, path)) as connection:
        read = len(connection.recv(1000).partition(b"\r\n\r\n")[2])
        while read < 8 * MIB:
            chunk = connection.recv(MIB // 4)
            assert chunk, "hung up on"
            read += len(chunk)
            time.sleep(0.01)
    assert time.monotonic() - began > 1, "the reader was not slower than the bound"


@pytest.mark.parametrize("last", [True, False], ids=["to be closed", "kept open"])
def test_a_small_answer_that_is_never_read_is_given_up_too(start: Starter, last: bool) -> None:
    cluster = start(unread_timeout_s=0.5)
    for n in range(20):
        cluster.submit(f"Text {n}.", metadata={"k": "v" * 512})
    kept = open_connections(cluster)
    head = b"GET /v1/jobs HTTP/1.1\r\nHost: here\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", cluster.port))
        connection.settimeout(5)
        # One answer fits into the kernels; of many some bytes are left with the gateway.
        connection.sendall((head + b"\r\n") * 400 + head + b"Connection: close\r\n\r\n" * last)
        until_closed(cluster, kept)


def test_files_that_nobody_reads_are_not_held_in_memory_and_hold_up_nobody(
    start: Starter,
) -> None:
    cluster = start()
    path = large_audio(cluster)
    before = resident_mib()
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(closing(ask(cluster, path)))
        time.sleep(1)
        assert resident_mib() - before < 200, "20 files of 64 MiB were asked for"
        began = time.monotonic()
        assert cluster.http.get("/health/live").status_code == 200
        assert cluster.submit()["status"] == "queued"
        assert time.monotonic() - began < 2


def test_a_connection_idle_between_requests_is_closed(start: Starter) -> None:
    cluster = start(keep_alive_s=1)
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=20) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        assert connection.recv(4096) == b""
        assert 0.5 < time.monotonic() - began < 5


def test_500_idle_connections_stop_nobody(
    redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    redis_client.set("kc:engine", MANIFEST.to_json())
    with in_a_process(redis_server, tmp_path) as process, ExitStack() as stack:
        for n in range(500):
            connection = socket.create_connection(("127.0.0.1", process.port), timeout=20)
            stack.enter_context(connection)
            if n % 2:  # these have begun a head, the others are silent
                connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        for _ in range(20):
            answer = process.http.post("/v1/jobs", json={"input": "Still served."})
            assert answer.status_code == 202
        assert time.monotonic() - began < 5
