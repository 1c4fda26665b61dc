"""Batches in the ledger: written slice by slice, accepted in one step, canceled to the end."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import RedisError, TimeoutError

from gateway.job_ids import new_uid
from shared.ledger import batches
from shared.ledger.batch_record import BATCH_PREFIX, SLICE_JOBS, NewBatch
from shared.ledger.batches import Batches, BatchSubmission
from shared.ledger.intake import Intake, Limits, Verdict
from shared.ledger.records import NewJob
from shared.ledger.states import BatchStatus, JobStatus
from tests.integration.ledger.conftest import LIMITS, LedgerDriver

MANY = 3 * SLICE_JOBS + 1
AS_THE_RELEASE_BEFORE_WROTE_IT: dict[Any, Any] = {
    "id": "batch_" + "0" * 26,
    "owner": "local",
    "status": "in_progress",
    "created_ms": "1790000000000",
    "total": "1",
    "open": "1",
    "records": "1",
    "input_chars": "6",
    "metadata": '{"course": "spring"}',
    "webhook_url": "https://x.example/",
    "webhook_host": "x.example",
    "webhook_events": "batch.completed",
}


def ask(ledger: LedgerDriver, question: Callable[[Batches], Coroutine[Any, Any, Any]]) -> Any:
    """Run one of the gateway's calls on a connection of its own."""

    async def run() -> Any:
        client = redis.asyncio.Redis.from_url(ledger.url, decode_responses=True)
        try:
            return await question(Batches(client))
        finally:
            await client.aclose()

    return asyncio.run(run())


def new_batch(ledger: LedgerDriver, count: int = 2, **jobs: Any) -> NewBatch:
    made = tuple(ledger.new_job(f"Text {n}.", **jobs) for n in range(count))
    return NewBatch(new_uid(BATCH_PREFIX), "local", made, "p")


def create(ledger: LedgerDriver, batch: NewBatch, limits: Limits = LIMITS) -> BatchSubmission:
    answer = ask(ledger, lambda view: view.create(batch, limits))
    assert isinstance(answer, BatchSubmission)
    return answer


def keys(ledger: LedgerDriver) -> set[Any]:
    return set(ledger.client.keys("*"))


def cut_after(monkeypatch: pytest.MonkeyPatch, script: str, times: int) -> None:
    """Have the gateway end after it has said a script so many times."""
    said = 0
    real = Batches._run

    async def run(self: Batches, name: str, *args: Any) -> Any:
        nonlocal said
        if name == script:
            said += 1
            if said > times:
                raise KeyboardInterrupt
        return await real(self, name, *args)

    monkeypatch.setattr(Batches, "_run", run)


def test_jobs_that_are_written_and_not_accepted_are_nobodys_and_go_by_themselves(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = new_batch(ledger, MANY)
    monkeypatch.setattr(Batches, "_unstage", lambda *_: asyncio.sleep(0))
    cut_after(monkeypatch, "stage_jobs", 2)
    with pytest.raises(KeyboardInterrupt):
        create(ledger, batch)
    staged = keys(ledger)
    assert len(staged) == 2 * 2 * SLICE_JOBS
    assert all(0 < ledger.client.ttl(key) <= batches.STAGED_S for key in staged)
    assert ledger.worker().claim_plan(bytes_most=100) is None
    assert ledger.ask(lambda intake: intake.get("local", batch.jobs[0].uid)) is None
    assert ledger.ask(lambda intake: intake.jobs("local", limit=10)).jobs == []


def test_a_batch_that_was_written_too_slowly_leaves_nothing(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(ledger)
    monkeypatch.setattr(batches, "STAGED_S", 0)
    with pytest.raises(TimeoutError):
        create(ledger, new_batch(ledger, MANY))
    assert keys(ledger) == before


def test_a_batch_that_is_refused_at_last_leaves_nothing(ledger: LedgerDriver) -> None:
    before = keys(ledger)
    answer = create(ledger, new_batch(ledger, MANY, lexicons=("nowhere",)))
    assert (answer.verdict, answer.missing) == (Verdict.UNKNOWN_LEXICON, "nowhere")
    assert keys(ledger) == before


def test_a_full_redis_takes_nothing_of_a_batch(ledger: LedgerDriver) -> None:
    before = keys(ledger)
    ledger.client.config_set("maxmemory", ledger.client.info("memory")["used_memory"] + 300_000)
    try:
        big = tuple(ledger.new_job("x" * 50_000) for _ in range(20))
        with pytest.raises(RedisError, match="maxmemory"):
            create(ledger, NewBatch(new_uid(BATCH_PREFIX), "local", big, "p"))
    finally:
        ledger.client.config_set("maxmemory", 0)
    assert keys(ledger) == before


def test_what_one_job_of_a_batch_has_for_itself_it_keeps(ledger: LedgerDriver) -> None:
    warning = {"code": "oov_word", "segment": None, "detail": "x"}
    batch = new_batch(ledger, 1, warnings=(warning,), custom_id="c", stand_in=True)
    create(ledger, batch)
    (job,) = batch.jobs
    record = ledger.job(job.uid)
    assert (record.batch, record.custom_id, record.stand_in) == (batch.id, "c", True)
    assert ledger.ask(lambda intake: intake.warnings(job.uid)) == [warning]
    mine = ledger.client.keys(f"*{job.uid}*")
    assert mine and all(ledger.client.ttl(key) == -1 for key in mine)
    # Written alone it has the same fields, but those that say where it came from.
    alone = ledger.accept("Text 0.", warnings=(warning,), custom_id="c", stand_in=True)
    fields = set(ledger.client.hgetall(f"kc:job:{job.uid}"))
    assert fields - {b"batch"} == set(ledger.client.hgetall(f"kc:job:{alone}"))


def test_a_gateway_that_ends_while_it_cancels_a_batch_is_finished_for(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = new_batch(ledger, MANY)
    create(ledger, batch)
    cut_after(monkeypatch, "cancel_batch", 1)
    with pytest.raises(KeyboardInterrupt):
        ask(ledger, lambda view: view.cancel(batch.id))
    assert ledger.client.get("kc:queued_jobs") == str(MANY - SLICE_JOBS).encode()
    assert ledger.upkeep.cancel_batches() == 1
    record = ask(ledger, lambda view: view.get("local", batch.id))
    assert (record.status, record.canceled) == (BatchStatus.CANCELED, MANY)
    assert ledger.client.get("kc:queued_jobs") == b"0"
    assert ledger.upkeep.cancel_batches() == 0
    assert ledger.job(batch.jobs[-1].uid).status is JobStatus.CANCELED


def test_a_batch_whose_jobs_all_ended_by_themselves_is_completed_though_it_was_being_canceled(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = new_batch(ledger, MANY)
    create(ledger, batch)

    def end(jobs: Sequence[NewJob]) -> None:
        for job in jobs:
            ledger.ask(partial(Intake.cancel, uid=job.uid))

    end(batch.jobs[:SLICE_JOBS])  # the first slice finds none of its own to end
    cut_after(monkeypatch, "cancel_batch", 1)
    with pytest.raises(KeyboardInterrupt):
        ask(ledger, lambda view: view.cancel(batch.id))
    assert ledger.client.smembers("kc:canceling") == {batch.id.encode()}
    end(batch.jobs[SLICE_JOBS:])
    ledger.upkeep.cancel_batches()
    record = ask(ledger, lambda view: view.get("local", batch.id))
    assert record.status is BatchStatus.COMPLETED
    assert ledger.client.scard("kc:canceling") == 0


def test_a_batch_of_the_release_before_is_read_and_goes_to_its_end(ledger: LedgerDriver) -> None:
    batch_id = AS_THE_RELEASE_BEFORE_WROTE_IT["id"]
    uid = ledger.accept("Hello.")
    ledger.client.hset(f"kc:job:{uid}", "batch", batch_id)
    ledger.client.hset(f"kc:batch:{batch_id}", mapping=AS_THE_RELEASE_BEFORE_WROTE_IT)
    ledger.client.rpush(f"kc:batch:{batch_id}:jobs", uid)
    ledger.client.zadd("kc:batches:local", {batch_id: 1_790_000_000_000})
    ledger.client.hincrby("kc:batches_by_status", "in_progress", 1)
    record = ask(ledger, lambda view: view.get("local", batch_id))
    assert (record.status, record.total, record.metadata) == (
        BatchStatus.IN_PROGRESS,
        1,
        {"course": "spring"},
    )
    ledger.ask(lambda intake: intake.cancel(uid))
    ended = ask(ledger, lambda view: view.get("local", batch_id))
    assert (ended.status, ended.canceled) == (BatchStatus.COMPLETED, 1)
    claim = ledger.worker().claim_delivery(host_slots=1)
    assert claim is not None and (claim.uid, claim.event) == (batch_id, "batch.completed")
    ask(ledger, lambda view: view.delete(batch_id))
    assert not ledger.client.keys("kc:batch:*")
