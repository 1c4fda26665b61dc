"""A copied ledger goes on where it was copied, in another Redis; a bad copy changes nothing."""

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer
from shared.ledger.backup import (
    LEFT_OUT,
    BadBackup,
    LedgerNotEmpty,
    NotQuiet,
    back_up,
    look_at,
    restore,
)
from shared.ledger.scripts import text
from shared.ledger.states import JobStatus
from tests.conftest import free_port
from tests.integration.ledger.conftest import LedgerDriver


@pytest.fixture(scope="module")
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Another server, to restore into."""
    server = RedisServer(tmp_path_factory.mktemp("fresh-redis"), free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fresh(fresh_server: RedisServer) -> Iterator[LedgerDriver]:
    """A driver over another Redis with nothing in it."""
    with redis.Redis.from_url(fresh_server.url) as client:
        client.flushall()
        yield LedgerDriver(client, fresh_server.url)


def contents(client: redis.Redis) -> dict[str, object]:
    """Return every key of the ledger that lasts, with its value."""
    return {name: value_of(client, name) for name in lasting(client)}


def lasting(client: redis.Redis) -> list[str]:
    """Return the names of all keys of the ledger that last."""
    names = map(text, client.keys("kc:*"))
    return [name for name in names if not name.startswith(LEFT_OUT)]


def value_of(client: redis.Redis, name: str) -> object:
    """Return what a key holds, whatever its type."""
    match text(client.type(name)):
        case "string":
            return client.get(name)
        case "hash":
            return client.hgetall(name)
        case "list":
            return client.lrange(name, 0, -1)
        case "set":
            return client.smembers(name)
        case _:
            return client.zrange(name, 0, -1, withscores=True)


def test_all_that_lasts_comes_back_as_it_was(
    ledger: LedgerDriver, fresh: LedgerDriver, tmp_path: Path
) -> None:
    done = ledger.accept("Ein Satz, der fertig ist: naïve 日本語.")
    ledger.plan(["a" * 64])
    ledger.render_all(ledger.worker())
    ledger.assemble(ledger.worker())
    ledger.accept("Waiting.", custom_id="mine")
    ledger.client.set("kc:lane:batch#clock", 5, ex=1000)
    ledger.client.rpush("kc:raw", b"\xff not text")
    ledger.leases.release("w/1", stopped=True)
    ledger.leases.release("p/1", stopped=True)
    copy = back_up(ledger.client, tmp_path / "ledger.gz")
    assert (copy.jobs, copy.keys) == (2, len(contents(ledger.client)))
    assert look_at(tmp_path / "ledger.gz").keys == copy.keys
    restore(fresh.client, tmp_path / "ledger.gz")
    was, now = contents(ledger.client), contents(fresh.client)
    assert int(now.pop("kc:token")) > int(was.pop("kc:token"))  # type: ignore[call-overload]
    assert now == was
    assert 900 < fresh.client.ttl("kc:lane:batch#clock") <= 1000
    assert fresh.job(done).status is JobStatus.SUCCEEDED


def test_what_was_being_rendered_waits_again_and_no_attempt_counts(
    ledger: LedgerDriver, fresh: LedgerDriver, tmp_path: Path
) -> None:
    uid = ledger.accept()
    ledger.plan(["a" * 64])
    (held,) = ledger.worker("w/old").claim_segments(1)
    back_up(ledger.client, tmp_path / "ledger.gz")
    later = after_the_copy(ledger)
    restore(fresh.client, tmp_path / "ledger.gz")
    (again,) = fresh.worker("w/new").claim_segments(1)
    assert (again.uid, again.attempt) == (uid, 1)
    assert again.token > max(held.token, *later), "no token is given twice"
    fresh.finish(fresh.worker("w/new"), [again])
    # Whoever still holds the old token is refused: the audio counts once.
    fresh.finish(fresh.worker("w/old"), [held])
    assert fresh.job(uid).segments_done == 1


def after_the_copy(ledger: LedgerDriver) -> list[int]:
    """Have the old ledger give more tokens, which the copy knows nothing of; return them."""
    ledger.accept("Accepted after the copy.")
    ledger.plan(["b" * 64, "c" * 64])
    return [claim.token for claim in ledger.worker("w/late").claim_segments(2)]


def test_a_ledger_with_anything_in_it_is_not_restored_over(
    ledger: LedgerDriver, fresh: LedgerDriver, tmp_path: Path
) -> None:
    ledger.accept()
    back_up(ledger.client, tmp_path / "ledger.gz")
    fresh.client.set("kc:engine", "{}")
    with pytest.raises(LedgerNotEmpty):
        restore(fresh.client, tmp_path / "ledger.gz")
    assert fresh.client.keys("*") == [b"kc:engine"]


@pytest.mark.parametrize("harm", ["cut", "changed", "not gzip", "newer", "without an end"])
def test_a_file_that_is_not_whole_restores_nothing(
    ledger: LedgerDriver, fresh: LedgerDriver, tmp_path: Path, harm: str
) -> None:
    ledger.accept("The text.")
    path = tmp_path / "ledger.gz"
    back_up(ledger.client, path)
    data = path.read_bytes()
    lines = gzip.decompress(data).splitlines(keepends=True)
    if harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "changed":
        path.write_bytes(gzip.compress(b"".join(lines).replace(b"The text.", b"A text...")))
    elif harm == "not gzip":
        path.write_bytes(b"REDIS0011")
    elif harm == "newer":
        head = {**json.loads(lines[0]), "version": 2}
        path.write_bytes(gzip.compress(b"".join([json.dumps(head).encode() + b"\n", *lines[1:]])))
    else:
        path.write_bytes(gzip.compress(b"".join(lines[:-1])))
    with pytest.raises(BadBackup):
        restore(fresh.client, path)
    assert fresh.client.keys("*") == []


def test_writers_wait_for_a_copy_and_go_on(ledger: LedgerDriver, tmp_path: Path) -> None:
    stop = threading.Event()
    counted = [0]

    def write() -> None:
        with redis.Redis.from_url(ledger.url) as client:
            while not stop.is_set():
                client.hincrby("kc:totals", "written", 1)
                counted[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copy = back_up(ledger.client, tmp_path / "ledger.gz")
        assert 0 < copy.paused_s < 4
        seen = counted[0]
        while counted[0] <= seen:  # a test that never ends has failed
            stop.wait(0.01)
        with pytest.raises(NotQuiet, match="changed while"):
            for _ in range(50):  # a copy without a pause that falls between two writes is one
                back_up(ledger.client, tmp_path / "other.gz", pause_s=0)
    finally:
        stop.set()
        writer.join()
    assert not (tmp_path / "other.gz.tmp").exists()


def test_more_than_fits_the_pause_is_no_copy_and_writers_go_on_at_once(
    ledger: LedgerDriver, tmp_path: Path
) -> None:
    for n in range(3000):
        ledger.client.set(f"kc:filler:{n}", n)
    with pytest.raises(NotQuiet, match="more to copy"):
        back_up(ledger.client, tmp_path / "ledger.gz", pause_s=0.001)
    assert not list(tmp_path.iterdir())
    ledger.client.set("kc:filler:0", "written")


def test_a_copy_is_for_its_owners_eyes_only(ledger: LedgerDriver, tmp_path: Path) -> None:
    ledger.accept()
    path = tmp_path / "ledger.gz"
    back_up(ledger.client, path)
    assert path.stat().st_mode & 0o777 == 0o600
