"""Webhook rows: written with the job's end, sent at least once, the same bytes every time."""

import time

import pytest

from shared.errors import IllegalTransition, LostLease
from shared.ledger.messages import DeliveryClaim
from shared.ledger.outbox import Outbox
from shared.ledger.states import DeliveryStatus
from shared.ledger.work import WorkLedger
from tests.integration.ledger.conftest import LedgerDriver

EVENTS = "job.succeeded job.failed job.canceled job.expired"


def with_webhook(ledger: LedgerDriver, host: str = "a.example", events: str = EVENTS) -> str:
    """Accept a job with a webhook and end it."""
    uid = ledger.accept(
        f"to {host} {ledger.made}",
        webhook_url=f"https://{host}/hook",
        webhook_host=host,
        webhook_events=events,
    )
    ledger.ask(lambda intake: intake.cancel(uid))
    return uid


def claim(worker: WorkLedger, slots: int = 4) -> DeliveryClaim:
    found = worker.claim_delivery(host_slots=slots)
    assert found is not None
    return found


def test_the_row_is_written_with_the_jobs_end_and_only_for_wanted_events(
    ledger: LedgerDriver,
) -> None:
    uid = with_webhook(ledger)
    with_webhook(ledger, events="job.succeeded")
    worker = ledger.worker("d/1")
    found = claim(worker)
    assert (found.uid, found.event, found.attempt) == (uid, "job.canceled", 1)
    assert found.body is None
    assert worker.claim_delivery(host_slots=4) is None


def test_a_repeat_has_the_same_id_and_the_same_bytes(ledger: LedgerDriver) -> None:
    with_webhook(ledger)
    first = claim(ledger.worker("d/1"))
    assert ledger.worker("d/1").freeze_body(first, b'{"a":1}') == b'{"a":1}'
    ledger.leases.release("d/1", stopped=False)
    second = claim(ledger.worker("d/2"))
    assert (second.id, second.body, second.attempt) == (first.id, b'{"a":1}', 2)
    assert ledger.worker("d/2").freeze_body(second, b'{"b":2}') == b'{"a":1}'
    with pytest.raises(LostLease):
        ledger.worker("d/1").record_attempt(
            first, status=DeliveryStatus.DELIVERED, next_s=0, entry={}
        )


def test_a_retry_waits_its_time(ledger: LedgerDriver) -> None:
    uid = with_webhook(ledger)
    worker = ledger.worker("d/1")
    worker.record_attempt(
        claim(worker), status=DeliveryStatus.PENDING, next_s=0.3, entry={"status": 500}
    )
    assert worker.claim_delivery(host_slots=4) is None
    time.sleep(0.35)
    again = claim(worker)
    assert again.attempt == 2
    worker.record_attempt(again, status=DeliveryStatus.DELIVERED, next_s=0, entry={"status": 204})
    (delivery,) = ledger.ask(lambda intake: Outbox(intake.client).deliveries(uid))
    assert delivery.status is DeliveryStatus.DELIVERED
    assert [entry["status"] for entry in delivery.log] == [500, 204]


def test_a_slow_host_takes_no_more_than_its_slots(ledger: LedgerDriver) -> None:
    for _ in range(5):
        with_webhook(ledger, "slow.example")
    with_webhook(ledger, "fast.example")
    worker = ledger.worker("d/1")
    hosts = []
    first = None
    for _ in range(3):
        found = claim(worker, slots=2)
        first = first or found
        hosts.append(found.url.split("/")[2])
    assert sorted(hosts) == ["fast.example", "slow.example", "slow.example"]
    assert worker.claim_delivery(host_slots=2) is None
    assert first is not None
    worker.record_attempt(first, status=DeliveryStatus.DELIVERED, next_s=0, entry={})
    assert claim(worker, slots=2).url == "https://slow.example/hook"


def test_a_finished_delivery_can_be_replayed_and_a_pending_one_not(ledger: LedgerDriver) -> None:
    uid = with_webhook(ledger)
    worker = ledger.worker("d/1")
    found = claim(worker)
    replay = ledger.ask(lambda intake: Outbox(intake.client).replay(uid, found.id))
    assert replay is DeliveryStatus.SENDING
    worker.record_attempt(found, status=DeliveryStatus.EXHAUSTED, next_s=0, entry={})
    assert (
        ledger.ask(lambda intake: Outbox(intake.client).replay(uid, found.id))
        is DeliveryStatus.EXHAUSTED
    )
    assert claim(worker).id == found.id
    assert ledger.ask(lambda intake: Outbox(intake.client).replay("job_other", found.id)) is None


def test_an_illegal_move_raises(ledger: LedgerDriver) -> None:
    with_webhook(ledger)
    worker = ledger.worker("d/1")
    with pytest.raises(IllegalTransition):
        worker.record_attempt(claim(worker), status=DeliveryStatus.SENDING, next_s=0, entry={})
