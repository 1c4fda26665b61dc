"""A job's way through the ledger, one promise a test, against a real Redis."""

import time

import pytest

from shared.errors import LostLease
from shared.ledger.messages import NewSegment
from shared.ledger.states import JobStatus, SegmentStatus
from tests.integration.ledger.conftest import LedgerDriver


def test_a_job_goes_from_submission_to_success(ledger: LedgerDriver) -> None:
    uid = ledger.accept("One. Two.")
    assert ledger.job(uid).status is JobStatus.QUEUED
    assert ledger.rung() == {"plan"}
    assert ledger.plan(["h1", "h2"]) == uid
    assert ledger.rung() == {"synth"}
    assert ledger.job(uid).status is JobStatus.PROCESSING

    worker = ledger.worker()
    claims = worker.claim_segments(8)
    assert [claim.index for claim in claims] == [0, 1]
    garbage = ledger.finish(worker, claims)
    assert garbage == []
    assert ledger.rung() == {"assemble"}
    assert ledger.assemble(worker) == uid

    job = ledger.job(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert (job.segments_total, job.segments_done, job.segments_reused) == (2, 2, 0)
    assert job.audio_s == pytest.approx(2.0)
    assert job.model == "test"
    assert job.stand_in is True
    assert job.precision == "exact"
    assert ledger.client.exists(f"kc:job:{uid}:payload", f"kc:job:{uid}:input") == 0


def test_nothing_is_left_in_any_queue_after_the_end(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1"])
    worker = ledger.worker()
    ledger.finish(worker, worker.claim_segments(8))
    ledger.assemble(worker)
    backlog = ledger.upkeep.backlog()
    assert (backlog.plan, backlog.synth, backlog.assemble, backlog.deliver) == (0, 0, 0, 0)
    assert (backlog.segments, backlog.phonemes) == (0, 0)
    assert ledger.client.get("kc:queued_chars") == b"0"
    assert ledger.client.get("kc:queued_jobs") == b"0"
    assert ledger.client.keys("kc:held:*") == []


def test_equal_segments_are_rendered_once_across_jobs(ledger: LedgerDriver) -> None:
    worker = ledger.worker()
    ledger.accept("first")
    ledger.plan(["same", "other"])
    assert ledger.render_all(worker) == 2
    ledger.assemble(worker)

    again = ledger.accept("second")
    ledger.plan(["same", "new"])
    assert "synth" in ledger.rung()
    assert ledger.render_all(worker) == 1
    assert ledger.assemble(worker) == again
    assert ledger.job(again).segments_reused == 1


def test_a_segment_queued_twice_before_it_was_rendered_is_settled_at_the_claim(
    ledger: LedgerDriver,
) -> None:
    first, second = ledger.accept("a"), ledger.accept("b")
    ledger.plan(["same"])
    ledger.plan(["same"])
    worker = ledger.worker()
    claims = worker.claim_segments(1)
    ledger.finish(worker, claims)
    ledger.rung()
    later = worker.claim_segments(1)
    assert later == []
    assert ledger.rung() == {"assemble"}
    assert {ledger.assemble(worker), ledger.assemble(worker)} == {first, second}


def test_both_of_two_equal_renderings_finish_and_one_object_is_named_garbage(
    ledger: LedgerDriver,
) -> None:
    ledger.accept("a")
    ledger.accept("b")
    ledger.plan(["same"])
    ledger.plan(["same"])
    worker = ledger.worker()
    one = worker.claim_segments(1)
    two = worker.claim_segments(1)
    assert ledger.finish(worker, one) == []
    garbage = ledger.finish(worker, two)
    assert garbage == [f"segments/same/{two[0].token}.wav"]
    assert {ledger.assemble(worker), ledger.assemble(worker)}


def test_a_long_text_is_planned_in_slices_that_resume_where_the_last_ended(
    ledger: LedgerDriver,
) -> None:
    uid = ledger.accept("abcdef")
    worker = ledger.worker("p/1")
    claim = worker.claim_plan(bytes_most=4)
    assert claim is not None
    assert claim.text == b"abcd"
    ledger.rung()
    ledger.add(worker, claim, ["h1", "h2"], final=False)
    assert ledger.rung() == {"plan", "synth"}
    resumed = worker.claim_plan(bytes_most=10**6)
    assert resumed is not None
    assert (resumed.bytes_done, resumed.chars_done, resumed.text) == (2, 2, b"cdef")
    ledger.add(worker, resumed, ["h3"])
    assert ledger.job(uid).segments_total == 3
    ledger.render_all(ledger.worker())
    assert ledger.assemble(ledger.worker()) == uid


def test_rendering_begins_before_planning_ends_but_assembly_waits_for_it(
    ledger: LedgerDriver,
) -> None:
    ledger.accept("abcdef")
    planner = ledger.worker("p/1")
    claim = planner.claim_plan(bytes_most=10**6)
    assert claim is not None
    ledger.add(planner, claim, ["h1"], final=False)
    worker = ledger.worker()
    assert ledger.render_all(worker) == 1
    assert worker.claim_assembly(long_most=1) is None
    rest = planner.claim_plan(bytes_most=10**6)
    assert rest is not None
    ledger.rung()
    ledger.add(planner, rest, ["h1"])
    assert "assemble" in ledger.rung()


def test_throughput_is_what_workers_do_while_they_work(ledger: LedgerDriver) -> None:
    ledger.leases.announce("synth.0", {})
    ledger.leases.announce("synth.1", {})
    ledger.leases.announce("plan.0", {})
    ledger.accept()
    ledger.plan(["h1", "h2"])
    worker = ledger.worker()
    ledger.finish(worker, worker.claim_segments(8))
    measured = ledger.ask(lambda intake: intake.throughput())
    # Two seconds of audio, two characters, in half a second; two such workers.
    assert measured.audio_s_per_s == pytest.approx(8)
    assert measured.chars_per_s == pytest.approx(8)


def test_a_pause_is_done_at_birth_and_counts_its_silence(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    planner = ledger.worker("p/1")
    claim = planner.claim_plan(bytes_most=10**6)
    assert claim is not None
    segments = [
        NewSegment(0, 1, payload=ledger.payload("h1")),
        NewSegment(1, 2, samples=36_000),
    ]
    planner.add_segments(claim, segments, bytes_done=2, chars_done=2, final=True)
    ledger.render_all(ledger.worker())
    records = ledger.worker().segments(uid, 0, 2)
    assert [record.pause for record in records] == [False, True]
    assert records[1].status is SegmentStatus.DONE
    assert ledger.job(uid).audio_s == pytest.approx(2.5)


def test_a_text_without_a_word_fails_by_name(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    ledger.plan([])
    job = ledger.job(uid)
    assert job.status is JobStatus.FAILED
    assert job.error_code == "nothing_to_speak"


def test_a_canceled_job_gives_no_more_work_and_refuses_late_results(ledger: LedgerDriver) -> None:
    uid = ledger.accept()
    ledger.plan(["h1", "h2"])
    worker = ledger.worker()
    claims = worker.claim_segments(1)
    status = ledger.ask(lambda intake: intake.cancel(uid))
    assert status is JobStatus.PROCESSING
    assert worker.claim_segments(8) == []
    ledger.finish(worker, claims)
    assert ledger.job(uid).status is JobStatus.CANCELED
    with pytest.raises(LostLease):
        worker.fail_segment(claims[0], code="x", message="x", permanent=True)
    # What was rendered stays useful to the next job that says the same.
    ledger.accept("again")
    ledger.rung()
    ledger.plan(["h1"])
    assert "synth" not in ledger.rung()


def test_a_job_past_its_deadline_expires(ledger: LedgerDriver) -> None:
    uid = ledger.accept(deadline_s=1)
    ledger.plan(["h1"])
    time.sleep(1.05)
    assert ledger.worker().claim_segments(8) == []
    assert ledger.job(uid).status is JobStatus.EXPIRED


def test_the_reconciler_expires_what_nobody_claims(ledger: LedgerDriver) -> None:
    uid = ledger.accept(deadline_s=1)
    time.sleep(1.05)
    assert ledger.upkeep.expire_jobs() == 1
    assert ledger.job(uid).status is JobStatus.EXPIRED


def test_a_deleted_job_leaves_nothing_but_a_note_for_the_sweeper(ledger: LedgerDriver) -> None:
    before = set(ledger.client.keys("kc:*"))
    uid = ledger.accept(custom_id="mine", client_id="abc")
    assert ledger.ask(lambda intake: intake.delete(uid)) is JobStatus.QUEUED
    ledger.ask(lambda intake: intake.cancel(uid))
    assert ledger.ask(lambda intake: intake.delete(uid)) is JobStatus.CANCELED
    assert ledger.ask(lambda intake: intake.get("local", uid)) is None
    left = {key for key in ledger.client.keys("kc:*") if uid.encode() in key} - before
    assert left == set()
    assert ledger.upkeep.garbage() == [f"jobs/{uid}/"]


def test_audio_past_its_time_to_live_is_purged_and_the_record_stays(ledger: LedgerDriver) -> None:
    uid = ledger.accept(ttl_s=1)
    ledger.plan(["h1"])
    worker = ledger.worker()
    ledger.render_all(worker)
    ledger.assemble(worker)
    time.sleep(1.05)
    assert ledger.upkeep.purge_audio(record_ttl_s=0) == 1
    assert ledger.job(uid).purged
    assert ledger.upkeep.stale_records() == [uid]
    ledger.upkeep.delete_job(uid)
    assert ledger.worker().job_fields(uid) == {}


def test_segment_audio_unused_for_long_is_forgotten(ledger: LedgerDriver) -> None:
    ledger.accept()
    ledger.plan(["h1"])
    worker = ledger.worker()
    ledger.render_all(worker)
    assert ledger.upkeep.forget_audio(unused_s=60) == 0
    time.sleep(0.01)
    assert ledger.upkeep.forget_audio(unused_s=0) == 1
