"""What one slice of a text leaves for the next, and its chapters."""

import json
from dataclasses import replace

import pytest

from shared.errors import LostLease
from shared.languages import Language
from shared.ledger.messages import NewSegment, PlanState
from shared.ledger.records import ChapterRecord
from shared.ledger.scripts import text as as_text
from tests.integration.ledger.conftest import LedgerDriver


def test_the_voice_in_force_goes_from_slice_to_slice_whoever_plans_it(
    ledger: LedgerDriver,
) -> None:
    uid = ledger.accept("Hello there.")
    one, two = ledger.worker("p/1"), ledger.worker("p/2")
    claim = one.claim_plan(bytes_most=10)
    assert claim is not None and claim.state == PlanState()
    state = PlanState("af_bella(2)+af_sky", (Language.FRENCH,))
    one.add_segments(
        claim,
        [],
        bytes_done=6,
        chars_done=6,
        final=False,
        state=state,
        chapters=[ChapterRecord("Ü", 0)],
    )
    claim = two.claim_plan(bytes_most=10)
    assert claim is not None and claim.state == state
    # A planner that ends now gives the same to the next.
    ledger.leases.release("p/2", stopped=False)
    claim = one.claim_plan(bytes_most=10)
    assert claim is not None and claim.state == state
    assert claim.uid == uid


def test_a_slice_that_is_recorded_twice_counts_once(ledger: LedgerDriver) -> None:
    uid = ledger.accept("Hello there.")
    worker = ledger.worker("p/1")
    claim = worker.claim_plan(bytes_most=100)
    assert claim is not None
    payload = replace(ledger.payload("a" * 64), voice="am_adam")

    def record() -> None:
        worker.add_segments(
            claim,
            [NewSegment(0, 1, payload=payload, voice="am_adam"), NewSegment(1, 2, samples=10)],
            bytes_done=12,
            chars_done=12,
            final=True,
            chapters=[ChapterRecord("One", 0), ChapterRecord("Two", 1)],
        )

    record()
    with pytest.raises(LostLease):
        record()
    rows = ledger.client.lrange(f"kc:job:{uid}:chapters", 0, -1)
    assert [json.loads(row) for row in rows] == [
        {"title": "One", "segment": 0},
        {"title": "Two", "segment": 1},
    ]
    kept = ledger.client.hmget(f"kc:job:{uid}:segments", ["0", "1"])
    segments = [json.loads(as_text(row)) for row in kept]
    assert segments[0]["voice"] == "am_adam"
    assert "voice" not in segments[1]


def test_nothing_of_a_chapter_is_left_of_a_job_that_is_deleted(ledger: LedgerDriver) -> None:
    uid = ledger.accept("Hello there.")
    worker = ledger.worker("p/1")
    claim = worker.claim_plan(bytes_most=100)
    assert claim is not None
    worker.add_segments(
        claim, [], bytes_done=5, chars_done=5, final=False, chapters=[ChapterRecord("One", 0)]
    )
    ledger.ask(lambda intake: intake.cancel(uid))
    ledger.ask(lambda intake: intake.delete(uid))
    assert ledger.client.keys(f"kc:job:{uid}*") == []
