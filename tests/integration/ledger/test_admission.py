"""What is accepted, what is recognised, what is refused."""

from dataclasses import replace
from typing import Any

from shared.ledger.intake import Verdict
from shared.ledger.states import JobStatus
from tests.integration.ledger.conftest import LIMITS, LedgerDriver


def test_the_same_idempotency_key_gives_the_first_job_again(ledger: LedgerDriver) -> None:
    first = ledger.submit("text", idempotency="k")
    again = ledger.submit("text", idempotency="k")
    other = ledger.submit("changed", idempotency="k")
    assert (first.verdict, again.verdict) == (Verdict.CREATED, Verdict.EXISTING)
    assert first.uid == again.uid
    assert other.verdict is Verdict.CONFLICT


def test_an_idempotency_key_belongs_to_its_owner(ledger: LedgerDriver) -> None:
    one = ledger.submit("text", idempotency="k", owner="one")
    two = ledger.submit("text", idempotency="k", owner="two")
    assert one.uid != two.uid


def test_a_client_id_names_one_job_until_it_is_deleted(ledger: LedgerDriver) -> None:
    first = ledger.submit("text", client_id="mine")
    assert ledger.submit("text", client_id="mine").uid == first.uid
    assert ledger.submit("other", client_id="mine").verdict is Verdict.CONFLICT
    uid = str(first.uid)
    found = ledger.ask(lambda intake: intake.get("local", "mine"))
    assert (found.id, found.uid) == ("mine", uid)
    assert ledger.ask(lambda intake: intake.get("another", "mine")) is None
    ledger.ask(lambda intake: intake.cancel(uid))
    ledger.ask(lambda intake: intake.delete(uid))
    assert ledger.submit("other", client_id="mine").verdict is Verdict.CREATED


def test_another_keys_job_looks_like_none(ledger: LedgerDriver) -> None:
    uid = ledger.accept(owner="one")
    assert ledger.ask(lambda intake: intake.get("two", uid)) is None
    assert ledger.ask(lambda intake: intake.get("one", uid)).uid == uid


def test_jobs_past_the_rate_are_refused_with_the_time_to_wait(ledger: LedgerDriver) -> None:
    slow = replace(LIMITS, rate_per_min=3)
    verdicts = [ledger.submit(f"t{i}", slow) for i in range(4)]
    assert [v.verdict for v in verdicts[:3]] == [Verdict.CREATED] * 3
    assert verdicts[3].verdict is Verdict.RATE_LIMITED
    assert 1 <= verdicts[3].retry_after_s <= 20


def everything(ledger: LedgerDriver) -> set[str]:
    """Return the names of all keys but the rate limiter's, which end by themselves."""
    names = {str(key) for key in ledger.client.keys("kc:*")}
    return {name for name in names if "rate_limit" not in name}


def test_characters_past_a_keys_cap_are_refused_and_leave_nothing(ledger: LedgerDriver) -> None:
    limits = replace(LIMITS, key_max_queued_chars=10)
    ledger.submit("12345678", limits)
    before = everything(ledger)
    assert ledger.submit("12345", limits).verdict is Verdict.KEY_FULL
    assert everything(ledger) == before
    assert ledger.submit("12345", limits, owner="other").verdict is Verdict.CREATED
    assert ledger.submit("x", replace(limits, max_queued_jobs=2)).verdict is Verdict.FULL
    assert ledger.ask(lambda intake: intake.jobs_by_status())[JobStatus.QUEUED] == 2


def test_finished_jobs_make_room(ledger: LedgerDriver) -> None:
    limits = replace(LIMITS, max_queued_chars=10)
    first = ledger.submit("12345678", limits)
    assert ledger.submit("12345678", limits).verdict is Verdict.FULL
    assert first.uid is not None
    ledger.ask(lambda intake: intake.cancel(str(first.uid)))
    assert ledger.submit("12345678", limits).verdict is Verdict.CREATED


def test_jobs_are_listed_newest_first_by_pages(ledger: LedgerDriver) -> None:
    uids = [ledger.accept(f"t{i}") for i in range(7)]
    seen: list[str] = []
    after = None
    for _ in range(10):
        cursor = after
        page = ledger.ask(lambda intake: intake.jobs("local", limit=3, after=cursor))  # noqa: B023
        seen += [job.uid for job in page.jobs]
        after = page.after
        if after is None:
            break
    assert seen == uids[::-1]


def test_a_listing_can_be_narrowed(ledger: LedgerDriver) -> None:
    mine = ledger.accept("a", custom_id="mine")
    other = ledger.accept("b")
    ledger.ask(lambda intake: intake.cancel(other))

    def uids(**filters: Any) -> list[str]:
        page = ledger.ask(lambda intake: intake.jobs("local", limit=10, **filters))
        return [job.uid for job in page.jobs]

    assert uids(custom_id="mine") == [mine]
    assert uids(status=JobStatus.CANCELED) == [other]
    assert uids(status=JobStatus.FAILED) == []
    created = ledger.job(mine).created_at
    assert uids(created_before=created) == []
    assert set(uids(created_after=created - 1)) == {mine, other}


def test_a_rate_beyond_the_clocks_precision_lets_everything_in(ledger: LedgerDriver) -> None:
    for rate_per_min in (250_000_000, 10**12):
        limits = replace(LIMITS, rate_per_min=rate_per_min)
        assert ledger.submit(limits=limits).verdict is Verdict.CREATED
