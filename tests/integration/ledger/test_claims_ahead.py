"""Batches claimed ahead: nothing counts against them before their rendering begins."""

from shared.ledger.states import JobStatus
from tests.integration.ledger.conftest import LedgerDriver


def test_a_batch_only_claimed_ahead_has_no_part_in_its_workers_death(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1", "h2", "h3", "h4"])
    worker = ledger.worker("w/1")
    begun = worker.claim_segments(2)
    ahead = worker.claim_segments(2, ahead=True)
    assert [claim.attempt for claim in ahead] == [1, 1]
    ledger.rung()
    ledger.leases.release("w/1", stopped=False)
    assert ledger.rung() == {"synth"}
    survivor = ledger.worker("w/2")
    batches = [survivor.claim_segments(8) for _ in range(3)]
    # Those that were rendered come back one by one, as suspects; the others as if never claimed.
    suspects = [(c.index, c.attempt) for batch in batches for c in batch if c.solo]
    assert suspects == [(claim.index, 2) for claim in begun]
    (together,) = [batch for batch in batches if not batch[0].solo]
    assert [(c.index, c.attempt) for c in together] == [(c.index, 1) for c in ahead]


def test_a_batch_claimed_ahead_counts_once_it_is_begun(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1", "h2"])
    worker = ledger.worker("w/1")
    ahead = worker.claim_segments(2, ahead=True)
    assert worker.begin_segments(ahead) == ahead
    assert worker.begin_segments(ahead) == ahead, "said twice"
    ledger.leases.release("w/1", stopped=False)
    (again,) = ledger.worker("w/2").claim_segments(8)
    assert (again.attempt, again.solo) == (2, True)


def test_a_segment_that_kills_whoever_begins_it_is_poison_though_claimed_ahead(
    ledger: LedgerDriver,
) -> None:
    uid = ledger.accept()
    ledger.plan(["h1"])
    for turn in range(3):
        worker = ledger.worker(f"w/{turn}")
        claims = worker.claim_segments(8, ahead=True)
        assert worker.begin_segments(claims)
        ledger.leases.release(f"w/{turn}", stopped=False)
    assert ledger.worker("w/9").claim_segments(8, ahead=True) == []
    assert ledger.job(uid).error_code == "poison"


def test_being_claimed_ahead_by_workers_that_die_uses_up_no_attempt(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    ledger.plan(["h1"])
    for turn in range(5):
        assert ledger.worker(f"w/{turn}").claim_segments(8, ahead=True)
        ledger.leases.release(f"w/{turn}", stopped=False)
    (claim,) = ledger.worker().claim_segments(8)
    assert (claim.attempt, claim.solo) == (1, False)
    assert ledger.job(uid).status is JobStatus.PROCESSING


def test_a_worker_told_to_stop_gives_back_begun_and_claimed_ahead_alike(
    ledger: LedgerDriver,
) -> None:
    ledger.accept()
    ledger.plan(["h1", "h2"])
    worker = ledger.worker("w/1")
    worker.claim_segments(1)
    worker.claim_segments(1, ahead=True)
    worker.let_go(stopped=True)
    claims = ledger.worker("w/2").claim_segments(8)
    assert [(claim.attempt, claim.solo) for claim in claims] == [(1, False)] * 2


def test_what_was_claimed_ahead_can_be_returned_and_nothing_else_with_it(
    ledger: LedgerDriver,
) -> None:
    ledger.accept()
    ledger.plan(["h1", "h2", "h3"])
    worker = ledger.worker("w/1")
    begun = worker.claim_segments(1)
    ahead = worker.claim_segments(2, ahead=True)
    ledger.rung()
    worker.return_segments(ahead)
    assert ledger.rung() == {"synth"}
    worker.return_segments(ahead)
    assert not ledger.rung(), "said twice"
    assert worker.begin_segments(ahead) == []
    other = ledger.worker("w/2")
    claims = other.claim_segments(8)
    assert [claim.index for claim in claims] == [claim.index for claim in ahead]
    ledger.finish(worker, begun)
    assert ledger.upkeep.backlog().segments == 0


def test_what_ended_meanwhile_is_not_begun(ledger: LedgerDriver) -> None:
    gone, stays = ledger.accept("gone"), ledger.accept("stays")
    ledger.plan(["h1"])
    ledger.plan(["h2"])
    worker = ledger.worker("w/1")
    ahead = worker.claim_segments(8, ahead=True)
    ledger.ask(lambda intake: intake.cancel(gone))
    begun = worker.begin_segments(ahead)
    assert [claim.uid for claim in begun] == [stays]
    ledger.finish(worker, begun)
    assert ledger.client.keys("kc:held:*") == []


def test_what_was_given_to_another_is_not_begun(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1"])
    slow, fast = ledger.worker("slow/1"), ledger.worker("fast/1")
    ahead = slow.claim_segments(8, ahead=True)
    ledger.leases.release("slow/1", stopped=False)
    claims = fast.claim_segments(8)
    assert len(claims) == 1
    assert slow.begin_segments(ahead) == []
    ledger.finish(fast, claims)
    assert ledger.upkeep.backlog().segments == 0
