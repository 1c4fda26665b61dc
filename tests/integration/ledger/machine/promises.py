"""What holds of any ledger at any time, and of any step from one moment to the next."""

from collections import Counter
from collections.abc import Iterator

import pytest

from shared.ledger.states import TERMINAL, DeliveryStatus, JobStatus, SegmentStatus
from tests.integration.ledger.machine.batch_promises import (
    check_batch_deliveries,
    check_batch_steps,
    check_batches,
)
from tests.integration.ledger.machine.picture import Picture, Row

ATTEMPTS_MAX = 3
HOST_SLOTS = 1
LONG_AUDIO_S = 600


def check_moment(now: Picture) -> None:
    """Raise unless everything counted is as counted, and everything open will go on."""
    check_counters(now)
    for uid, job in now.jobs.items():
        check_segments(now, uid, job)
        if job["status"] in TERMINAL:
            check_ended(now, uid, job)
        else:
            check_open(now, uid, job)
    check_lanes(now)
    check_leases(now)
    check_batches(now)
    check_deliveries(now)
    check_audio(now)


def check_counters(now: Picture) -> None:
    by_status = Counter(job["status"] for job in now.jobs.values())
    said = {name: int(n) for name, n in now.hash("kc:jobs_by_status").items() if int(n)}
    assert said == dict(by_status)
    open_jobs = [job for uid, job in now.jobs.items() if now.is_open(uid)]
    assert now.number("kc:queued_jobs") == len(open_jobs)
    chars: Counter[str] = Counter()
    for job in open_jobs:
        chars[job["owner"]] += int(job["input_chars"])
    assert now.number("kc:queued_chars") == chars.total()
    for owner, queued in now.under("kc:queued_chars:"):
        assert int(queued) == chars[owner]
    check_ahead(now)
    lengths = [int(member.partition(":")[2]) for _, member in now.waiting()]
    assert now.number("kc:waiting_segments") == len(lengths)
    assert now.number("kc:waiting_phonemes") == sum(lengths)


def check_ahead(now: Picture) -> None:
    """What is ahead in a lane is what its open jobs have not planned, and not rendered."""
    ahead: Counter[str] = Counter()
    for uid, job in now.jobs.items():
        left = unplanned = 0
        if now.is_open(uid):
            undone = [s for s in now.segments(uid).values() if s["status"] != SegmentStatus.DONE]
            left = sum(segment["length"] for segment in undone)
            if job["planned"] != "1":
                unplanned = max(0, int(job["input_chars"]) - int(job["plan_chars"]))
        assert (int(job["left"]), int(job["unplanned"])) == (left, unplanned), uid
        ahead[f"{job['lane']}.left"] += left
        ahead[f"{job['lane']}.unplanned"] += unplanned
    said = {name: int(n) for name, n in now.hash("kc:ahead").items() if int(n)}
    assert said == {name: n for name, n in ahead.items() if n}


def check_segments(now: Picture, uid: str, job: Row) -> None:
    if "purged" in job:
        assert job["status"] in TERMINAL
        return
    segments = now.segments(uid)
    done = [s for s in segments.values() if s["status"] == SegmentStatus.DONE]
    assert set(segments) == set(range(int(job["total"])))
    assert int(job["done"]) == len(done)
    assert int(job["reused"]) == sum(s.get("reused", False) for s in done)
    assert float(job["audio_s"]) == pytest.approx(sum(s["samples"] for s in done) / 24_000)


def check_open(now: Picture, uid: str, job: Row) -> None:
    """What is open is in one place, from which somebody takes it on."""
    assert now.scores("kc:deadlines")[uid] == float(job["deadline_ms"])
    segments = now.segments(uid)
    whole = job["planned"] == "1" and job["done"] == job["total"]
    for stage, due, queue in (
        ("plan", job["planned"] != "1", set(now.scores(plan_queue(job)))),
        ("assemble", whole, now.assembly_queue()),
    ):
        holders = now.held.get((stage, uid, job.get(f"{stage}_token", "")), [])
        assert len(holders) + (uid in queue) == due, f"{stage} of {uid}: {holders}, {queue}"
        assert 0 <= int(job.get(f"{stage}_attempts", 0)) <= ATTEMPTS_MAX
    if whole:
        assert uid not in now.scores(f"kc:queue:assemble{'' if is_long(job) else ':long'}")
    assert uid not in now.scores("kc:queue:plan" if "redo" in job else "kc:queue:redo")
    text = "anew" if "redo" in job else "input"
    assert (now.text(f"kc:job:{uid}:{text}") is not None) == (job["planned"] != "1")
    assert bool(now.hash(f"kc:job:{uid}:source")) == ("redo" in job and job["planned"] != "1")
    waiting = {}
    for index, segment in segments.items():
        assert 0 <= segment.get("attempts", 0) <= ATTEMPTS_MAX
        if segment["status"] == SegmentStatus.WAITING:
            waiting[f"{index}:{segment['length']}"] = float(index)
        elif segment["status"] == SegmentStatus.LEASED:
            item = ("segment", uid, str(index), str(segment["token"]))
            assert len(now.held.get(item, [])) == 1, f"{item} is leased, and held by nobody"
    assert now.ready(uid) == waiting
    unfinished = {str(i) for i, s in segments.items() if s["status"] != SegmentStatus.DONE}
    assert set(now.hash(f"kc:job:{uid}:payload")) == unfinished


def check_ended(now: Picture, uid: str, job: Row) -> None:
    """What has ended is nowhere that work is taken from."""
    for place in ("kc:queue:plan", "kc:queue:redo", "kc:deadlines"):
        assert uid not in now.scores(place)
    assert uid not in now.assembly_queue()
    assert not now.ready(uid)
    assert not now.hash(f"kc:job:{uid}:payload")
    assert now.text(f"kc:job:{uid}:input") is None
    assert now.text(f"kc:job:{uid}:anew") is None
    assert not now.hash(f"kc:job:{uid}:source")
    assert uid in now.scores("kc:records" if "purged" in job else "kc:expiries")


def plan_queue(job: Row) -> str:
    return "kc:queue:redo" if "redo" in job else "kc:queue:plan"


def check_lanes(now: Picture) -> None:
    ready = {uid for uid, _ in now.waiting()}
    assert set(now.scores("kc:render_since")) == ready
    for lane in ("interactive", "batch"):
        offered: dict[str, set[str]] = {}
        for uid in ready:
            if now.jobs[uid]["lane"] == lane:
                offered.setdefault(now.jobs[uid]["owner"], set()).add(uid)
        assert set(now.scores(f"kc:lane:{lane}")) == set(offered)
        there = {
            owner: set(jobs) for owner, jobs in now.under(f"kc:lane:{lane}:") if "#" not in owner
        }
        assert there == offered


def is_long(job: Row | None) -> bool:
    return job is not None and float(job["audio_s"]) > LONG_AUDIO_S


def check_leases(now: Picture) -> None:
    """Whoever holds something would be missed, and holds nothing that another was given."""
    long: dict[str, set[str]] = {}
    for name, items in now.under("kc:held:"):
        assert name in now.members("kc:incarnations")
        for item in items:
            stage, uid, *rest = item.split("|")
            if stage == "assemble" and is_long(now.jobs.get(uid)):
                long.setdefault(rest[1], set()).add(uid)
            if stage == "segment" and now.is_open(uid):
                segment = now.segments(uid)[int(rest[0])]
                assert (segment["status"], str(segment.get("token"))) == ("leased", rest[1])
            if stage in {"plan", "assemble"} and now.is_open(uid):
                assert now.jobs[uid][f"{stage}_token"] == rest[0]
    for holders in now.held.values():
        assert len(holders) == 1
    for worker, uids in now.under("kc:long:"):
        # Of a deleted job it is no longer known how long it was.
        assert {uid for uid in uids if uid in now.jobs} == long.pop(worker, set())
    assert not long


def check_deliveries(now: Picture) -> None:
    known = check_batch_deliveries(now)
    for uid, job in now.jobs.items():
        ids = now.list(f"kc:job:{uid}:deliveries")
        event = f"job.{job['status']}"
        wanted = job["status"] in TERMINAL and event in job.get("webhook_events", "").split()
        assert [now.deliveries[name]["event"] for name in ids] == [event] * wanted
        known |= set(ids)
    assert set(now.deliveries) == known
    due: dict[str, dict[str, float]] = {}
    sending: dict[str, set[str]] = {}
    for name, row in now.deliveries.items():
        if row["status"] == DeliveryStatus.PENDING:
            due.setdefault(row["host"], {})[name] = float(row["next_ms"])
        elif row["status"] == DeliveryStatus.SENDING:
            sending.setdefault(row["host"], set()).add(name)
            item = ("delivery", name, row["token"])
            assert item in now.held, f"{item} is being sent, and by nobody"
    assert dict(now.under("kc:due:")) == due
    assert dict(now.under("kc:sending:")) == sending
    offered = now.scores("kc:due")
    for host, times in due.items():
        if host in offered:
            assert offered[host] == min(times.values())
        else:
            assert len(sending.get(host, ())) >= HOST_SLOTS, f"{host} is out of sight"
    assert set(offered) <= set(due)
    assert all(len(names) <= HOST_SLOTS for names in sending.values())


def check_audio(now: Picture) -> None:
    """What may be reused is there, and is not about to be swept."""
    audio = dict(now.under("kc:audio:"))
    assert set(now.scores("kc:audio_used")) == set(audio)
    assert not {row["key"] for row in audio.values()} & now.members("kc:garbage")


def check_step(
    before: Picture, after: Picture, *, forgiving: bool = False, sliced: str | None = None
) -> None:
    """Raise unless this is a step that a ledger may take.

    Args:
        before: the moment before.
        after: the moment after one script.
        forgiving: the work was stopped on purpose or given back, so its attempt does not count.
        sliced: the job that a slice was planned of.
    """
    back = -1 if forgiving else 0
    for uid, job in after.jobs.items():
        was = before.jobs.get(uid)
        if was is None:
            continue
        if was["status"] in TERMINAL:
            assert {k: v for k, v in job.items() if k != "purged"} == {
                k: v for k, v in was.items() if k != "purged"
            }, f"{uid} changed after its end"
            continue
        if job["status"] in TERMINAL:
            check_reason(before, uid, job)
        else:
            for stage in ("plan", "assemble"):
                if stage != "plan" or uid != sliced:
                    check_stage_attempts(before, after, uid, stage, back)
        check_segment_steps(before, after, uid, back)
    for name, row in after.deliveries.items():
        if name in before.deliveries:
            check_delivery_step(before.deliveries[name], row, back)
    check_batch_steps(before, after)
    check_rings(before, after)


def check_reason(before: Picture, uid: str, job: Row) -> None:
    """No job ends but for a reason."""
    was = before.jobs[uid]
    attempts = [s.get("attempts", 0) for s in before.segments(uid).values()]
    attempts += [int(was.get(f"{stage}_attempts", 0)) for stage in ("plan", "assemble")]
    match job["status"]:
        case JobStatus.EXPIRED:
            assert float(was["deadline_ms"]) == 0
        case JobStatus.SUCCEEDED:
            assert was["planned"] == "1"
            assert was["done"] == was["total"]
            assert ("assemble", uid, job["assemble_token"]) in before.held
        case JobStatus.FAILED if job["error_code"] == "nothing_to_speak":
            assert "speech" not in job
        case JobStatus.FAILED if job["error_code"] == "segment_gone":
            assert "redo" in job
        case JobStatus.FAILED if job["error_code"] in {"poison", "transient"}:
            assert max(attempts) == ATTEMPTS_MAX
        case _:
            assert job["status"] == JobStatus.CANCELED or job["error_code"] == "permanent"


def check_stage_attempts(before: Picture, after: Picture, uid: str, stage: str, back: int) -> None:
    was, job = before.jobs[uid], after.jobs[uid]
    attempts = [int(row.get(f"{stage}_attempts", 0)) for row in (was, job)]
    tokens = [row.get(f"{stage}_token", "") for row in (was, job)]
    held = [
        (stage, uid, token) in now.held for token, now in zip(tokens, (before, after), strict=True)
    ]
    if tokens[1] and tokens[1] != tokens[0]:
        expected = attempts[0] + 1
    elif held == [True, False]:
        expected = attempts[0] + back
    else:
        expected = attempts[0]
    assert attempts[1] == expected


def check_segment_steps(before: Picture, after: Picture, uid: str, back: int) -> None:
    now = after.segments(uid)
    for index, was in before.segments(uid).items():
        if index not in now:
            assert "purged" in after.jobs[uid]
            continue
        segment = now[index]
        attempts = was.get("attempts", 0)
        expected, suspect = attempts, was.get("solo", False)
        match was["status"], segment["status"]:
            case SegmentStatus.DONE, _:
                assert segment == was, f"segment {index} of {uid} changed after it was done"
            case SegmentStatus.WAITING, SegmentStatus.LEASED if not segment.get("ahead"):
                expected = attempts + 1
            case SegmentStatus.LEASED, SegmentStatus.LEASED:
                assert segment["token"] == was["token"]
                if was.get("ahead") and not segment.get("ahead"):
                    expected = attempts + 1
            case SegmentStatus.LEASED, SegmentStatus.WAITING if not was.get("ahead"):
                expected = attempts + back
                suspect = suspect or not back
        assert segment.get("attempts", 0) == expected, f"segment {index} of {uid}"
        assert segment.get("solo", False) == suspect, f"segment {index} of {uid}"


def check_delivery_step(was: Row, row: Row, back: int) -> None:
    for field in ("job", "event", "url", "created_ms"):
        assert row[field] == was[field]
    if "body" in was:
        assert row["body"] == was["body"]
    attempts = int(was["attempts"])
    match was["status"], row["status"]:
        case DeliveryStatus.PENDING, DeliveryStatus.SENDING:
            assert int(row["attempts"]) == attempts + 1
        case DeliveryStatus.SENDING, DeliveryStatus.PENDING:
            assert int(row["attempts"]) == attempts + back
        case (
            (DeliveryStatus.DELIVERED | DeliveryStatus.GONE | DeliveryStatus.EXHAUSTED),
            "pending",
        ):
            assert row["attempts"] == "0"
        case (status, after):
            assert status in {after, DeliveryStatus.SENDING}
            assert int(row["attempts"]) == attempts


def new_work(before: Picture, after: Picture) -> Iterator[str]:
    """Yield each stage that can claim what it could not claim before."""
    for queue in ("kc:queue:plan", "kc:queue:redo"):
        if set(after.scores(queue)) - set(before.scores(queue)):
            yield "plan"
    if after.assembly_queue() - before.assembly_queue():
        yield "assemble"
    if after.waiting() - before.waiting():
        yield "synth"
    if {d for d in after.sent_when() - before.sent_when() if d[1] <= after.now_ms}:
        yield "deliver"


def check_rings(before: Picture, after: Picture) -> None:
    """Whatever makes work available wakes a worker for it, in the same step."""
    assert set(new_work(before, after)) <= after.rung
