"""Lexicons in the ledger: versions, bounds, and the jobs that need them."""

from typing import Any

import pytest

from shared.ledger import lexicons as module
from shared.ledger.intake import Verdict
from shared.ledger.lexicons import LexiconRecord, Lexicons, PutVerdict
from shared.lexicon import Entry, Lexicon, make_lexicon
from tests.integration.ledger.conftest import LedgerDriver


def a_lexicon(phonemes: str = "ə", words: int = 1) -> Lexicon:
    return make_lexicon(None, [Entry(f"word{i}", phonemes) for i in range(words)])


def put(
    ledger: LedgerDriver, name: str, lexicon: Lexicon, owner: str = "local"
) -> tuple[PutVerdict, LexiconRecord | None]:
    answer = ledger.ask(
        lambda intake: Lexicons(intake.client).put(owner, name, lexicon, lexicon.to_json())
    )
    return answer  # type: ignore[no-any-return]


def stored(ledger: LedgerDriver, name: str, lexicon: Lexicon) -> LexiconRecord:
    verdict, record = put(ledger, name, lexicon)
    assert verdict is PutVerdict.STORED and record is not None
    return record


def delete(ledger: LedgerDriver, name: str) -> bool:
    return bool(ledger.ask(lambda intake: Lexicons(intake.client).delete("local", name)))


def contents(ledger: LedgerDriver) -> list[bytes]:
    return sorted(bytes(key) for key in ledger.client.scan_iter("kc:lexicon:*"))


def bytes_counted(ledger: LedgerDriver) -> int:
    return int(ledger.client.hget("kc:lexicon_bytes", "local") or 0)


def test_each_change_makes_a_version_and_a_repeat_makes_none(ledger: LedgerDriver) -> None:
    assert stored(ledger, "names", a_lexicon("a")).newest.version == 1
    assert stored(ledger, "names", a_lexicon("b")).newest.version == 2
    verdict, record = put(ledger, "names", a_lexicon("b"))
    assert verdict is PutVerdict.KEPT
    assert record is not None and record.newest.version == 2
    again = stored(ledger, "names", a_lexicon("a"))
    assert [kept.version for kept in again.versions] == [1, 2, 3]
    assert again.newest.digest == again.versions[0].digest
    assert len(contents(ledger)) == 2


def test_old_versions_are_forgotten_and_numbers_never_come_again(ledger: LedgerDriver) -> None:
    for i in range(module.MAX_VERSIONS + 3):
        record = stored(ledger, "names", a_lexicon("a" * (i + 1)))
    assert [kept.version for kept in record.versions] == list(range(4, 14))
    assert len(contents(ledger)) == module.MAX_VERSIONS
    assert delete(ledger, "names")
    assert not delete(ledger, "names")
    assert contents(ledger) == []
    assert bytes_counted(ledger) == 0
    assert stored(ledger, "names", a_lexicon()).newest.version == 14


def test_there_is_an_end_to_names_and_bytes(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(a_lexicon().to_json())
    limits = {"names": 2, "versions": 2, "bytes": 3 * size}
    monkeypatch.setattr(module, "_LIMITS", limits)
    stored(ledger, "one", a_lexicon("a"))
    stored(ledger, "two", a_lexicon("b"))
    before = ledger.client.hgetall("kc:lexicons:local")
    assert put(ledger, "three", a_lexicon("c")) == (PutVerdict.TOO_MANY, None)
    assert put(ledger, "two", a_lexicon("c", words=3)) == (PutVerdict.TOO_LARGE, None)
    assert ledger.client.hgetall("kc:lexicons:local") == before
    # Another owner has limits of its own.
    assert put(ledger, "three", a_lexicon("c"), owner="other")[0] is PutVerdict.STORED


def test_a_job_names_versions_and_keeps_them_until_it_ends(ledger: LedgerDriver) -> None:
    first = stored(ledger, "names", a_lexicon("a")).newest
    second = stored(ledger, "names", a_lexicon("b")).newest
    uid = ledger.accept("Hello.", lexicons=("names@1",))
    other = ledger.accept("Hello.", lexicons=("names",))
    assert ledger.job(uid).lexicons == ("names@1",)
    assert ledger.job(other).lexicons == ("names@2",)
    stored(ledger, "names", a_lexicon("c"))
    delete(ledger, "names")
    worker = ledger.worker("p/1")
    for expected in (first, second):
        claim = worker.claim_plan(bytes_most=10**6)
        assert claim is not None
        assert claim.lexicons == (expected.digest,)
        body = worker.lexicon(expected.digest)
        assert body is not None
        assert Lexicon.from_json(body).entries[0].phonemes in "ab"
        ledger.add(worker, claim, ["0" * 64])
    assert len(contents(ledger)) == 2
    assert bytes_counted(ledger) > 0
    ledger.ask(lambda intake: intake.cancel(uid))
    assert len(contents(ledger)) == 1
    ledger.ask(lambda intake: intake.cancel(other))
    assert contents(ledger) == []
    assert bytes_counted(ledger) == 0
    assert worker.lexicon(first.digest) is None


def test_an_unknown_lexicon_makes_no_job(ledger: LedgerDriver) -> None:
    stored(ledger, "names", a_lexicon())
    for missing in ("other", "names@2"):
        answer = ledger.submit("Hello.", lexicons=("names", missing))
        assert answer.verdict is Verdict.UNKNOWN_LEXICON
        assert answer.missing == missing
    assert ledger.client.keys("kc:job:*") == []
    needs = [ledger.client.hget(key, "needs") for key in contents(ledger)]
    assert needs == [b"1"]


def test_a_repeated_submission_finds_its_job_though_the_lexicon_is_gone(
    ledger: LedgerDriver,
) -> None:
    stored(ledger, "names", a_lexicon())
    changes: dict[str, Any] = {"lexicons": ("names",), "idempotency": "1" * 64}
    first = ledger.submit("Hello.", **changes)
    needs = [ledger.client.hget(key, "needs") for key in contents(ledger)]
    assert needs == [b"2"]
    delete(ledger, "names")
    again = ledger.submit("Hello.", **changes)
    assert again.verdict is Verdict.EXISTING
    assert again.uid == first.uid
    assert [ledger.client.hget(key, "needs") for key in contents(ledger)] == [b"1"]


def test_a_job_of_the_last_release_has_no_lexicons(ledger: LedgerDriver) -> None:
    uid = ledger.accept("Hello.")
    assert not ledger.client.hexists(f"kc:job:{uid}", "lexicons")
    assert ledger.job(uid).lexicons == ()
    claim = ledger.worker("p/1").claim_plan(bytes_most=10**6)
    assert claim is not None and claim.lexicons == ()
