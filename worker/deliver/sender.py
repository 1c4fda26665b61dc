"""One attempt to deliver: look up, check, connect to what was checked, POST, read a little.

httpcore is used bare, because each thing a friendlier client adds is a hole here: redirects, a
proxy from the environment, cookies, `.netrc`, and decompression of what a stranger sends.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache

import httpcore
import httpx

from shared.addresses import AddressRules, WebhookTarget, check_url
from shared.errors import ForbiddenAddress, InvalidWebhook, ResolveFailed
from shared.lookup import Resolver, resolve, system_resolver
from worker.deliver.connection import PinnedBackend, TlsFailed, Within
from worker.deliver.schedule import MAX_RETRY_AFTER_S

MAX_EXCERPT_BYTES = 1024
"""How much of a response's body is read at all, and kept for the attempt log."""

USER_AGENT = "kokoro-cluster"


class Failure(StrEnum):
    """Why an attempt got no response."""

    INVALID_URL = InvalidWebhook.code
    """The URL is not one that can be called."""
    FORBIDDEN = ForbiddenAddress.code
    """Its port or address is not permitted; nothing was sent."""
    UNRESOLVABLE = ResolveFailed.code
    """The host's name has no address just now."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection, TLS included, within the time for it."""
    CONNECT_FAILED = "connect_failed"
    """The connection was refused, or there is no route."""
    TLS_FAILED = "tls_failed"
    """The handshake failed, or the certificate is not the host's."""
    TIMEOUT = "timeout"
    """No whole response header within the total time."""
    CONNECTION_LOST = "connection_lost"
    """The receiver hung up before it answered."""
    BAD_RESPONSE = "bad_response"
    """What came back is not HTTP."""


class Verdict(StrEnum):
    """What an attempt means for its delivery."""

    DELIVERED = "delivered"
    """2xx: done."""
    GIVE_UP = "give_up"
    """410: the receiver wants no more of this, ever."""
    RETRY = "retry"
    """Anything else, 3xx included: try again by the schedule."""


@dataclass(frozen=True)
class Attempt:
    """What came of one attempt.

    Attributes:
        status: the HTTP status, or None when there was no response.
        error: why there was none, or None when there was.
        duration_s: from the lookup to the end of what was read.
        response_excerpt: the beginning of the response's body, printable on one line.
        retry_after_s: what the receiver asked for, from 0 to `MAX_RETRY_AFTER_S`.
        address: the address it was sent to, or the first that was tried, for the attempt log.
    """

    status: int | None
    error: Failure | None
    duration_s: float
    response_excerpt: str = ""
    retry_after_s: float | None = None
    address: str | None = None


def verdict(attempt: Attempt) -> Verdict:
    """Say what to do next."""
    if attempt.status is not None and 200 <= attempt.status < 300:
        return Verdict.DELIVERED
    return Verdict.GIVE_UP if attempt.status == 410 else Verdict.RETRY


def send(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    rules: AddressRules,
    connect_timeout_s: float = 3.0,
    total_timeout_s: float = 15.0,
    max_excerpt_bytes: int = MAX_EXCERPT_BYTES,
    resolver: Resolver = system_resolver,
    ssl_context: ssl.SSLContext | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Attempt:
    """POST `body` once and report; nothing a receiver does makes this raise.

    A status that arrived counts, whatever becomes of the body after it.

    Args:
        url: where to; checked anew on each attempt, since names and rules change.
        body: JSON, as signed.
        headers: the signature's.
        rules: where webhooks may go.
        connect_timeout_s: for the lookup, and again for TCP and TLS together.
        total_timeout_s: for everything.
        max_excerpt_bytes: how much of the response's body is read.
        resolver: asked once.
        ssl_context: verifies certificates; default: `SSL_CERT_FILE`, else certifi's list.
        now: the clock that a `Retry-After` date is held against.
    """
    started_s = time.monotonic()
    deadline_s = started_s + total_timeout_s
    address: str | None = None
    try:
        target = check_url(url, rules)
        lookup_s = min(connect_timeout_s, total_timeout_s)
        addresses = resolve(target, rules, resolver, lookup_s)
        address = str(addresses[0])
        context = ssl_context or default_ssl_context()
        connect_deadline_s = min(deadline_s, time.monotonic() + connect_timeout_s)
        backend = PinnedBackend(addresses, Within(deadline_s, connect_deadline_s, context))
        # The backend does TLS with the context above; the pool's would be loaded for nothing.
        blank = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with (
            httpcore.ConnectionPool(ssl_context=blank, network_backend=backend) as pool,
            pool.stream("POST", _url(target), headers=_headers(target, headers), content=body) as r,
        ):
            excerpt = _read(r, max_excerpt_bytes)
            return Attempt(
                status=r.status,
                error=None,
                duration_s=time.monotonic() - started_s,
                response_excerpt=_printable(excerpt),
                retry_after_s=_retry_after_s(r.headers, now()),
                address=str(backend.connected or address),
            )
    except InvalidWebhook:
        failure = Failure.INVALID_URL
    except ForbiddenAddress:
        failure = Failure.FORBIDDEN
    except ResolveFailed:
        failure = Failure.UNRESOLVABLE
    except httpcore.ConnectTimeout:
        failure = Failure.CONNECT_TIMEOUT
    except httpcore.TimeoutException:
        failure = Failure.TIMEOUT
    except TlsFailed:
        failure = Failure.TLS_FAILED
    except httpcore.ConnectError:
        failure = Failure.CONNECT_FAILED
    except httpcore.NetworkError:
        failure = Failure.CONNECTION_LOST
    except httpcore.ProtocolError:
        failure = Failure.BAD_RESPONSE
    return Attempt(None, failure, time.monotonic() - started_s, address=address)


@lru_cache(maxsize=1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the process's context; reading the list of authorities takes tens of ms."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds a `Retry-After` asks for, from 0 to `MAX_RETRY_AFTER_S`.

    Args:
        value: seconds, or an HTTP date (RFC 9110, 10.2.3).
        now: with its time zone.

    Returns:
        None when the value is neither.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        # Thousands of digits are a number too, but not one worth converting.
        return min(float(value[:20]), MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _url(target: WebhookTarget) -> httpcore.URL:
    # The host stays the name: it is what TLS asks for and verifies.
    return httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )


def _headers(target: WebhookTarget, signature: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        ("Host", target.host_header),
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
        *signature.items(),
    ]


def _read(response: httpcore.Response, max_bytes: int) -> bytes:
    read = b""
    try:
        for chunk in response.iter_stream():
            read += chunk
            if len(read) >= max_bytes:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        # The status decides; what there is of the body is for the log only.
        return read[:max_bytes]
    return read[:max_bytes]


def _printable(body: bytes) -> str:
    # A log shown in a terminal or a page must not be steered by what a stranger answers.
    text = body.decode(errors="backslashreplace")
    safe = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(safe)[:MAX_EXCERPT_BYTES]


def _retry_after_s(headers: list[tuple[bytes, bytes]], now: datetime) -> float | None:
    for name, value in headers:
        if name.lower() == b"retry-after":
            return parse_retry_after(value.decode("latin-1"), now)
    return None
