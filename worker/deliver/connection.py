"""The network as a delivery sees it: a few checked addresses, and one deadline for everything.

httpcore takes a backend of one's own; this one ignores the host it is told to connect to and goes
to the checked addresses, while TLS still verifies the host's name. Timeouts of HTTP libraries are
per read, so that a receiver dripping a byte a second is never too slow for them; here every
operation gets only what is left until the deadline.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from shared.addresses import Address

MAX_TRIED = 4
"""How many of a host's addresses one attempt tries to connect to."""


class TlsFailed(httpcore.ConnectError):
    """The handshake failed, or the certificate is not the host's."""


@dataclass(frozen=True)
class Within:
    """What a connection is bound to.

    Attributes:
        deadline_s: when all ends, of `time.monotonic`.
        connect_deadline_s: when a connection must stand, TLS included; not after `deadline_s`.
        ssl_context: verifies certificates; shared by threads, so nobody may change it.
    """

    deadline_s: float
    connect_deadline_s: float
    ssl_context: ssl.SSLContext


class DeadlineStream(httpcore.NetworkStream):
    """A connected socket that answers until its deadline and no longer."""

    def __init__(self, sock: socket.socket, within: "Within") -> None:
        """Take over a connected socket; it is closed with the stream."""
        self._sock = sock
        self._within = within

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return up to `max_bytes`, or raise `httpcore.ReadTimeout` or `httpcore.ReadError`."""
        with _errors_as(httpcore.ReadTimeout, httpcore.ReadError):
            self._sock.settimeout(_left_s(self._within.deadline_s))
            return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`, or raise `httpcore.WriteTimeout` or `httpcore.WriteError`."""
        left = memoryview(buffer)
        with _errors_as(httpcore.WriteTimeout, httpcore.WriteError):
            while left:
                self._sock.settimeout(_left_s(self._within.deadline_s))
                left = left[self._sock.send(left) :]

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the stream inside TLS, or raise `httpcore.ConnectTimeout` or `TlsFailed`.

        The handshake is part of connecting, and Python bounds all of it by the socket's timeout.
        httpcore's context is not used: it sets ALPN on that for every connection, which OpenSSL
        does not allow while another thread is connecting with the same one.
        """
        try:
            with _errors_as(httpcore.ConnectTimeout, TlsFailed):
                self._sock.settimeout(_left_s(self._within.connect_deadline_s))
                context = self._within.ssl_context
                sock = context.wrap_socket(self._sock, server_hostname=server_hostname)
        except (httpcore.ConnectTimeout, TlsFailed):
            self.close()
            raise
        return DeadlineStream(sock, self._within)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for of a connection it may use once only."""
        return (
            self._sock if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket) else None
        )


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to the given addresses and no other, whatever host it is asked for."""

    def __init__(self, addresses: Sequence[Address], within: Within) -> None:
        """Take the addresses, checked and best first; at least one."""
        self._addresses = addresses[:MAX_TRIED]
        self._within = within
        self.connected: Address | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that lets us.

        The time is shared out evenly over the addresses not tried yet, so that a host whose
        first address is dead can still be reached at its second.

        Raises:
            httpcore.ConnectTimeout: the last one tried did not answer in its time.
            httpcore.ConnectError: the last one tried refused.
        """
        *others, last = self._addresses
        for place, address in enumerate(others):
            try:
                return self._connect(address, port, untried=len(self._addresses) - place)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, untried=1)

    def _connect(self, address: Address, port: int, untried: int) -> httpcore.NetworkStream:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with _errors_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            timeout_s = _left_s(self._within.connect_deadline_s) / untried
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout_s)
                sock.connect((str(address), port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                raise
        self.connected = address
        return DeadlineStream(sock, self._within)


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the deadline has passed")
    return left_s


@contextmanager
def _errors_as(timeout: type[Exception], other: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise other(str(error)) from error
