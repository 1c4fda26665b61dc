"""What an adversary found: unfair clocks, full memory, lost garbage, deliveries that kill."""

from collections.abc import Callable, Iterator

import pytest
import redis

from shared.ledger.states import JobStatus
from tests.integration.ledger.conftest import LedgerDriver
from tests.integration.ledger.test_outbox import with_webhook


def turns_until(ledger: LedgerDriver, uid: str, *, most: int) -> int:
    """Return after how many batches a job gets its first segment rendered."""
    worker = ledger.worker()
    for turn in range(1, 300):
        claims = worker.claim_segments(most)
        ledger.finish(worker, claims)
        if uid in {claim.uid for claim in claims}:
            return turn
    raise AssertionError("it starves")


def test_a_line_waits_for_no_two_books_however_long_they_have_shared_batches(
    ledger: LedgerDriver,
) -> None:
    for name, length in (("one", 300), ("two", 400)):
        ledger.accept(name)
        ledger.plan([f"{name}{i}" for i in range(1000)], lengths=[length] * 1000)
    worker = ledger.worker()
    for _ in range(100):
        claims = worker.claim_segments(8)
        ledger.finish(worker, claims)
    line = ledger.accept("line")
    ledger.plan(["line"], lengths=[5])
    assert turns_until(ledger, line, most=8) <= 3


def test_a_key_that_sends_one_job_after_another_starves_no_other_key(ledger: LedgerDriver) -> None:
    patient = ledger.accept("patient", owner="zoe")
    ledger.plan(["patient"], lengths=[400])
    worker = ledger.worker()
    for turn in range(10):
        ledger.accept(f"again{turn}", owner="abe")
        ledger.plan([f"again{turn}"], lengths=[5])
        claims = worker.claim_segments(1)
        ledger.finish(worker, claims)
    assert ledger.job(patient).segments_done == 1


@pytest.fixture
def full(ledger: LedgerDriver) -> Iterator[Callable[[], object]]:
    """A switch that makes Redis full, as `noeviction` has it, until the test ends."""
    yield lambda: ledger.client.config_set("maxmemory", 1)
    ledger.client.config_set("maxmemory", 0)


def test_a_full_redis_takes_no_more_and_lets_go_of_what_it_has(
    ledger: LedgerDriver, full: Callable[[], object]
) -> None:
    ended = ledger.accept("ended")
    ledger.plan([])
    unwanted, late, half = (ledger.accept(name) for name in ("unwanted", "late", "half"))
    ledger.plan(["u"])
    ledger.plan(["l"])
    ledger.plan(["h1", "h2"])
    dead = ledger.worker("w/dead")
    dead.claim_segments(1)
    ledger.client.zadd("kc:deadlines", {late: 0}, xx=True)
    full()
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        ledger.accept("one more")
    ledger.ask(lambda intake: intake.cancel(unwanted))
    assert ledger.ask(lambda intake: intake.delete(ended)) is JobStatus.FAILED
    assert ledger.upkeep.expire_jobs() == 1
    ledger.leases.release("w/dead", stopped=False)
    worker = ledger.worker()
    ledger.leases.renew(["w/1"])
    ledger.render_all(worker)
    assert ledger.assemble(worker) == half
    assert ledger.job(half).status is JobStatus.SUCCEEDED
    assert ledger.upkeep.purge_audio(record_ttl_s=0) == 0


def test_a_delivery_that_kills_its_worker_again_waits_longer_each_time(
    ledger: LedgerDriver,
) -> None:
    with_webhook(ledger)
    worker = ledger.worker("d/1")
    for _ in range(2):
        assert worker.claim_delivery(host_slots=4) is not None
        worker.let_go(stopped=False)
    assert worker.claim_delivery(host_slots=4) is None
    assert ledger.client.zcard("kc:due:a.example") == 1


def test_a_token_is_not_given_twice_though_redis_forgot_the_first(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["a"])
    worker = ledger.worker()
    (first,) = worker.claim_segments(1)
    worker.let_go(stopped=False)
    # No Redis comes back within the milliseconds by which tokens may be ahead of its clock.
    while (now := ledger.client.time())[0] * 1000 + now[1] // 1000 <= first.token:
        pass
    ledger.client.delete("kc:token")  # as if its last second had never reached the disk
    (second,) = worker.claim_segments(1)
    assert second.token > first.token
