"""A job that is made of another's segments, through the real scripts."""

import hashlib
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import LostLease, SourceGone
from shared.formats import AudioFormat, CaptionFormat
from shared.languages import Language
from shared.ledger.intake import Verdict
from shared.ledger.messages import NewSegment, PlanClaim
from shared.ledger.records import ChapterRecord, JobSpec
from shared.ledger.redo import KeptSegment, Redo, Said, Source, how_said
from shared.ledger.scripts import script
from shared.ledger.scripts import text as as_text
from shared.ledger.source import source_chapters, source_segments, source_spoken
from shared.ledger.states import JobStatus
from shared.spoken import SpokenRow, SpokenSegment, SpokenSentence, encode, read_file
from tests.integration.ledger.conftest import LedgerDriver
from worker.redoing import KEPT_AT_ONCE as KEPT_IN_A_SLICE

SAID = Said(Language.AMERICAN_ENGLISH, 1.0, False)
SCRIPT_MOST_S = 0.25
"""For one script over a ten-hour book, on a machine that others work on too."""


def finished(ledger: LedgerDriver, hashes: list[str], **changes: Any) -> str:
    """Take a job with these segments to its end."""
    uid = ledger.accept("ab", **changes)
    assert ledger.plan(hashes) == uid
    ledger.render_all(ledger.worker())
    assert ledger.assemble(ledger.worker()) == uid
    return uid


def redo_of(
    ledger: LedgerDriver, uid: str, index: int, *, words: tuple[SpokenRow, ...] = (), **more: Any
) -> str:
    """Accept a job that says one segment of another anew."""
    redo = Redo(uid, uid, index, ledger.job(uid).segments_total, 0, 1, "", SAID)
    return ledger.accept("new", source=Source(redo, words), **more)


def claimed(ledger: LedgerDriver, uid: str) -> PlanClaim:
    claim = ledger.worker("p/1").claim_plan(bytes_most=10)
    assert claim is not None and claim.uid == uid
    return claim


def keep(ledger: LedgerDriver, claim: PlanClaim, stop: int) -> None:
    """Record that segments are kept, as a planner does."""
    assert claim.redo is not None and claim.keeps
    found = source_segments(ledger.client, claim.uid, claim.state.at, stop)
    final = stop == claim.redo.total
    ledger.worker("p/1").add_segments(
        claim,
        [NewSegment.kept(segment, moved=0) for segment in found],
        bytes_done=0,
        chars_done=claim.chars_done,
        final=final,
        state=replace(claim.state, at=stop),
        speech=final and claim.state.speaks,
    )


def say(ledger: LedgerDriver, claim: PlanClaim, *hashes: str) -> None:
    """Record the segments of the new text."""
    redo = claim.redo
    assert redo is not None and not claim.keeps
    stop = redo.segment + 1
    ledger.worker("p/1").add_segments(
        claim,
        [NewSegment(0, 1, payload=ledger.payload(digest)) for digest in hashes],
        bytes_done=3,
        chars_done=3,
        final=stop == redo.total,
        state=replace(claim.state, at=stop, speaks=True),
        speech=stop == redo.total,
    )


def hashes_of(ledger: LedgerDriver, uid: str) -> list[str | None]:
    rows = ledger.client.hgetall(f"kc:job:{uid}:segments")
    found = {int(index): KeptSegment.from_json(row).hash for index, row in rows.items()}
    assert sorted(found) == list(range(len(found)))
    return [found[index] for index in range(len(found))]


def test_what_another_job_has_is_kept_around_the_new_text(ledger: LedgerDriver) -> None:
    old = finished(ledger, ["a", "b", "c"])
    new = redo_of(ledger, old, 1)
    assert "plan" in ledger.rung()
    claim = claimed(ledger, new)
    assert (claim.text, claim.state.at, claim.keeps) == (b"new", 0, True)
    keep(ledger, claim, 1)
    assert "plan" in ledger.rung()
    say(ledger, claimed(ledger, new), "x", "y")
    assert ledger.render_all(ledger.worker()) == 2
    assert ledger.job(new).segments_done == 3
    claim = claimed(ledger, new)
    assert (claim.state.at, claim.segments_total, claim.chars_done) == (2, 3, 3)
    keep(ledger, claim, 3)
    job = ledger.job(new)
    assert (job.segments_total, job.segments_done, job.segments_reused) == (4, 4, 2)
    assert job.audio_s == pytest.approx(4)
    assert hashes_of(ledger, new) == ["a", "x", "y", "c"]
    assert ledger.assemble(ledger.worker()) == new
    assert ledger.job(new).status is JobStatus.SUCCEEDED
    assert hashes_of(ledger, old) == ["a", "b", "c"]
    assert ledger.client.keys(f"kc:job:{new}:source*") == []
    assert ledger.client.keys(f"kc:job:{new}:anew") == []


@pytest.mark.parametrize("end", ["delete", "purge"])
def test_the_other_job_may_go_as_soon_as_the_new_one_is_accepted(
    ledger: LedgerDriver, end: str
) -> None:
    old = finished(ledger, ["a", "b"], ttl_s=0)
    words = (SpokenRow(0, encode([said(0), said(7)])),)
    new = redo_of(ledger, old, 1, words=words)
    if end == "delete":
        ledger.ask(lambda intake: intake.delete(old))
    else:
        ledger.upkeep.purge_audio(record_ttl_s=0)
    claim = claimed(ledger, new)
    assert source_spoken(ledger.client, new, 0, 1) == [said(0)]
    keep(ledger, claim, 1)
    say(ledger, claimed(ledger, new), "x")
    ledger.render_all(ledger.worker())
    assert ledger.assemble(ledger.worker()) == new
    assert hashes_of(ledger, new) == ["a", "x"]


def said(start: int) -> SpokenSegment:
    return SpokenSegment(2, (SpokenSentence(start, start + 2, "ab", 0, 2, 0, ()),))


def test_audio_that_is_to_be_kept_is_used_from_the_moment_it_is_looked_after(
    ledger: LedgerDriver,
) -> None:
    old = finished(ledger, ["a", "b", "c"])
    ledger.client.zadd("kc:audio_used", {"a": 1, "b": 1, "c": 1})
    assert ledger.ask(lambda intake: intake.keep_segments(old, 3, but=1)) is None
    ledger.upkeep.forget_audio(unused_s=60)
    assert sorted(ledger.client.keys("kc:audio:*")) == [b"kc:audio:a", b"kc:audio:c"]
    assert ledger.ask(lambda intake: intake.keep_segments(old, 3, but=1)) is None
    assert ledger.ask(lambda intake: intake.keep_segments(old, 3, but=2)) == 1


def test_audio_swept_all_the_same_fails_the_job_by_name(ledger: LedgerDriver) -> None:
    old = finished(ledger, ["a", "b", "c"])
    new = redo_of(ledger, old, 0)
    say(ledger, claimed(ledger, new), "x")
    ledger.upkeep.forget_audio(unused_s=0)
    keep(ledger, claimed(ledger, new), 3)
    job = ledger.job(new)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "segment_gone")
    assert "segment 1" in (job.error_message or "")
    assert ledger.worker().claim_segments(8) == []
    assert ledger.worker().claim_assembly(long_most=1) is None
    assert ledger.client.keys("kc:job:*:source") == []


def test_audio_that_was_rendered_again_since_is_what_is_kept(ledger: LedgerDriver) -> None:
    old = finished(ledger, ["a", "b"])
    ledger.worker().doubt_audio(ledger.worker().segments(old, 0, 1)[0].key or "")
    again = finished(ledger, ["a"])
    new = redo_of(ledger, old, 1)
    keep(ledger, claimed(ledger, new), 1)
    (kept,) = ledger.worker().segments(new, 0, 1)
    assert kept.key == ledger.worker().segments(again, 0, 1)[0].key


def test_nothing_is_made_of_what_is_not_there(ledger: LedgerDriver) -> None:
    old = finished(ledger, ["a"])
    other = ledger.accept("open")
    gone = "job_" + "9" * 26
    redo = Redo(old, old, 0, 1, 0, 1, "", SAID)
    for wanted, owner in (
        (replace(redo, uid=other), "local"),
        (replace(redo, uid=gone), "local"),
        (replace(redo, segment=1), "local"),
        (redo, "another"),
    ):
        submission = ledger.submit("new", source=Source(wanted), owner=owner)
        assert (submission.verdict, submission.uid) == (Verdict.SOURCE_GONE, None)
    assert ledger.ask(lambda intake: intake.queued_jobs()) == 1
    assert ledger.client.keys("kc:job:*:anew") == []


def test_a_planner_that_dies_between_two_slices_leaves_them_to_the_next(
    ledger: LedgerDriver,
) -> None:
    new = redo_of(ledger, finished(ledger, ["a", "b", "c"]), 1)
    keep(ledger, claimed(ledger, new), 1)
    lost = claimed(ledger, new)
    ledger.leases.release("p/1", stopped=False)
    say(ledger, claimed(ledger, new), "x")
    with pytest.raises(LostLease):
        say(ledger, lost, "x")
    keep(ledger, claimed(ledger, new), 3)
    assert hashes_of(ledger, new) == ["a", "x", "c"]


def test_planners_of_the_release_before_can_spoil_nothing(ledger: LedgerDriver) -> None:
    new = redo_of(ledger, finished(ledger, ["a", "b", "c"]), 1)
    # They look into the one queue they know.
    assert ledger.client.zcard("kc:queue:plan") == 0
    # Even if one that died is put there by their scripts, the job never looks whole to them.
    keep(ledger, claimed(ledger, new), 1)
    say(ledger, claimed(ledger, new), "x")
    ledger.render_all(ledger.worker())
    claim = claimed(ledger, new)
    assert ledger.client.get(f"kc:job:{new}:input") is None
    ledger.worker("p/1").add_segments(claim, [], bytes_done=0, chars_done=0, final=True)
    job = ledger.job(new)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "nothing_to_speak")


def test_what_a_job_was_given_goes_with_its_end(ledger: LedgerDriver) -> None:
    old = finished(ledger, ["a", "b"])
    words = (SpokenRow(0, encode([said(0), said(7)])),)
    new = redo_of(ledger, old, 1, words=words)
    keys = ledger.client.keys(f"kc:job:{new}:*")
    parts = {as_text(key).rpartition(":")[2] for key in keys}
    assert parts == {"anew", "source", "source_words"}
    assert all(ledger.client.ttl(key) > 3600 for key in keys), "whatever release ends it"
    claim = claimed(ledger, new)
    ledger.ask(lambda intake: intake.cancel(new))
    assert ledger.client.keys(f"kc:job:{new}:*") == []
    with pytest.raises(SourceGone):
        source_segments(ledger.client, new, 0, 1)
    with pytest.raises(SourceGone):
        source_spoken(ledger.client, new, 0, 1)
    with pytest.raises(LostLease):
        ledger.worker("p/1").add_segments(claim, [], bytes_done=0, chars_done=0, final=False)


def test_words_are_found_whatever_slices_they_came_in(ledger: LedgerDriver) -> None:
    old = finished(ledger, list("abcde"))
    rows = [[said(n) for n in slice_] for slice_ in ((0, 1), (2,), (3, 4))]
    words = (SpokenRow(0, encode(rows[0])), SpokenRow(2, encode(rows[1])))
    new = redo_of(ledger, old, 1, words=(*words, SpokenRow(3, encode(rows[2]))))
    for first in range(5):
        for stop in range(first + 1, 6):
            found = source_spoken(ledger.client, new, first, stop)
            assert found == [said(n) for n in range(first, stop)]
    with pytest.raises(SourceGone):
        source_spoken(ledger.client, new, 4, 6)


def test_a_damaged_file_of_words_is_told(ledger: LedgerDriver) -> None:
    for damaged in (b"{", b'{"v": 1}\n', b"[]\n", b"\xff"):
        with pytest.raises(ValueError):
            read_file(damaged)


def test_chapters_are_given_as_the_other_job_has_them(ledger: LedgerDriver) -> None:
    old = ledger.accept("ab")
    worker = ledger.worker("p/1")
    claim = worker.claim_plan(bytes_most=10)
    assert claim is not None
    chapters = [ChapterRecord("One", 0), ChapterRecord("Two", 1)]
    segments = [NewSegment(0, 1, payload=ledger.payload("a")), NewSegment(1, 2, samples=10)]
    worker.add_segments(claim, segments, bytes_done=2, chars_done=2, final=True, chapters=chapters)
    ledger.render_all(worker)
    ledger.assemble(worker)
    new = redo_of(ledger, old, 0)
    assert source_chapters(ledger.client, new) == chapters


def test_how_a_segment_was_said_is_known_of_each(ledger: LedgerDriver) -> None:
    spec = JobSpec(
        "af_heart",
        Language.AMERICAN_ENGLISH,
        1.2,
        (AudioFormat.MP3,),
        "kokoro",
        normalize=True,
        follow_voice=True,
        captions=(CaptionFormat.WORDS,),
    )
    job = ledger.job(ledger.accept("a", spec=spec))
    assert how_said(job, KeptSegment(0, 1, 0, "a")) == Said(spec.language, 1.2, True)
    other = KeptSegment(0, 1, 0, "a", voice="ff_siwis")
    assert how_said(job, other) == Said(Language.FRENCH, 1.2, True)
    own = Said(Language.ITALIAN, 0.5, False, ("names@3",))
    assert how_said(job, replace(other, said=own)) == own
    # As it comes back from the ledger's scripts, which know no empty list.
    for kept in (own, replace(own, lexicons=())):
        wire = {**kept.to_wire(), "lexicons": list(kept.lexicons) or {}}
        row = {"start": 0, "end": 1, "hash": "a", "length": 1, "said": wire}
        assert KeptSegment.from_json(json.dumps(row)).said == kept


def test_no_script_holds_the_ledger_up_for_a_ten_hour_book(ledger: LedgerDriver) -> None:
    total = 12_360
    old = finished(ledger, ["a"])
    row = ledger.client.hget(f"kc:job:{old}:segments", "0")
    assert row is not None
    pipe = ledger.client.pipeline()
    for index in range(total):
        digest = f"{index:064}"
        record = {**json.loads(row), "hash": digest, "start": index * 160, "end": index * 160 + 159}
        pipe.hset(f"kc:job:{old}:segments", str(index), json.dumps(record))
        pipe.hset(f"kc:audio:{digest}", mapping={"key": f"segments/{digest}", "samples": 70_000})
        pipe.zadd("kc:audio_used", {digest: 1})
    pipe.hset(f"kc:job:{old}", "total", total)
    pipe.execute()
    ledger.client.config_set("slowlog-max-len", 1000)
    ledger.client.config_set("slowlog-log-slower-than", 500)  # microseconds
    ledger.client.slowlog_reset()
    begun = time.perf_counter()
    assert ledger.ask(lambda intake: intake.keep_segments(old, total, but=6000)) is None
    kept_s = time.perf_counter() - begun
    new = redo_of(ledger, old, 6000)
    while (claim := ledger.worker("p/1").claim_plan(bytes_most=10)) is not None:
        assert claim.redo is not None
        if claim.keeps:
            before = claim.state.at < claim.redo.segment
            keep(ledger, claim, min(claim.state.at + KEPT_IN_A_SLICE, 6000 if before else total))
        else:
            say(ledger, claim, "x")
    assert ledger.job(new).segments_reused == total - 1
    names = ("create", "keep_segments", "claim_plan", "add_segments")
    known = {hashlib.sha1(script(name).encode()).hexdigest(): name for name in names}
    slowest = dict.fromkeys(names, 0.0)
    for entry in ledger.client.slowlog_get(1000):
        words = bytes(entry["command"]).split()
        name = known.get(words[1].decode()) if words[0] == b"EVALSHA" else None
        if name:
            slowest[name] = max(slowest[name], entry["duration"] / 1e6)
    ledger.client.config_set("slowlog-log-slower-than", 10_000)
    print(f"looked after in {kept_s:.3f} s; slowest of each script, in seconds: {slowest}")
    assert slowest["add_segments"] > 0
    assert max(slowest.values()) < SCRIPT_MOST_S
