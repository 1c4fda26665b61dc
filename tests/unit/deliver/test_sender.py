import gzip
import os
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from shared.addresses import AddressRules, parse_rules
from worker.deliver.schedule import MAX_RETRY_AFTER_S
from worker.deliver.sender import Attempt, Failure, Verdict, parse_retry_after, send, verdict
from worker.deliver.signing import generate_secret, sign

BODY = b'{"type":"job.succeeded"}'
LOOPBACK = parse_rules("127.0.0.0/8", "*")


def answer(head: str, body: bytes = b"") -> Callable[[socket.socket, threading.Event], None]:
    def script(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    return script


OK = answer("HTTP/1.1 204 No Content")


def silent(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(10)


def post(url: str, **options: Any) -> Attempt:
    return send(url, BODY, {}, **{"rules": LOOPBACK, **options})


def names(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    return lambda host, port: list(addresses)


def test_a_2xx_is_delivered_with_exactly_the_bytes_and_headers_given(serve: Any) -> None:
    receiver = serve(answer("HTTP/1.1 200 OK\nContent-Length: 4", b"fine"))
    attempt = send(receiver.url, BODY, {"webhook-id": "whd_1"}, rules=LOOPBACK)
    assert verdict(attempt) is Verdict.DELIVERED
    assert (attempt.status, attempt.error, attempt.response_excerpt) == (200, None, "fine")
    assert attempt.address == "127.0.0.1"
    assert 0 < attempt.duration_s < 5
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook HTTP/1.1"
    assert body == BODY
    assert f"Host: 127.0.0.1:{receiver.port}" in lines
    assert "webhook-id: whd_1" in lines
    assert "Content-Type: application/json" in lines
    assert "Accept-Encoding: identity" in lines


def test_path_and_query_arrive_as_written(serve: Any) -> None:
    receiver = serve(OK)
    post(f"http://127.0.0.1:{receiver.port}?a=%20b&c=/../d")
    assert receiver.requests[0].startswith(b"POST /?a=%20b&c=/../d HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.RETRY),
        (304, Verdict.RETRY),
        (400, Verdict.RETRY),
        (404, Verdict.RETRY),
        (410, Verdict.GIVE_UP),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
    ],
)
def test_only_2xx_delivers_and_only_410_gives_up(
    serve: Any, status: int, expected: Verdict
) -> None:
    receiver = serve(answer(f"HTTP/1.1 {status} X\nContent-Length: 0"))
    attempt = post(receiver.url)
    assert (attempt.status, verdict(attempt)) == (status, expected)


def test_a_redirect_is_not_followed_not_even_inward(serve: Any) -> None:
    inward = serve(OK, host="127.0.0.2")
    receiver = serve(answer(f"HTTP/1.1 302 Found\nLocation: {inward.url}\nContent-Length: 0"))
    attempt = post(receiver.url)
    assert (attempt.status, verdict(attempt)) == (302, Verdict.RETRY)
    assert inward.connections == 0


def test_retry_after_is_reported(serve: Any) -> None:
    receiver = serve(answer("HTTP/1.1 503 Busy\nretry-after: 120\nContent-Length: 0"))
    assert post(receiver.url).retry_after_s == 120


def test_nothing_listening_is_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    attempt = post(f"http://127.0.0.1:{port}/")
    assert (attempt.status, attempt.error) == (None, Failure.CONNECT_FAILED)
    assert verdict(attempt) is Verdict.RETRY


def test_a_host_that_never_accepts_is_cut_off_at_the_connect_timeout() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        # Fill the queue of connections nobody accepts; the kernel then drops what comes.
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        attempt = post(f"http://127.0.0.1:{port}/", connect_timeout_s=0.3)
        for client in waiting:
            client.close()
    assert attempt.error is Failure.CONNECT_TIMEOUT
    assert 0.2 < attempt.duration_s < 4


def test_a_receiver_that_never_answers_is_cut_off_at_the_total_timeout(serve: Any) -> None:
    attempt = post(serve(silent).url, total_timeout_s=0.3)
    assert attempt.error is Failure.TIMEOUT
    assert 0.2 < attempt.duration_s < 4


def test_headers_that_drip_are_cut_off_at_the_total_timeout(serve: Any) -> None:
    def drip(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.05):
            connection.sendall(b"a")

    attempt = post(serve(drip).url, total_timeout_s=0.5)
    assert attempt.error is Failure.TIMEOUT
    assert 0.4 < attempt.duration_s < 4


def test_endless_interim_responses_are_cut_off_at_the_total_timeout(serve: Any) -> None:
    def interim(connection: socket.socket, stop: threading.Event) -> None:
        while not stop.wait(0.01):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    attempt = post(serve(interim).url, total_timeout_s=0.4)
    assert attempt.error is Failure.TIMEOUT
    assert attempt.duration_s < 4


def test_a_body_that_drips_is_cut_off_and_the_status_before_it_counts(serve: Any) -> None:
    def drip(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b"a")

    attempt = post(serve(drip).url, total_timeout_s=0.5)
    assert verdict(attempt) is Verdict.DELIVERED
    assert set(attempt.response_excerpt) == {"a"}
    assert 0.4 < attempt.duration_s < 4


def test_an_endless_body_is_read_no_further_than_its_bound(serve: Any) -> None:
    sent = 0

    def flood(connection: socket.socket, stop: threading.Event) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 500 Oops\r\n\r\n")
        while not stop.is_set():
            connection.sendall(b"x" * 65_536)
            sent += 65_536

    attempt = post(serve(flood).url)
    assert (attempt.status, attempt.response_excerpt) == (500, "x" * 1024)
    assert attempt.duration_s < 5
    assert sent < 64 * 1024 * 1024  # no more than the sockets' buffers took in


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_compressed_answer_is_never_unpacked(serve: Any, coding: str) -> None:
    bomb = gzip.compress(bytes(100 * 1024 * 1024))
    assert len(bomb) < 200_000
    head = f"HTTP/1.1 500 Oops\nContent-Encoding: {coding}\nContent-Length: {len(bomb)}"
    receiver = serve(answer(head, bomb))
    tracemalloc.start()
    attempt = post(receiver.url)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert attempt.status == 500
    assert attempt.response_excerpt.startswith(r"\x1f\x8b")
    assert len(attempt.response_excerpt) == 1024
    assert peak < 4 * 1024 * 1024


def test_endless_headers_are_refused(serve: Any) -> None:
    def flood(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stop.is_set():
            connection.sendall(b"X-More: " + b"x" * 8192 + b"\r\n")

    assert post(serve(flood).url).error is Failure.BAD_RESPONSE


@pytest.mark.parametrize(
    ("said", "failure"),
    [(b"", Failure.BAD_RESPONSE), (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Failure.BAD_RESPONSE)],
)
def test_what_is_not_http_is_a_failure_and_never_an_exception(
    serve: Any, said: bytes, failure: Failure
) -> None:
    attempt = post(serve(lambda connection, stop: connection.sendall(said)).url)
    assert (attempt.status, attempt.error) == (None, failure)


def test_a_connection_reset_is_a_failure_and_never_an_exception(serve: Any) -> None:
    def reset(connection: socket.socket, stop: threading.Event) -> None:
        linger_no_time = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)

    assert post(serve(reset).url).error is Failure.CONNECTION_LOST


def test_the_excerpt_cannot_steer_a_terminal_or_break_a_line(serve: Any) -> None:
    body = "\x1b[2Jé\n\u202etxt".encode() + b"\xff"
    receiver = serve(answer(f"HTTP/1.1 500 Oops\nContent-Length: {len(body)}", body))
    assert post(receiver.url).response_excerpt == r"\x1b[2Jé\n\u202etxt\xff"


def test_a_name_is_looked_up_once_and_only_what_was_checked_is_connected_to(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = serve(OK)
    rebound = serve(OK, host="127.0.0.2", port=checked.port)
    lookups = []

    def rebinding(host: str, port: int) -> list[str]:
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["127.0.0.2"]

    def elsewhere(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", checked.port))]

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
    attempt = post(
        f"http://hooks.example:{checked.port}/",
        rules=parse_rules("127.0.0.1/32", "*"),
        resolver=rebinding,
    )
    assert attempt.status == 204
    assert lookups == ["hooks.example"]
    assert (checked.connections, rebound.connections) == (1, 0)
    assert f"Host: hooks.example:{checked.port}\r\n".encode() in checked.requests[0]


@pytest.mark.parametrize("found", [("127.0.0.1",), ("93.184.215.14", "127.0.0.1"), ("::1",)])
def test_a_name_that_points_inward_is_never_connected_to(
    serve: Any, found: tuple[str, ...]
) -> None:
    receiver = serve(OK)
    attempt = post(
        f"http://hooks.example:{receiver.port}/",
        rules=AddressRules(ports=None),
        resolver=names(*found),
    )
    assert (attempt.status, attempt.error) == (None, Failure.FORBIDDEN)
    assert receiver.connections == 0


def test_a_name_without_address_is_a_failure_to_retry() -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    attempt = post("http://hooks.example/", resolver=nothing)
    assert attempt.error is Failure.UNRESOLVABLE
    assert verdict(attempt) is Verdict.RETRY


def test_a_name_server_that_hangs_is_cut_off_too() -> None:
    release = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        release.wait(30)
        return []

    attempt = post("http://hooks.example/", resolver=hang, connect_timeout_s=0.2)
    release.set()
    assert attempt.error is Failure.UNRESOLVABLE
    assert attempt.duration_s < 4


def test_a_url_that_cannot_be_called_is_a_failure_and_never_an_exception() -> None:
    assert post("ftp://hooks.example/").error is Failure.INVALID_URL


def test_the_second_address_is_tried_when_the_first_refuses(serve: Any) -> None:
    receiver = serve(OK)
    attempt = post(
        f"http://hooks.example:{receiver.port}/", resolver=names("127.0.0.3", "127.0.0.1")
    )
    assert (attempt.status, attempt.address) == (204, "127.0.0.1")


def test_proxies_in_the_environment_are_ignored(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, receiver = serve(OK), serve(OK)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv(name.lower(), os.environ[name])
    assert post(receiver.url).status == 204
    assert (proxy.connections, receiver.connections) == (0, 1)


def test_tls_asks_for_and_verifies_the_name_while_connected_to_the_address(
    serve: Any, certificate: Any
) -> None:
    asked_for = []
    certificate.server.sni_callback = lambda _, name, __: asked_for.append(name)
    receiver = serve(OK, tls=certificate.server)
    attempt = post(
        f"https://hooks.example:{receiver.port}/",
        resolver=names("127.0.0.1"),
        ssl_context=certificate.client,
    )
    assert (attempt.status, attempt.error) == (204, None)
    assert asked_for == ["hooks.example"]


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1", f"{'a' * 63}.{'b' * 63}.example"])
def test_a_certificate_for_another_name_is_refused_before_anything_is_sent(
    serve: Any, certificate: Any, host: str
) -> None:
    receiver = serve(OK, tls=certificate.server)
    attempt = post(
        f"https://{host}:{receiver.port}/",
        resolver=names("127.0.0.1"),
        ssl_context=certificate.client,
    )
    assert attempt.error is Failure.TLS_FAILED
    assert receiver.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(serve: Any, certificate: Any) -> None:
    receiver = serve(OK, tls=certificate.server)
    url = f"https://hooks.example:{receiver.port}/"
    assert post(url, resolver=names("127.0.0.1")).error is Failure.TLS_FAILED


def test_tls_that_drips_is_cut_off_at_the_connect_timeout(serve: Any) -> None:
    def drip(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB begins
        while not stop.wait(0.05):
            connection.sendall(b"\x02")

    receiver = serve(drip, read_first=False)
    attempt = post(
        f"https://127.0.0.1:{receiver.port}/",
        connect_timeout_s=0.4,
        ssl_context=ssl.create_default_context(),
    )
    assert attempt.error in (Failure.CONNECT_TIMEOUT, Failure.TLS_FAILED)
    assert attempt.duration_s < 4


def test_an_attempt_leaves_no_socket_open(serve: Any) -> None:
    receiver = serve(silent)
    post(receiver.url, total_timeout_s=0.1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        post(receiver.url, total_timeout_s=0.1)
    # The receiver's own five ends are in this process, and still open.
    assert len(os.listdir("/proc/self/fd")) <= before + 5


def test_repeats_carry_the_same_id_and_bytes_and_verify(serve: Any) -> None:
    receiver = serve(answer("HTTP/1.1 500 Oops\nContent-Length: 0"))
    secret = generate_secret()
    for attempted_at_s in (time.time() - 60, time.time()):
        send(receiver.url, BODY, sign("whd_1", attempted_at_s, BODY, [secret]), rules=LOOPBACK)
    ids, bodies = set(), set()
    for request in receiver.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert Webhook(secret).verify(body, headers) == {"type": "job.succeeded"}
        ids.add(headers["webhook-id"])
        bodies.add(body)
    assert (len(receiver.requests), ids, bodies) == (2, {"whd_1"}, {BODY})


NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ("0", 0),
        ("120", 120),
        (" 30 ", 30),
        ("9" * 5000, MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 2026 12:01:00 -0000", 60),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(
    value: str, expected_s: float | None
) -> None:
    assert parse_retry_after(value, NOON) == expected_s
