"""What the reconciler sweeps, without any process around it."""

import threading
import time
from pathlib import Path

import pytest
import redis

from shared.bell import Bell, make_celery
from shared.connections import connect
from shared.errors import StorageUnavailable
from shared.ledger.leases import Leases
from shared.ledger.scripts import text
from shared.ledger.upkeep import Upkeep
from shared.ledger.work import WorkLedger
from shared.settings import Settings
from shared.storage import Storage, open_storage
from tests.integration.ledger.conftest import LedgerDriver
from worker.liveness import alive_file
from worker.reconciler import COLD_S, STOP_SWEEPING_S, Reconciler


@pytest.fixture
def ledger(redis_client: redis.Redis, redis_server: object) -> LedgerDriver:
    """A driver over an empty ledger."""
    return LedgerDriver(redis_client, redis_server.url)  # type: ignore[attr-defined]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """An empty folder of objects."""
    return open_storage((tmp_path / "objects").as_uri())


@pytest.fixture
def reconciler(ledger: LedgerDriver, storage: Storage, tmp_path: Path) -> Reconciler:
    """A reconciler that keeps nothing for long."""
    settings = Settings(redis_url=ledger.url, data_dir=tmp_path, record_ttl_s=0)
    bell = Bell(make_celery(settings), ledger.client)
    return Reconciler(settings, ledger.leases, ledger.upkeep, bell, storage)


def grow_old(ledger: LedgerDriver, *names: str) -> None:
    """Make every member of these sorted sets as old as can be."""
    for name in names:
        for member in ledger.client.zrange(name, 0, -1):
            ledger.client.zadd(name, {text(member): 0})


def end(ledger: LedgerDriver, uid: str) -> None:
    """Cancel a job."""
    ledger.ask(lambda intake: intake.cancel(uid))


def keys(storage: Storage) -> list[str]:
    """Return all that is stored."""
    return sorted(item.key for item in storage.list())


def claim_and_store(ledger: LedgerDriver, storage: Storage, worker: WorkLedger) -> str:
    """Claim the only segment and put its audio, as far as a worker gets before it is killed."""
    (claim,) = worker.claim_segments(1)
    digest = claim.payload.hash
    key = f"segments/{digest[:2]}/{digest}/{claim.token}.wav"
    storage.put(key, b"audio")
    return key


def test_more_jobs_end_their_time_than_one_sweep_holds(
    ledger: LedgerDriver, reconciler: Reconciler
) -> None:
    for n in range(230):
        end(ledger, ledger.accept(f"job {n}"))
    grow_old(ledger, "kc:expiries")
    for _ in range(4):
        reconciler.tidy()
    assert ledger.client.zcard("kc:expiries") == 0
    assert ledger.client.keys("kc:job:*") == []


def test_segment_audio_forgotten_while_the_store_is_away_is_deleted_later(
    ledger: LedgerDriver, storage: Storage, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.accept()
    ledger.plan(["h" * 64])
    worker = ledger.worker()
    claims = worker.claim_segments(1)
    ledger.finish(worker, claims)
    key = f"segments/{'h' * 64}/{claims[0].token}.wav"
    storage.put(key, b"audio")
    grow_old(ledger, "kc:audio_used")

    def away(_: object) -> None:
        raise StorageUnavailable()

    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", away)
        with pytest.raises(StorageUnavailable):
            reconciler.tidy()
    assert keys(storage) == [key]
    reconciler.tidy()
    assert keys(storage) == []
    assert ledger.upkeep.garbage() == []


def test_audio_stored_by_a_worker_that_then_died_is_swept_and_what_counts_is_kept(
    ledger: LedgerDriver, storage: Storage, reconciler: Reconciler
) -> None:
    ledger.accept()
    ledger.plan(["a" * 64])
    orphan = claim_and_store(ledger, storage, ledger.worker("w/dead"))
    ledger.leases.release("w/dead", stopped=False)
    slow = ledger.worker("w/slow")
    (claim,) = slow.claim_segments(1)
    kept = f"segments/aa/{'a' * 64}/{claim.token}.wav"
    storage.put(kept, b"audio")
    ledger.leases.release("w/slow", stopped=False)  # lapsed, and yet it comes back and finishes
    ledger.record(slow, claim, kept)
    assert keys(storage) == sorted([orphan, kept])
    grow_old(ledger, "kc:orphans")
    reconciler.tidy()
    assert keys(storage) == [kept]
    assert ledger.client.zcard("kc:orphans") == 0


def test_the_audio_of_a_late_finisher_is_swept_even_if_it_dies_before_it_can(
    ledger: LedgerDriver, storage: Storage, reconciler: Reconciler
) -> None:
    first, second = ledger.worker("w/1"), ledger.worker("w/2")
    for name in ("one", "two"):
        ledger.accept(name)
        ledger.plan(["b" * 64])
    (mine,) = first.claim_segments(1)
    (other,) = second.claim_segments(1)
    ledger.record(first, mine, "segments/bb/b/1.wav")
    storage.put("segments/bb/b/2.wav", b"audio")
    ledger.record(second, other, "segments/bb/b/2.wav")
    reconciler.tidy()
    assert keys(storage) == []


def test_a_store_that_hangs_delays_neither_the_release_of_the_dead_nor_expiry_nor_the_stop(
    ledger: LedgerDriver, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        redis_url=ledger.url, data_dir=tmp_path, reconcile_interval_s=0.05, lease_s=0.2
    )
    bell = Bell(make_celery(settings), ledger.client)
    reconciler = Reconciler(settings, ledger.leases, ledger.upkeep, bell, storage)
    asked, answer = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        asked.set()
        answer.wait(60)

    monkeypatch.setattr(storage, "delete", hang)
    ledger.client.sadd("kc:garbage", "segments/aa/a/1.wav")
    stop = threading.Event()
    running = threading.Thread(target=reconciler.run, args=(stop,))
    running.start()
    try:
        assert asked.wait(5), "the store hangs"
        held = ledger.accept("held by a dead worker")
        worker = ledger.worker("w/dead", lease_s=0.2)
        assert worker.claim_plan(bytes_most=10**6) is not None
        late = ledger.accept("past its deadline", deadline_s=1)
        began = time.monotonic()
        while time.monotonic() - began < 5:
            if ledger.client.zscore("kc:queue:plan", held) and ledger.job(late).status == "expired":
                break
            time.sleep(0.02)
        assert ledger.client.zscore("kc:queue:plan", held), "given back"
        assert ledger.job(late).status == "expired"
        assert not answer.is_set()
        stopped = time.monotonic()
        stop.set()
        running.join(STOP_SWEEPING_S + 2)
        assert not running.is_alive()
        assert time.monotonic() - stopped < STOP_SWEEPING_S + 1
    finally:
        stop.set()
        answer.set()
        running.join(10)


def test_a_reconciler_told_to_stop_ends_its_sweeper_too(reconciler: Reconciler) -> None:
    stop = threading.Event()
    running = threading.Thread(target=reconciler.run, args=(stop,))
    running.start()
    time.sleep(0.1)
    stop.set()
    running.join(5)
    assert not running.is_alive()
    assert "sweeper" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1/0"], ids=["at work", "Redis away"])
def test_a_reconciler_shows_life_until_it_is_told_to_stop(
    ledger: LedgerDriver, storage: Storage, tmp_path: Path, url: str | None
) -> None:
    settings = Settings(redis_url=url or ledger.url, data_dir=tmp_path, reconcile_interval_s=0.02)
    client = connect(settings.redis_url, retries=0)
    bell = Bell(make_celery(settings), client)
    alive = alive_file(settings, "reconciler.0")
    reconciler = Reconciler(
        settings, Leases(client, lease_s=5), Upkeep(client), bell, storage, alive=alive
    )
    stop = threading.Event()
    running = threading.Thread(target=reconciler.run, args=(stop,))
    running.start()
    try:
        seen: set[int] = set()
        until = time.monotonic() + 10
        while len(seen) < 3 and time.monotonic() < until:
            if alive.exists():
                seen.add(alive.stat().st_mtime_ns)
            time.sleep(0.01)
        assert len(seen) == 3, "touched again and again"
    finally:
        stop.set()
        running.join(STOP_SWEEPING_S + 15)
    assert not running.is_alive()
    assert not alive.exists()


def test_of_workers_without_a_model_one_more_is_woken_only_if_none_loads(
    ledger: LedgerDriver, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)

    def is_rung(**states: str) -> bool:
        for name, state in states.items():
            ledger.leases.announce(f"synth.{name}", {"state": state})
        reconciler.ring_the_unattended()
        return "synth" in ledger.rung()

    ledger.accept("One segment.")
    ledger.plan(["1" * 64])
    ledger.rung()
    assert not is_rung(a="unloaded", b="unloaded"), "the job's own wake-up is on its way"
    grow_old(ledger, "kc:render_since")
    assert is_rung(), "it got lost"
    assert not is_rung()
    now_s += COLD_S
    assert is_rung()
    now_s += COLD_S
    assert not is_rung(a="loading")
    now_s += reconciler._settings.model_load_timeout_s - 1
    assert not is_rung()
    now_s += 2
    assert is_rung(), "it does not come to an end"
    assert is_rung(a="idle")
    assert is_rung(a="rendering", b="loading")
