"""What an operator sees of the work under way, and how a job is ended by name, whosever it is."""

import pytest

from shared.ledger.backup import TOKEN_MARGIN
from shared.ledger.holdings import Holdings
from shared.ledger.states import JobStatus
from tests.integration.ledger.conftest import LedgerDriver


def test_all_that_processes_hold_is_listed_with_its_worker_key_and_attempt(
    ledger: LedgerDriver,
) -> None:
    poison = ledger.accept("Two segments.", owner="a" * 12)
    ledger.plan(["1" * 64, "2" * 64])
    first = ledger.worker("synth.b1/7-aa")
    assert len(first.claim_segments(8)) == 2
    ledger.leases.release("synth.b1/7-aa", stopped=False)  # it died of one of them
    second = ledger.worker("synth.b2/8-bb")
    (again,) = second.claim_segments(8)  # alone: it ended a worker before
    other = ledger.accept("Planned now.", owner="b" * 12)
    assert ledger.worker("plan.0/9-cc").claim_plan(bytes_most=100) is not None
    found = {one.item: one for one in Holdings(ledger.client).now()}
    assert set(found) == {poison, other}
    held = found[poison]
    assert (held.worker, held.stage, held.owner) == ("synth.b2", "segment", "a" * 12)
    assert (held.segments, held.attempt) == ((again.index,), 2)
    assert held.held_s is not None
    assert 0 <= held.held_s < 60
    assert (found[other].worker, found[other].stage) == ("plan.0", "plan")
    assert (found[other].owner, found[other].attempt) == ("b" * 12, 1)


def test_after_a_restore_it_is_not_said_how_long_something_has_been_held(
    ledger: LedgerDriver,
) -> None:
    now_s, _ = ledger.client.time()
    ledger.client.set("kc:token", int(now_s) * 1000 + TOKEN_MARGIN)
    ledger.accept()
    assert ledger.worker().claim_plan(bytes_most=100) is not None
    (held,) = Holdings(ledger.client).now()
    assert held.held_s is None


def test_webhooks_and_assemblies_are_listed_too(ledger: LedgerDriver) -> None:
    hook = {"webhook_url": "https://x.example/", "webhook_host": "x.example"}
    told = ledger.accept(webhook_events="job.canceled", **hook)
    whole = ledger.accept()
    ledger.ask(lambda intake: intake.cancel(told))
    ledger.plan(["1" * 64])
    ledger.render_all(ledger.worker())
    assert ledger.worker("assemble.0/1-aa").claim_assembly(long_most=1) is not None
    claim = ledger.worker("deliver.0/2-bb").claim_delivery(host_slots=1)
    assert claim is not None
    found = {one.stage: one for one in Holdings(ledger.client).now()}
    assert (found["assemble"].item, found["assemble"].worker) == (whole, "assemble.0")
    assert (found["delivery"].item, found["delivery"].attempt) == (claim.id, 1)


@pytest.mark.parametrize("owner", ["local", "c" * 12])
def test_a_job_is_ended_by_name_whosever_it_is_and_once(ledger: LedgerDriver, owner: str) -> None:
    uid = ledger.accept(owner=owner)
    holdings = Holdings(ledger.client)
    assert holdings.end(uid) is JobStatus.QUEUED
    assert ledger.job(uid).status is JobStatus.CANCELED
    assert holdings.end(uid) is JobStatus.CANCELED
    assert holdings.end("job_" + "9" * 26) is None
