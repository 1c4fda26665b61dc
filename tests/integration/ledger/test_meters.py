"""What the ledger counts of rendered batches."""

from typing import Any

import redis

from shared.ledger.messages import RenderedSegment
from shared.ledger.scripts import text
from tests.integration.ledger.conftest import MANIFEST, LedgerDriver

METERS = ("kc:totals", "kc:durations", "kc:batch_sizes", "kc:pace", "kc:speech")


def meters(client: redis.Redis) -> dict[str, dict[Any, Any]]:
    """Return everything that is counted, but the time it was counted at."""
    names = [*METERS, *map(text, client.keys("kc:rate:*"))]
    found = {name: client.hgetall(name) for name in names}
    found["kc:pace"].pop(b"at_ms", None)
    return found


def test_a_batch_that_is_recorded_twice_counts_once_and_is_answered_the_same(
    ledger: LedgerDriver,
) -> None:
    ledger.accept("Two segments.")
    ledger.plan(["1" * 64, "2" * 64])
    worker = ledger.worker("synth.0/1-aa")
    claims = worker.claim_segments(8)
    other = ledger.worker("synth.1/1-bb")
    rendered = [
        RenderedSegment(claim, f"segments/{claim.payload.hash}/{claim.token}.wav", 24_000)
        for claim in claims
    ]

    def say() -> list[str]:
        return worker.finish_segments(rendered, synthesis_s=0.5, engine=MANIFEST, store_s=0.1)

    answered = say()
    counted = meters(ledger.client)
    assert counted["kc:totals"][b"segments_rendered"] == b"2"
    assert say() == answered
    assert meters(ledger.client) == counted
    # The next batch counts again, of this process and of another.
    ledger.accept("Two more.")
    ledger.plan(["3" * 64, "4" * 64])
    for each in (worker, other):
        ledger.finish(each, each.claim_segments(1))
    assert ledger.client.hget("kc:totals", "batches") == b"3"


def test_what_a_late_worker_rendered_for_nothing_is_counted_as_lost_once(
    ledger: LedgerDriver,
) -> None:
    ledger.accept("One segment.")
    ledger.plan(["1" * 64])
    late, other = ledger.worker("synth.0/1-aa"), ledger.worker("synth.1/1-bb")
    claims = late.claim_segments(8)
    ledger.leases.release("synth.0/1-aa", stopped=False)
    ledger.finish(other, other.claim_segments(8))
    for _ in range(2):
        assert ledger.finish(late, claims) != []
    assert ledger.client.hget("kc:totals", "segments_lost") == b"1"
    assert ledger.client.hget("kc:totals", "batches") == b"2"
    assert 0 < ledger.client.ttl("kc:said:synth.0/1-aa") <= 3600


def test_an_empty_batch_counts_nothing(ledger: LedgerDriver) -> None:
    worker = ledger.worker("synth.0/1-aa")
    before = meters(ledger.client)
    assert worker.finish_segments([], synthesis_s=0.5, engine=MANIFEST, store_s=0.1) == []
    assert meters(ledger.client) == before
