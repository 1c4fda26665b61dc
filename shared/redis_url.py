"""Where Redis is: one server, or the primary that sentinels name.

In: an address, `redis://`, `rediss://` (TLS), `redis+sentinel://` or `rediss+sentinel://`, and the
files for TLS. Out: what redis-py and Kombu ask for. All a connection needs is in the address, so
that it can be passed on as one text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

SENTINEL_SUFFIX = "+sentinel"
TLS_SCHEMES = frozenset({"rediss", "rediss" + SENTINEL_SUFFIX})
SENTINEL_PORT, REDIS_PORT = 26_379, 6379
NO = frozenset({"0", "false", "no"})


@dataclass(frozen=True)
class Watched:
    """A primary that sentinels watch, and tell the address of.

    Attributes:
        sentinels: hosts and ports.
        service: the name they watch it under.
        db: number of its database.
        login: `username` and `password` of Redis, where there are any.
        sentinel_login: the same of the sentinels.
        tls: options of redis-py for the sentinels and for Redis; None: without TLS.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    db: int
    login: Mapping[str, str]
    sentinel_login: Mapping[str, str]
    tls: Mapping[str, Any] | None

    @property
    def ssl(self) -> dict[str, Any]:
        """Arguments for a client of redis-py."""
        return {} if self.tls is None else {"ssl": True, **self.tls}


def with_tls_files(url: str, *, ca: Path | None, cert: Path | None, key: Path | None) -> str:
    """Return the address with the files for TLS in it.

    Args:
        url: as the operator wrote it.
        ca: certificates that the server's is trusted by; None: those of the system.
        cert: this side's certificate, where the server asks for one.
        key: its key.

    Raises:
        ValueError: they don't fit one another.
    """
    named = {"ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": key}
    files = {name: str(path.absolute()) for name, path in named.items() if path is not None}
    if not files:
        return url
    parts = urlsplit(url)
    if parts.scheme not in TLS_SCHEMES:
        raise ValueError(f"a file for TLS is set, and KC_REDIS_URL begins with {parts.scheme}://")
    if (cert is None) != (key is None):
        raise ValueError("KC_REDIS_CERT_FILE and KC_REDIS_KEY_FILE go together")
    for path in files.values():
        if not Path(path).is_file():
            raise ValueError(f"there is no file {path}")
    query = "&".join(filter(None, [parts.query, urlencode(files)]))
    return urlunsplit(parts._replace(query=query))


def watched(url: str) -> Watched | None:
    """Return what an address says of sentinels; None if it is that of a server.

    Raises:
        ValueError: it can't be used.
    """
    parts = urlsplit(url)
    if not parts.scheme.endswith(SENTINEL_SUFFIX):
        return None
    if parts.scheme.removesuffix(SENTINEL_SUFFIX) not in {"redis", "rediss"}:
        raise ValueError(f"KC_REDIS_URL: no such scheme: {parts.scheme}://")
    query = dict(parse_qsl(parts.query))
    if not query.get("service"):
        raise ValueError("KC_REDIS_URL: sentinels are named, and no ?service=, the primary's name")
    login, _, hosts = parts.netloc.rpartition("@")
    db = parts.path.strip("/") or "0"
    if not db.isdigit():
        raise ValueError(f"KC_REDIS_URL: not the number of a database: {db}")
    username, _, password = login.partition(":")
    known = {"username": unquote(username), "password": unquote(password)}
    of_sentinels = {name: query.get(f"sentinel_{name}", "") for name in known}
    return Watched(
        tuple(_host(host) for host in hosts.split(",")),
        query["service"],
        int(db),
        {name: value for name, value in known.items() if value},
        {name: value for name, value in of_sentinels.items() if value},
        tls_options(url),
    )


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("KC_REDIS_URL: a sentinel has no host")
    return parts.hostname, parts.port or SENTINEL_PORT


def tls_options(url: str) -> dict[str, Any] | None:
    """Return redis-py's options for TLS; None where the address is not one of TLS."""
    parts = urlsplit(url)
    if parts.scheme not in TLS_SCHEMES:
        return None
    found: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    found |= {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl_")}
    found["ssl_check_hostname"] = str(found["ssl_check_hostname"]).lower() not in NO
    return found


def broker_url(url: str) -> str:
    """Return the address as Kombu reads it; what it needs for TLS is told apart."""
    if (found := watched(url)) is None:
        parts = urlsplit(url)
        rest = [pair for pair in parse_qsl(parts.query) if not pair[0].startswith("ssl_")]
        return urlunsplit(parts._replace(query=urlencode(rest)))
    name, word = (quote(found.login.get(part, ""), safe="") for part in ("username", "password"))
    login = f"{name}:{word}@" if word else ""
    return ";".join(
        f"sentinel://{login}{f'[{host}]' if ':' in host else host}:{port}/{found.db}"
        for host, port in found.sentinels
    )


def without_login(url: str) -> str:
    """Return the address as people may see it: no user, no password, no options."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    if not parts.scheme.endswith(SENTINEL_SUFFIX):
        return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or REDIS_PORT}{parts.path}"
    return f"{parts.scheme}://{hosts}{parts.path}"
