"""From a webhook's host to the addresses it stands for: looked up once, every one checked.

In: a `WebhookTarget`, the rules, a resolver. Out: addresses that may be connected to as they are;
whoever connects must use these and never ask the name again, or its owner could answer otherwise
the second time.

`getaddrinfo` cannot be interrupted and waits half a minute for a dead name server, so it runs in
a daemon thread that is left behind at the timeout; how many may be left behind is bounded.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from shared.addresses import PARAM, Address, AddressRules, WebhookTarget, unmapped
from shared.errors import ForbiddenAddress, ResolveFailed

Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) → its addresses as text, best first. Raises OSError when there is none."""

LOOKUP_TIMEOUT_S = 3.0
"""Seconds a lookup may take before the name counts as unresolvable for now."""

MAX_LOOKUPS = 64
"""Lookups of one process that may be under way or left behind."""

_slots = threading.BoundedSemaphore(MAX_LOOKUPS)


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the operating system, hosts file and search domains included."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def resolve(
    target: WebhookTarget,
    rules: AddressRules,
    resolver: Resolver = system_resolver,
    timeout_s: float = LOOKUP_TIMEOUT_S,
) -> tuple[Address, ...]:
    """Return the target's addresses, best first, when every one of them is permitted.

    Raises:
        ForbiddenAddress: at least one is not; a name that is both public and private is an attack.
        ResolveFailed: there is none, or no answer within `timeout_s`.
    """
    if target.address is not None:
        return _checked([str(target.address)], target, rules)
    try:
        found = _start_lookup(target, resolver).result(timeout_s)
    except (OSError, UnicodeError) as error:
        raise _failure(target, error) from error
    return _checked(found, target, rules)


async def resolve_async(
    target: WebhookTarget,
    rules: AddressRules,
    resolver: Resolver = system_resolver,
    timeout_s: float = LOOKUP_TIMEOUT_S,
) -> tuple[Address, ...]:
    """Do what `resolve` does without holding up the event loop or its thread pool.

    Raises:
        ForbiddenAddress: as for `resolve`.
        ResolveFailed: as for `resolve`.
    """
    if target.address is not None:
        return _checked([str(target.address)], target, rules)
    try:
        lookup = asyncio.wrap_future(_start_lookup(target, resolver))
        # Not wait_for: before Python 3.12 it may take a cancellation for the addresses.
        async with asyncio.timeout(timeout_s):
            found = await lookup
    except (OSError, UnicodeError) as error:
        raise _failure(target, error) from error
    return _checked(found, target, rules)


def _start_lookup(target: WebhookTarget, resolver: Resolver) -> Future[Sequence[str]]:
    if not _slots.acquire(blocking=False):
        raise ResolveFailed("Too many host names are being looked up at once.", param=PARAM)
    future: Future[Sequence[str]] = Future()
    # A running future cannot be cancelled, so the thread may always set its result.
    future.set_running_or_notify_cancel()

    def look_up() -> None:
        try:
            future.set_result(resolver(target.host, target.port))
        except BaseException as error:  # handed to whoever waits, like an executor does
            future.set_exception(error)
        finally:
            _slots.release()

    try:
        threading.Thread(target=look_up, name="webhook-lookup", daemon=True).start()
    except RuntimeError as error:
        _slots.release()
        raise ResolveFailed("No thread can be started to look up a host name.") from error
    return future


def _checked(
    found: Sequence[str], target: WebhookTarget, rules: AddressRules
) -> tuple[Address, ...]:
    addresses = tuple(dict.fromkeys(unmapped(ipaddress.ip_address(text)) for text in found))
    if not addresses:
        raise ResolveFailed(f"The webhook's host {target.host!r} has no address.", param=PARAM)
    if not all(rules.permits(address) for address in addresses):
        # Which address it was stays unsaid: names of the inner network are none of a client's
        # business.
        raise ForbiddenAddress(
            f"The webhook's host {target.host!r} has an address that is not public, and not in a "
            "network that the operator has opened (KC_WEBHOOK_ALLOW_PRIVATE).",
            param=PARAM,
        )
    return addresses


def _failure(target: WebhookTarget, error: Exception) -> ResolveFailed:
    why = "no answer in time" if isinstance(error, TimeoutError) else "the name has no address"
    return ResolveFailed(
        f"The webhook's host {target.host!r} could not be resolved ({why}). Check its spelling.",
        param=PARAM,
    )
