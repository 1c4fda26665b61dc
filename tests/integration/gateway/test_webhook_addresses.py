"""A webhook is no way into the network: by its URL, its name, or what its receiver answers."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from shared.bell import Stage
from shared.lookup import system_resolver
from tests.integration.gateway.conftest import Cluster, Starter
from worker import way
from worker.context import build_stage, new_incarnation

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.192",
        "224.0.0.1",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "①②⑦.0.0.1",
        "１２７。０。０。１",
        "inward.example",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_url_that_leads_inward_is_refused(cluster: Cluster, scheme: str, host: str) -> None:
    error = cluster.refused({"input": "Hi.", "webhook": {"url": f"{scheme}://{host}/hook"}})
    assert (error["code"], error["param"]) == ("webhook_address_forbidden", "webhook.url")


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.1./",
        "http://00000127.0.0.1/",
        "http://1.1.1.256/",
        "http://[::1%25lo]/",
        "http://[fe80::1%eth0]/",
        "http://[::1/",
        "http://user@public.example/",
        "http://user:secret@public.example/",
        "http://public.example@127.0.0.1/",
        "http://public.example:80@127.0.0.1/",
        "http://public.example%40127.0.0.1/",
        "http://127.0.0.1\\@public.example/",
        "http://public.example#@127.0.0.1/",
        "http://127.0.0.1%2f@public.example/",
        "http://%31%32%37.0.0.1/",
        "http://public.example:0/",
        "http://public.example:65536/",
        "http://public.example:80:22/",
        "http://public.example:８０/",
        "http://public.example:+80/",
        "http://public.example\r\nHost: 127.0.0.1/",
        "http:///127.0.0.1/",
        "http:/127.0.0.1/",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://public.example/",
        "javascript:alert(1)",
    ],
)
def test_a_url_that_two_parsers_could_read_in_two_ways_is_refused(
    cluster: Cluster, url: str
) -> None:
    error = cluster.refused({"input": "Hi.", "webhook": {"url": url}})
    assert error["code"] in {"invalid_webhook", "webhook_address_forbidden"}
    assert error["param"] == "webhook.url"


@pytest.mark.parametrize("port", [1, 22, 25, 6379, 8080, 65_535])
def test_a_port_that_is_not_on_the_list_is_refused(cluster: Cluster, port: int) -> None:
    url = f"https://public.example:{port}/"
    error = cluster.refused({"input": "Hi.", "webhook": {"url": url}})
    assert (error["code"], error["param"]) == ("webhook_address_forbidden", "webhook.url")


@dataclass
class Names:
    """What the system's resolver answers for `*.example`; all else it answers as ever."""

    addresses: list[str]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names([PUBLIC])
    system: Callable[..., Any] = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if not str(host).endswith(".example"):
            return system(host, port, *rest, **options)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port),
            )
            for address in names.addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return names


@pytest.fixture
def inner() -> Iterator[socket.socket]:
    """A service of the inner network, which nobody may reach."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setblocking(False)
        yield listener


def was_reached(listener: socket.socket) -> bool:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True


def deliver(cluster: Cluster) -> None:
    """Make one attempt, as a deliver worker would."""
    stage = build_stage(Stage.DELIVER, cluster.settings, "deliver.0", new_incarnation("deliver.0"))
    assert way.deliver(stage)


@pytest.mark.parametrize(
    "later",
    [
        ["127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        ["::ffff:127.0.0.1"],
        ["::1"],
        ["169.254.169.254"],
    ],
)
def test_a_name_that_points_inward_only_later_is_never_connected_to(
    start: Starter, names: Names, inner: socket.socket, later: list[str]
) -> None:
    cluster = start(resolver=system_resolver, webhook_ports="*")
    port = inner.getsockname()[1]
    job = cluster.submit(webhook={"url": f"http://rebinding.example:{port}/hook"})
    names.addresses = later
    cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    deliver(cluster)
    assert not was_reached(inner)
    (delivery,) = cluster.http.get(f"/v1/jobs/{job['id']}/deliveries").json()["data"]
    assert delivery["status"] == "pending"
    assert [entry["error"] for entry in delivery["log"]] == ["webhook_address_forbidden"]


def test_the_same_receiver_is_reached_where_the_operator_lets_it(
    start: Starter, names: Names, inner: socket.socket
) -> None:
    cluster = start(
        resolver=system_resolver,
        webhook_ports="*",
        webhook_allow_private="127.0.0.0/8",
        webhook_timeout_s=0.5,
    )
    names.addresses = ["127.0.0.1"]
    job = cluster.submit(webhook={"url": f"http://hooks.example:{inner.getsockname()[1]}/hook"})
    cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    deliver(cluster)
    assert was_reached(inner)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_receiver_that_redirects_inward_is_not_followed(
    start: Starter, inner: socket.socket, status: int
) -> None:
    class Redirect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("Location", f"http://127.0.0.1:{inner.getsockname()[1]}/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    # The redirect leads where even a webhook of its own might go: it is not followed at all.
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as receiver:
        thread = Thread(target=receiver.serve_forever)
        thread.start()
        cluster = start(webhook_ports="*", webhook_allow_private="127.0.0.0/8")
        url = f"http://127.0.0.1:{receiver.server_port}/"
        job = cluster.submit(webhook={"url": url})
        cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
        deliver(cluster)
        receiver.shutdown()
        thread.join(10)
    assert not was_reached(inner)
    (delivery,) = cluster.http.get(f"/v1/jobs/{job['id']}/deliveries").json()["data"]
    assert delivery["status"] == "pending"
    assert [entry["status"] for entry in delivery["log"]] == [status]
