"""What estimates are made of, as the ledger's steps write it down."""

import time
from typing import Any

import pytest

from shared.ledger.encoding import EncodingCost, encode_s
from shared.ledger.outlook import CAME_S, Outlook
from shared.ledger.states import Lane
from tests.integration.ledger.conftest import LedgerDriver


def outlook(ledger: LedgerDriver) -> Outlook:
    found = ledger.ask(lambda intake: intake.outlook("local", Lane.INTERACTIVE))
    assert isinstance(found, Outlook)
    return found


def test_audio_that_existed_is_told_from_what_was_rendered(ledger: LedgerDriver) -> None:
    worker = ledger.worker()
    ledger.accept("ab")
    ledger.plan(["a", "b"], lengths=[10, 30])
    ledger.render_all(worker)
    again = ledger.accept("abc")
    ledger.plan(["a", "b", "c"], lengths=[10, 30, 50])
    ledger.render_all(worker)
    job = ledger.job(again)
    assert (job.segments_reused, job.audio_s) == (2, 3)
    assert (job.pace.to_render, job.pace.rendered, job.pace.rendered_s) == (50, 50, 1)
    seen = outlook(ledger)
    assert seen.rendered == 90
    assert seen.pace["at_ms"] / 1000 == pytest.approx(seen.now, abs=5)


def test_what_came_is_counted_by_lane_and_forgotten(ledger: LedgerDriver) -> None:
    ledger.accept("x" * 7)
    ledger.accept("x" * 5, lane=Lane.BATCH)
    ledger.accept("x" * 4, lane=Lane.BATCH)
    (first, *_) = sorted(ledger.client.keys("kc:rate:*"))
    assert 0 < ledger.client.ttl(first) <= 180
    # As if it had been in the stretch before: the one that goes on is not counted yet.
    seconds = int(ledger.client.time()[0])
    totals: dict[Any, Any] = {
        name: sum(
            int(ledger.client.hget(key, name) or 0) for key in ledger.client.keys("kc:rate:*")
        )
        for name in ("came.interactive", "came.batch")
    }
    assert totals == {"came.interactive": 7, "came.batch": 9}
    ledger.client.delete(*ledger.client.keys("kc:rate:*"))
    ledger.client.hset(f"kc:rate:{int(seconds // CAME_S) - 1}", mapping=totals)
    came = outlook(ledger).came
    assert {lane: sum(each) for lane, each in came.items()} == {"interactive": 7, "batch": 9}


def test_how_far_an_encoding_is_is_seen_while_it_is_under_way_only(ledger: LedgerDriver) -> None:
    worker, other = ledger.worker(), ledger.worker("w/2")
    uid = ledger.accept("a")
    ledger.plan(["a"])
    ledger.render_all(worker)
    claim = worker.claim_assembly(long_most=1)
    assert claim is not None
    worker.tell_encoded(claim, 0.25)
    job = ledger.job(uid)
    assert job.pace.encoded == 0.25
    assert job.pace.encoded_at == pytest.approx(time.time(), abs=60)
    # Another worker's attempt begins anew, and the first one's word counts no more.
    ledger.leases.release("w/1", stopped=True)
    again = other.claim_assembly(long_most=1)
    assert again is not None
    worker.tell_encoded(claim, 0.75)
    assert ledger.job(uid).pace.encoded == 0
    other.finish_job(again, [], encode_s=1)
    other.tell_encoded(again, 0.9)
    assert ledger.job(uid).pace.encoded == 0
    ledger.ask(lambda intake: intake.delete(uid))
    other.tell_encoded(again, 0.9)
    assert not ledger.client.exists(f"kc:job:{uid}")


def test_what_encoders_take_is_averaged_over_jobs(ledger: LedgerDriver) -> None:
    worker = ledger.worker()
    for name, cpu_s in (("a", 0.1), ("b", 0.3)):
        ledger.accept(name)
        ledger.plan([name])
        ledger.render_all(worker)
        claim = worker.claim_assembly(long_most=1)
        assert claim is not None
        costs = {"mp3": EncodingCost(audio_s=1, cpu_s=cpu_s, wall_s=2 * cpu_s)}
        worker.finish_job(claim, [], encode_s=2 * cpu_s + 0.5, costs=costs)
        worker.finish_job(claim, [], encode_s=9, costs=costs)  # said twice, counted once
    measured = outlook(ledger).encode
    assert measured["mp3.cpu_s"] / measured["mp3.audio_s"] == pytest.approx(0.2, rel=0.01)
    assert measured["wall_s"] / measured["cpu_s"] == pytest.approx(2)
    assert measured["around|1.s"] / measured["around|1.audio_s"] == pytest.approx(0.5, rel=0.01)
    expected = 10 * 0.2 * 2 * (0.9 / 1.0) + 10 * 0.5
    assert encode_s(measured, ("mp3",), 10) == pytest.approx(expected, rel=0.05)


def test_where_all_have_given_their_model_back_the_first_that_loads_is_waited_for(
    ledger: LedgerDriver,
) -> None:
    def cold_s(**states: dict[str, Any]) -> float:
        for name, state in states.items():
            ledger.leases.announce(f"synth.{name}", state)
        return outlook(ledger).cold_s

    assert cold_s() == 0
    assert cold_s(a={"state": "loading"}) == 0, "it is not known how long that takes"
    assert cold_s(a={"state": "unloaded", "load_s": 9.5}) == 9.5
    assert cold_s(b={"state": "unloaded", "load_s": 4.0}) == 4
    assert cold_s(a={"state": "loading", "load_s": 9.5, "loading_s": 7.0}) == 2.5
    assert cold_s(a={"state": "loading", "load_s": 9.5, "loading_s": 70.0}) == 0
    assert cold_s(a={"state": "idle", "load_s": 9.5}) == 0
    assert outlook(ledger).synth == 2
