"""The head of a request: how large it may be, how long it may take, and what is no request."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.integration.gateway.conftest import Cluster, Starter

HEAD = b"GET /v1/jobs HTTP/1.1\r\nHost: here\r\n"


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", cluster.port), timeout=20)) as connection:
        yield connection


def answered(connection: socket.socket) -> list[tuple[int, str | None]]:
    """Return the answers until the gateway hangs up: each one's status, and its error's code."""
    with connection.makefile("rb") as stream:
        found = []
        while line := stream.readline():
            size = 0
            while (header := stream.readline()) not in {b"\r\n", b""}:
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            body = json.loads(stream.read(size))
            found.append((int(line.split()[1]), body.get("error", {}).get("code")))
        return found


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X-Long: " + b"x" * 40_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: some value\r\n" % n for n in range(3000)) + b"\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
    ],
    ids=["one header", "many headers", "the address"],
)
def test_a_head_that_is_too_large_is_refused(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    assert answered(connection) == [(431, "head_too_large")]


def test_a_head_without_an_end_is_refused_while_it_grows(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    sent = 0
    try:
        while sent < 10_000_000:
            connection.sendall(b"X-More: " + b"x" * 4000 + b"\r\n")
            sent += 4010
            time.sleep(0.001)
    except OSError:  # hung up on
        assert sent < 1_000_000
        return
    raise AssertionError(f"{sent} bytes of headers were taken in")


def test_a_head_below_the_bound_is_served(connection: socket.socket) -> None:
    head = HEAD + b"X-Long: " + b"x" * 30_000 + b"\r\nConnection: close\r\n\r\n"
    for part in (head[:10], head[10:20_000], head[20_000:]):
        connection.sendall(part)
        time.sleep(0.05)
    assert answered(connection) == [(200, None)]


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nno colon\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["TLS", "words", "no header", "two lengths", "two framings", "no length"],
)
def test_what_is_no_http_is_answered_and_hung_up_on(connection: socket.socket, said: bytes) -> None:
    connection.sendall(said)
    assert answered(connection) == [(400, "malformed_http")]


def test_a_head_that_drips_is_cut(start: Starter) -> None:
    cluster = start(head_timeout_s=0.5)
    with closing(socket.create_connection(("127.0.0.1", cluster.port), timeout=20)) as connection:
        began = time.monotonic()
        connection.sendall(HEAD)
        assert answered(connection) == [(408, "head_too_slow")]
        assert 0.4 < time.monotonic() - began < 5


def test_a_second_head_on_a_connection_has_its_time_too(start: Starter) -> None:
    cluster = start(head_timeout_s=0.5)
    with closing(socket.create_connection(("127.0.0.1", cluster.port), timeout=20)) as connection:
        connection.sendall(HEAD + b"\r\n")
        time.sleep(1)  # idle between two requests: that is another bound's to end
        connection.sendall(HEAD)
        assert answered(connection) == [(200, None), (408, "head_too_slow")]


def test_a_connection_that_says_nothing_is_closed(start: Starter) -> None:
    cluster = start(head_timeout_s=0.5)
    with closing(socket.create_connection(("127.0.0.1", cluster.port), timeout=20)) as connection:
        assert answered(connection) == []


def test_an_answer_under_way_outlasts_a_heads_time(start: Starter) -> None:
    cluster = start(head_timeout_s=0.3)
    answer = cluster.http.post("/v1/jobs", json={"input": "Hi."}, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202


def test_requests_in_one_go_are_answered_in_order(connection: socket.socket) -> None:
    last = b"GET /health/live HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    connection.sendall((HEAD + b"\r\n") * 3 + last)
    assert answered(connection) == [(200, None)] * 4
