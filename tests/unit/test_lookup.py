import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from shared import lookup
from shared.addresses import AddressRules, WebhookTarget, check_url, parse_rules
from shared.errors import ForbiddenAddress, ResolveFailed
from shared.lookup import Resolver, resolve, resolve_async

RULES = AddressRules()
TARGET = check_url("https://hooks.example/", RULES)

Resolve = Callable[..., Sequence[object]]


def resolve_on_a_loop(
    target: WebhookTarget, rules: AddressRules, resolver: Resolver, timeout_s: float = 3.0
) -> Sequence[object]:
    return asyncio.run(resolve_async(target, rules, resolver, timeout_s))


both = pytest.mark.parametrize("look_up", [resolve, resolve_on_a_loop])


def names(*addresses: str) -> Resolver:
    return lambda host, port: list(addresses)


@both
def test_public_addresses_are_returned_in_order_without_repeats(look_up: Resolve) -> None:
    found = look_up(TARGET, RULES, names("2606:4700::1111", "1.1.1.1", "::ffff:1.1.1.1"))
    assert [str(address) for address in found] == ["2606:4700::1111", "1.1.1.1"]


@both
@pytest.mark.parametrize(
    "found",
    [
        ("127.0.0.1",),
        ("1.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1"),
        ("1.1.1.1", "::ffff:127.0.0.1"),
        ("1.1.1.1", "fe80::1%2"),
        ("64:ff9b::a9fe:a9fe",),
    ],
)
def test_one_address_that_is_not_public_forbids_the_name(
    look_up: Resolve, found: tuple[str, ...]
) -> None:
    with pytest.raises(ForbiddenAddress) as caught:
        look_up(TARGET, RULES, names(*found))
    assert all(address not in caught.value.message for address in found)


@both
@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "unknown"),
        socket.gaierror(socket.EAI_AGAIN, "later"),
        UnicodeError("label too long"),
    ],
)
def test_a_name_without_an_answer_is_unresolvable(look_up: Resolve, error: Exception) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(ResolveFailed, match=r"hooks\.example"):
        look_up(TARGET, RULES, fail)


@both
def test_a_name_with_no_address_is_unresolvable(look_up: Resolve) -> None:
    with pytest.raises(ResolveFailed):
        look_up(TARGET, RULES, names())


@both
def test_a_lookup_that_hangs_is_left_behind_at_its_timeout(look_up: Resolve) -> None:
    release = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        release.wait(30)
        return ["1.1.1.1"]

    started_s = time.monotonic()
    with pytest.raises(ResolveFailed, match="no answer in time"):
        look_up(TARGET, RULES, hang, timeout_s=0.1)
    assert time.monotonic() - started_s < 4
    release.set()


def test_lookups_left_behind_are_bounded_and_make_room_again() -> None:
    release = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        release.wait(30)
        return []

    for _ in range(lookup.MAX_LOOKUPS):
        with pytest.raises(ResolveFailed):
            resolve(TARGET, RULES, hang, 0.001)
    with pytest.raises(ResolveFailed, match="Too many"):
        resolve(TARGET, RULES, names("1.1.1.1"))
    release.set()
    deadline_s = time.monotonic() + 10
    while True:
        try:
            assert resolve(TARGET, RULES, names("1.1.1.1"))
            return
        except ResolveFailed:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


@both
def test_an_address_needs_no_lookup_but_is_checked_again(look_up: Resolve) -> None:
    def never(host: str, port: int) -> list[str]:
        raise AssertionError("looked up")

    opened = parse_rules("127.0.0.0/8", "*")
    target = check_url("http://127.0.0.1/", opened)
    assert [str(address) for address in look_up(target, opened, never)] == ["127.0.0.1"]
    with pytest.raises(ForbiddenAddress):
        look_up(target, RULES, never)


@both
def test_localhost_resolves_inward_by_the_system_itself(look_up: Resolve) -> None:
    with pytest.raises(ForbiddenAddress):
        look_up(check_url("http://localhost/", RULES), RULES, lookup.system_resolver)


def test_a_cancellation_that_comes_with_the_answer_is_not_lost() -> None:
    async def canceled() -> bool:
        answer = threading.Event()

        def resolver(host: str, port: int) -> Sequence[str]:
            answer.wait(10)
            return ["1.1.1.1"]

        before = threading.active_count()
        looking = asyncio.create_task(resolve_async(TARGET, RULES, resolver, 30))
        await asyncio.sleep(0.05)
        answer.set()
        while threading.active_count() > before:
            time.sleep(0.001)  # not yielding: the loop has the answer before it, and nothing else
        await asyncio.sleep(0)
        looking.cancel()
        try:
            await looking
        except asyncio.CancelledError:
            return True
        return False

    assert asyncio.run(canceled())
