"""Leases, fencing tokens and attempts: what a crash may and may not change."""

import time

import pytest

from shared.errors import LostLease
from shared.ledger.messages import RenderedSegment
from shared.ledger.states import JobStatus
from tests.integration.ledger.conftest import MANIFEST, LedgerDriver


def test_what_a_dead_process_held_is_given_to_the_next(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1"])
    dead = ledger.worker("dead/1", lease_s=0.2)
    held = dead.claim_segments(8)
    assert ledger.worker("next/1").claim_segments(8) == []
    time.sleep(0.25)
    assert ledger.leases.lapsed() == ["dead/1"]
    ledger.rung()
    ledger.leases.release_if_dead("dead/1")
    assert ledger.rung() == {"synth"}
    again = ledger.worker("next/1").claim_segments(8)
    assert [claim.index for claim in again] == [held[0].index]
    assert again[0].attempt == 2


def test_a_renewed_lease_is_left_alone(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1"])
    ledger.worker("w/1", lease_s=0.2).claim_segments(8)
    ledger.leases.renew(["w/1"])
    time.sleep(0.25)
    assert ledger.leases.lapsed() == []
    ledger.rung()
    ledger.leases.release_if_dead("w/1")
    assert not ledger.rung()


def test_a_late_finisher_is_refused_by_its_token(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    ledger.plan(["h1"])
    slow, fast = ledger.worker("slow/1"), ledger.worker("fast/1")
    late = slow.claim_segments(8)
    ledger.leases.release("slow/1", stopped=False)
    ledger.finish(fast, fast.claim_segments(8))
    ledger.rung()
    garbage = ledger.finish(slow, late)
    assert garbage == [f"segments/h1/{late[0].token}.wav"]
    assert not ledger.rung()
    assert ledger.job(uid).segments_done == 1


def test_a_late_planner_and_a_late_assembler_are_refused(ledger: LedgerDriver) -> None:
    ledger.accept()
    slow = ledger.worker("slow/1")
    plan = slow.claim_plan(bytes_most=10**6)
    assert plan is not None
    ledger.leases.release("slow/1", stopped=False)
    with pytest.raises(LostLease):
        ledger.add(slow, plan, ["h1"])
    ledger.plan(["h1"])
    ledger.render_all(ledger.worker())
    late = slow.claim_assembly(long_most=1)
    assert late is not None
    ledger.leases.release("slow/1", stopped=False)
    ledger.assemble(ledger.worker())
    with pytest.raises(LostLease):
        slow.finish_job(late, [], encode_s=1)


def test_who_gave_a_stage_back_cannot_finish_it_any_more(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    worker = ledger.worker("w/1")
    plan = worker.claim_plan(bytes_most=10**6)
    assert plan is not None
    worker.fail_stage(plan, code="busy", message="busy", permanent=False)
    with pytest.raises(LostLease):
        worker.fail_stage(plan, code="busy", message="busy", permanent=True)
    with pytest.raises(LostLease):
        ledger.add(worker, plan, ["h1"])
    assert ledger.plan(["h1"]) == uid
    ledger.render_all(worker)
    assembly = worker.claim_assembly(long_most=1)
    assert assembly is not None
    worker.fail_stage(assembly, code="busy", message="busy", permanent=False)
    with pytest.raises(LostLease):
        worker.finish_job(assembly, [], encode_s=1)
    assert ledger.assemble(worker) == uid


def test_a_segment_that_kills_its_worker_is_tried_three_times_and_its_neighbour_lives(
    ledger: LedgerDriver,
) -> None:
    good, bad = ledger.accept("good"), ledger.accept("bad")
    ledger.plan(["good"])
    ledger.plan(["bad"])
    attempts = 0
    for turn in range(10):
        worker = ledger.worker(f"w/{turn}")
        claims = worker.claim_segments(8)
        if not claims:
            break
        if any(claim.payload.hash == "bad" for claim in claims):
            attempts += 1
            ledger.leases.release(f"w/{turn}", stopped=False)
        else:
            assert len(claims) == 1
            ledger.finish(worker, claims)
    assert attempts == 3
    assert ledger.job(bad).status is JobStatus.FAILED
    assert ledger.job(bad).error_code == "poison"
    assert ledger.assemble(ledger.worker()) == good


def test_a_job_found_poisoned_while_a_batch_is_filled_from_it_harms_no_other(
    ledger: LedgerDriver,
) -> None:
    uid = ledger.accept()
    ledger.plan(["good", "bad"])
    calm = ledger.worker("calm/1")
    ahead = calm.claim_segments(1, ahead=True)
    for turn in range(3):
        (claim,) = ledger.worker(f"w/{turn}").claim_segments(1)
        assert claim.payload.hash == "bad"
        ledger.leases.release(f"w/{turn}", stopped=False)
    calm.return_segments(ahead)
    other = ledger.accept("other")
    ledger.plan(["other"])
    # The first leads the batch; the second is looked at to fill it.
    claims = ledger.worker().claim_segments(8)
    assert {claim.payload.hash for claim in claims} == {"good", "other"}
    assert ledger.job(uid).error_code == "poison"
    ledger.finish(ledger.worker(), claims)
    assert ledger.assemble(ledger.worker()) == other


def test_a_plan_that_kills_its_worker_is_tried_three_times(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    for turn in range(3):
        assert ledger.worker(f"w/{turn}").claim_plan(bytes_most=10**6) is not None
        ledger.leases.release(f"w/{turn}", stopped=False)
    assert ledger.worker("w/4").claim_plan(bytes_most=10**6) is None
    assert ledger.job(uid).error_code == "poison"


def test_work_stopped_on_purpose_uses_up_no_attempt(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1"])
    for _ in range(5):
        claims = ledger.worker("w/1").claim_segments(8)
        assert claims[0].attempt == 1
        ledger.leases.release("w/1", stopped=True)


def test_an_engine_error_is_tried_again_alone_and_then_fails_the_job(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    ledger.plan(["h1", "h2"])
    worker = ledger.worker()
    claims = worker.claim_segments(8)
    ledger.finish(worker, claims[1:])
    ledger.rung()
    worker.fail_segment(claims[0], code="engine_failed", message="boom", permanent=False)
    assert ledger.rung() == {"synth"}
    for _ in range(2):
        (claim,) = worker.claim_segments(8)
        worker.fail_segment(claim, code="engine_failed", message="boom", permanent=False)
    job = ledger.job(uid)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "engine_failed")
    assert "Segment 0: boom" in (job.error_message or "")


def test_a_long_assembly_keeps_no_short_one_waiting(ledger: LedgerDriver) -> None:
    longs = [ledger.accept(f"long{i}") for i in range(2)]
    for i in range(2):
        ledger.plan([f"l{i}"])
    worker = ledger.worker("a/1")
    for _ in longs:
        (claim,) = worker.claim_segments(1)
        rendered = RenderedSegment(claim, f"k{claim.token}", 24_000 * 3600)
        worker.finish_segments([rendered], synthesis_s=1, engine=MANIFEST)
    first = worker.claim_assembly(long_most=1)
    assert first is not None
    assert first.uid == longs[0]
    assert worker.claim_assembly(long_most=1) is None
    short = ledger.accept("short")
    ledger.plan(["s"])
    ledger.render_all(worker)
    second = worker.claim_assembly(long_most=1)
    assert second is not None
    assert second.uid == short
    worker.finish_job(first, [], encode_s=1)
    third = worker.claim_assembly(long_most=1)
    assert third is not None
    assert third.uid == longs[1]


def test_a_late_assembler_makes_no_room_for_another_long_one(ledger: LedgerDriver) -> None:
    slow, fast = ledger.worker("a/1"), ledger.worker("a/2")

    def queue_long(name: str) -> None:
        ledger.accept(name)
        ledger.plan([name])
        (claim,) = slow.claim_segments(1)
        rendered = RenderedSegment(claim, f"k{claim.token}", 24_000 * 3600)
        slow.finish_segments([rendered], synthesis_s=1, engine=MANIFEST)

    queue_long("one")
    late = slow.claim_assembly(long_most=1)
    assert late is not None
    ledger.leases.release("a/1", stopped=False)
    assert fast.claim_assembly(long_most=1) is not None
    queue_long("two")
    with pytest.raises(LostLease):
        slow.finish_job(late, [], encode_s=1)
    with pytest.raises(LostLease):
        slow.fail_stage(late, code="busy", message="busy", permanent=False)
    assert fast.claim_assembly(long_most=1) is None
