"""What holds of batches at any time, and of any step from one moment to the next."""

from collections import Counter

from shared.ledger.states import TERMINAL, BatchStatus
from tests.integration.ledger.machine.picture import Picture, Row


def check_batches(now: Picture) -> None:
    """A batch is what its jobs are: as many, as far, and gone with the last of them."""
    by_status = Counter(row["status"] for row in now.batches.values())
    said = {name: int(n) for name, n in now.hash("kc:batches_by_status").items() if int(n)}
    assert said == dict(by_status)
    for batch_id, row in now.batches.items():
        check_batch(now, batch_id, row)
    for uid, job in now.jobs.items():
        if "batch" in job:
            assert uid in now.list(f"kc:batch:{job['batch']}:jobs")
            assert job["batch"] in now.batches
    owned = {(owner, name) for owner, names in now.under("kc:batches:") for name in names}
    assert owned == {(row["owner"], name) for name, row in now.batches.items()}
    for name, _ in now.under("kc:batch:"):
        assert name.partition(":")[0] in now.batches
    kept = {name: row["uid"] for name, row in now.under("kc:batch_idempotency:")}
    keys = {row.get("idempotency_key"): name for name, row in now.batches.items()}
    assert all(keys[f"kc:batch_idempotency:{name}"] == uid for name, uid in kept.items())


def check_batch(now: Picture, batch_id: str, row: Row) -> None:
    uids = now.list(f"kc:batch:{batch_id}:jobs")
    jobs = {uid: now.jobs[uid] for uid in uids if uid in now.jobs}
    assert all(job["batch"] == batch_id for job in jobs.values())
    assert all(job["owner"] == row["owner"] for job in jobs.values())
    assert int(row["total"]) == len(uids) == len(set(uids))
    assert int(row["records"]) == len(jobs) > 0
    still_open = sum(now.is_open(uid) for uid in uids)
    assert int(row["open"]) == still_open
    ended = {status: int(row.get(status, 0)) for status in TERMINAL}
    assert sum(ended.values()) + still_open == len(uids)
    seen = Counter(job["status"] for job in jobs.values())
    forgotten = {status: number - seen[status] for status, number in ended.items()}
    assert min(forgotten.values()) >= 0
    assert sum(forgotten.values()) == len(uids) - len(jobs)
    assert (row["status"] == BatchStatus.IN_PROGRESS) == (still_open > 0)
    assert ("completed_ms" in row) == (still_open == 0)
    if row["status"] != BatchStatus.IN_PROGRESS:
        assert (row["status"] == BatchStatus.CANCELED) == ("cancel_ms" in row)
    if "cancel_ms" in row and still_open:
        assert batch_id in now.members("kc:canceling"), f"{batch_id} is half canceled for ever"


def check_batch_deliveries(now: Picture) -> set[str]:
    """Return the webhooks of batches, having checked that each ended one has its own, once."""
    known: set[str] = set()
    for batch_id, row in now.batches.items():
        ids = now.list(f"kc:batch:{batch_id}:deliveries")
        event = f"batch.{row['status']}"
        wanted = event in row.get("webhook_events", "").split()
        assert [now.deliveries[name]["event"] for name in ids] == [event] * wanted
        assert all(now.deliveries[name]["job"] == batch_id for name in ids)
        known |= set(ids)
    return known


def check_batch_steps(before: Picture, after: Picture) -> None:
    """Each end of a job is counted in its batch, in the same step, as what it is."""
    for batch_id, row in after.batches.items():
        was = before.batches.get(batch_id)
        if was is None:
            continue
        uids = after.list(f"kc:batch:{batch_id}:jobs")
        assert uids == before.list(f"kc:batch:{batch_id}:jobs")
        ends = Counter(
            after.jobs[uid]["status"]
            for uid in uids
            if before.is_open(uid) and not after.is_open(uid)
        )
        for status in TERMINAL:
            grown = int(row.get(status, 0)) - int(was.get(status, 0))
            assert grown == ends[status], f"{status} jobs of {batch_id}"
        if was["status"] != BatchStatus.IN_PROGRESS:
            assert {k: v for k, v in row.items() if k != "records"} == {
                k: v for k, v in was.items() if k != "records"
            }, f"{batch_id} changed after its end"
