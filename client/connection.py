"""What the sync and the async client share: the address, the key, and httpx's settings."""

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import httpx

from client.errors import InvalidUse, KokoroClusterError, Unreachable, UnreadableAnswer

DEFAULT_URL = "http://127.0.0.1:8880"
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class Address:
    """Where a cluster is, and the key for it.

    Raises:
        InvalidUse: the URL is no HTTP URL, or the key can't stand in a header.
    """

    url: str = DEFAULT_URL
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check both."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
            _ = parts.port
        except ValueError:
            usable = False
        if not usable:
            raise InvalidUse(f"{self.url!r} is no address of a cluster, such as {DEFAULT_URL}.")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise InvalidUse("The API key has characters that no key has.")

    def options(self) -> dict[str, Any]:
        """Return the arguments for an httpx client."""
        headers = {"User-Agent": user_agent(), "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return {
            "base_url": self.url.rstrip("/"),
            "headers": headers,
            "timeout": httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # A proxy for the world outside is of no use on the way to this very machine.
            "trust_env": urlsplit(self.url).hostname not in _LOOPBACK,
        }

    def error(self, error: httpx.HTTPError) -> KokoroClusterError:
        """Return what a failure of httpx means to the caller."""
        what = str(error) or type(error).__name__
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            return InvalidUse(f"The request can't be sent: {what}")
        if isinstance(error, httpx.TransportError):
            return Unreachable(f"No answer from {self.url}: {what}")
        return UnreadableAnswer(f"{self.url} answers as no cluster does: {what}")


def user_agent() -> str:
    """Return the name this client goes by."""
    try:
        return f"kokoro-cluster-client/{version('kokoro-cluster')}"
    except PackageNotFoundError:
        return "kokoro-cluster-client"
