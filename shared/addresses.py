"""Which URLs a webhook may have, and which addresses this cluster will connect to for one.

A webhook's URL is a stranger's wish that this cluster send a request from inside its own network.
So the URL is parsed once, strictly, into a `WebhookTarget`, and nothing ever reads the text again:
two parsers that differ are how such filters are passed. `shared.lookup` turns the target into
addresses, and every one must be public or inside a network the operator has opened.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import NoReturn

import idna

from shared.errors import ForbiddenAddress, InvalidSettings, InvalidWebhook

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_CHARS = 2048
"""Longest webhook URL, in characters."""

PARAM = "webhook.url"
"""The field of the request that every error here is about."""

DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(https?)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Ranges that `ipaddress.is_global` calls public in some Python version, and we do not.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments; Oracle Cloud's metadata lives here
        "192.88.99.0/24",  # relays of 6to4, withdrawn
        "168.63.129.16/32",  # Azure's platform service, reachable from any of its machines
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: the rest of the address is an IPv4 address of the sender's choice
        "3fff::/20",  # documentation
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


@dataclass(frozen=True)
class AddressRules:
    """Where webhooks may go.

    Attributes:
        allow_private: networks that are permitted although they are not public.
        ports: the ports permitted, for public and private addresses alike; None permits all.
    """

    allow_private: tuple[Network, ...] = ()
    ports: frozenset[int] | None = frozenset({80, 443})

    def permits(self, address: Address) -> bool:
        """Say whether the cluster may connect to `address`."""
        address = unmapped(address)
        if any(address in network for network in self.allow_private):
            return True
        if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
            # On a network with IPv6 only, this is how the public IPv4 Internet looks.
            return self.permits(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        return is_public(address)


@dataclass(frozen=True)
class WebhookTarget:
    """A webhook's URL, taken apart.

    Attributes:
        scheme: `http` or `https`.
        host: a name in lower-case ASCII, or an IP address without brackets.
        port: 1 to 65535.
        path: path and query as they go into the request line; begins with `/`.
        address: the host as an address when it is one, and needs no lookup.
    """

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None = None

    @property
    def host_header(self) -> str:
        """The value of the request's `Host`: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def unmapped(address: Address) -> Address:
    """Return the IPv4 address inside `::ffff:a.b.c.d`, and any other address unchanged."""
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: Address) -> bool:
    """Say whether an address is global unicast: someone's on the Internet, and nobody's nearby."""
    address = unmapped(address)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address in network for network in _NOT_PUBLIC)
    )


def parse_rules(allow_private: str, ports: str) -> AddressRules:
    """Read `KC_WEBHOOK_ALLOW_PRIVATE` and `KC_WEBHOOK_PORTS`.

    Args:
        allow_private: networks separated by commas (`10.0.0.0/8,fd00::/8`), or nothing.
        ports: ports separated by commas (`80,443`), or `*` for all.

    Raises:
        InvalidSettings: a network or a port is malformed; the message names the setting.
    """
    try:
        networks = tuple(ipaddress.ip_network(text) for text in _split(allow_private))
    except ValueError as error:
        raise InvalidSettings(
            f"KC_WEBHOOK_ALLOW_PRIVATE: {error}. Write networks like 10.0.0.0/8,fd00::/8."
        ) from error
    if ports.strip() == "*":
        return AddressRules(networks, None)
    texts = _split(ports)
    if not texts or not all(re.fullmatch(r"[0-9]{1,5}", t) and 0 < int(t) < 65_536 for t in texts):
        raise InvalidSettings(
            f"KC_WEBHOOK_PORTS: {ports!r} is not a list of ports like 80,443, nor * for all."
        )
    return AddressRules(networks, frozenset(int(text) for text in texts))


def check_url(url: str, rules: AddressRules) -> WebhookTarget:
    """Parse a webhook's URL and hold it against the rules, as far as that goes without a lookup.

    Raises:
        InvalidWebhook: it is not an http(s) URL of the strict form that is accepted.
        ForbiddenAddress: its port, or the IP address it is written with, is not permitted.
    """
    if len(url) > MAX_URL_CHARS:
        _refuse(f"The webhook's URL is longer than {MAX_URL_CHARS} characters.")
    if any(char <= " " or char in '\x7f\\"<>^`{|}' for char in url):
        _refuse("The webhook's URL has a space, a backslash or another character to be escaped.")
    if "#" in url:
        _refuse("The webhook's URL must not have a fragment (#…).")
    match = _URL.fullmatch(url)
    if match is None:
        _refuse("The webhook's URL must begin with http:// or https:// and a host.")
    scheme, authority, path = match[1].lower(), match[2], (match[3] or "/") + (match[4] or "")
    if "@" in authority:
        _refuse("The webhook's URL must not carry a user name or password.")
    if not path.isascii():
        _refuse("The webhook's URL has a path or query that is not ASCII: percent-encode it.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        _refuse("The webhook's URL has a malformed host or port.")
    port = int(parts[3]) if parts[3] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65_536:
        _refuse("The webhook's port must be from 1 to 65535.")
    if rules.ports is not None and port not in rules.ports:
        raise ForbiddenAddress(
            f"Webhooks may not go to port {port}. Permitted (KC_WEBHOOK_PORTS): "
            f"{', '.join(map(str, sorted(rules.ports)))}.",
            param=PARAM,
        )
    address = _ipv6(parts[1]) if parts[1] else None
    host = str(address) if address else _host_name(parts[2])
    if _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        address = _ipv4(host)
    if address is not None and not rules.permits(address):
        raise ForbiddenAddress(
            f"Webhooks may not go to {address}: it is not a public address, and not in a network "
            "that the operator has opened (KC_WEBHOOK_ALLOW_PRIVATE).",
            param=PARAM,
        )
    return WebhookTarget(scheme, host, port, path, address)


def _host_name(text: str) -> str:
    try:
        # UTS 46 also folds full-width digits and dots, so what follows must look at its result.
        host = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        host = ""
    host = host.removesuffix(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        _refuse(f"The webhook's URL has a malformed host: {text[:100]!r}.")
    return host


def _ipv4(host: str) -> Address:
    # 2130706433, 0177.0.0.1, 0x7f.1 and 127.1 all reach 127.0.0.1 through a C library.
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        _refuse(f"Write the webhook's IPv4 address as four decimal numbers, not {host[:100]!r}.")


def _ipv6(text: str) -> Address:
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        _refuse(f"The webhook's URL has a malformed IPv6 address: [{text[:100]}].")


def _refuse(message: str) -> NoReturn:
    raise InvalidWebhook(message, param=PARAM)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
