"""What an operator's sweep deletes, and that its dry run tells just that."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from shared.ledger.scripts import text
from shared.settings import Settings
from shared.storage import Storage, open_storage
from tests.integration.ledger.conftest import LedgerDriver
from tests.integration.workers.conftest import ROOT
from worker.sweeping import STAGED_AGE_S, EmptyLedger, Kind, Sweep, Swept


@pytest.fixture
def ledger(redis_client: redis.Redis, redis_server: object) -> LedgerDriver:
    """A driver over an empty ledger."""
    return LedgerDriver(redis_client, redis_server.url)  # type: ignore[attr-defined]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """An empty folder of objects."""
    return open_storage((tmp_path / "objects").as_uri())


@pytest.fixture
def sweep(ledger: LedgerDriver, storage: Storage, tmp_path: Path) -> Sweep:
    """A sweep with settings as they are by default."""
    return Sweep(Settings(redis_url=ledger.url, data_dir=tmp_path), ledger.upkeep, storage)


def finished(ledger: LedgerDriver, storage: Storage, digest: str) -> str:
    """Take a job of one segment to its end, with its audio stored; return its uid."""
    ledger.accept()
    uid = ledger.plan([digest])
    worker = ledger.worker()
    (claim,) = worker.claim_segments(1)
    key = f"segments/{digest[:2]}/{digest}/{claim.token}.wav"
    storage.put(key, b"a segment")
    ledger.record(worker, claim, key)
    ledger.assemble(worker)
    storage.put(f"jobs/{uid}/a.mp3", b"a file")
    return uid


def age(ledger: LedgerDriver, name: str, member: str) -> None:
    """Make what a sorted set says of a member long past."""
    assert ledger.client.zadd(name, {member: 0}, ch=True)


def keys(storage: Storage) -> set[str]:
    """Return all that is stored."""
    return {item.key for item in storage.list()}


def test_a_dry_run_lists_what_has_had_its_time_and_deletes_nothing(
    ledger: LedgerDriver, storage: Storage, sweep: Sweep
) -> None:
    old, record = finished(ledger, storage, "a" * 64), finished(ledger, storage, "b" * 64)
    finished(ledger, storage, "c" * 64)
    age(ledger, "kc:expiries", old)
    ledger.client.zadd("kc:records", {record: 0})
    age(ledger, "kc:audio_used", "b" * 64)
    before, state = keys(storage), sorted(map(text, ledger.client.keys("kc:*")))
    found = list(sweep.preview())
    (segment,) = [key for key in before if "b" * 64 in key]
    assert found == [
        Swept(Kind.JOB_AUDIO, f"jobs/{old}/", 1, len(b"a file")),
        Swept(Kind.SEGMENT, segment, 1, len(b"a segment")),
        Swept(Kind.RECORD, record),
    ]
    assert (keys(storage), sorted(map(text, ledger.client.keys("kc:*")))) == (before, state)


def test_a_sweep_deletes_it_and_leaves_all_else(
    ledger: LedgerDriver, storage: Storage, sweep: Sweep
) -> None:
    old, kept = finished(ledger, storage, "a" * 64), finished(ledger, storage, "c" * 64)
    age(ledger, "kc:expiries", old)
    age(ledger, "kc:audio_used", "a" * 64)
    told = set(sweep.preview())
    assert set(sweep.run()) == told
    assert {key.partition("/")[0] for key in keys(storage)} == {"segments", "jobs"}
    assert all(kept in key or "c" * 64 in key for key in keys(storage))
    assert ledger.job(old).purged
    assert list(sweep.preview()) == list(sweep.run()) == []


def test_audio_that_no_finished_attempt_left_behind_is_swept_when_it_is_old(
    ledger: LedgerDriver, storage: Storage, sweep: Sweep
) -> None:
    ledger.accept()
    ledger.plan(["d" * 64])
    (claim,) = ledger.worker("w/dead").claim_segments(1)
    key = f"segments/dd/{'d' * 64}/{claim.token}.wav"
    storage.put(key, b"unrecorded")
    ledger.leases.release("w/dead", stopped=False)
    assert list(sweep.preview()) == []
    (orphan,) = map(text, ledger.client.zrange("kc:orphans", 0, -1))
    age(ledger, "kc:orphans", orphan)
    assert list(sweep.preview()) == [Swept(Kind.SEGMENT, key, 1, len(b"unrecorded"))]
    assert list(sweep.run()) == [Swept(Kind.SEGMENT, key, 1, len(b"unrecorded"))]
    assert keys(storage) == set()


def test_files_that_killed_writers_left_are_told_and_deleted(
    storage: Storage, sweep: Sweep, tmp_path: Path
) -> None:
    staged = tmp_path / "objects" / "jobs" / "x.mp3#1"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"half")
    assert list(sweep.preview()) == [], "perhaps somebody's work"
    os.utime(staged, (0, time.time() - STAGED_AGE_S - 1))
    assert list(sweep.preview()) == [Swept(Kind.STAGED, str(staged), 1, 4)]
    assert staged.exists()
    assert [item.kind for item in sweep.run()] == [Kind.STAGED]
    assert not staged.exists()


def test_what_the_ledger_knows_nothing_of_goes_only_if_asked_for_and_old(
    ledger: LedgerDriver, storage: Storage, sweep: Sweep, tmp_path: Path
) -> None:
    finished(ledger, storage, "c" * 64)
    known = keys(storage)
    lost = ["jobs/job_lost/1/audio.mp3", f"segments/ee/{'e' * 64}/1.wav"]
    for key in lost:
        storage.put(key, b"lost")
    assert list(sweep.preview(unknown=True)) == [], "perhaps about to be recorded"
    for key in [*lost, *known]:
        os.utime(tmp_path / "objects" / key, (0, 0))
    assert list(sweep.preview()) == list(sweep.run()) == []
    assert {item.name for item in sweep.preview(unknown=True)} == set(lost)
    assert {item.name for item in sweep.run(unknown=True)} == set(lost)
    assert keys(storage) == known


def test_unknown_objects_are_not_deleted_by_a_ledger_that_has_lost_everything(
    storage: Storage, sweep: Sweep
) -> None:
    storage.put("jobs/job_lost/1/audio.mp3", b"all there is")
    with pytest.raises(EmptyLedger):
        list(sweep.run(unknown=True))


def test_the_command_tells_how_much_it_would_delete_and_then_does(
    ledger: LedgerDriver, storage: Storage, tmp_path: Path
) -> None:
    uid = finished(ledger, storage, "a" * 64)
    age(ledger, "kc:expiries", uid)

    def command(*options: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "sweep", *options],
            env={
                "PYTHONPATH": str(ROOT),
                "KC_REDIS_URL": ledger.url,
                "KC_STORAGE_URL": (tmp_path / "objects").as_uri(),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout

    told = json.loads(command("--dry-run", "--json"))
    assert told["dry_run"] is True
    assert told["total"] == {"things": {"job_audio": 1}, "objects": 1, "bytes": 6}
    assert [item["name"] for item in told["items"]] == [f"jobs/{uid}/"]
    assert command() == "Deleted 1 job_audio: 1 objects, 6 bytes.\n"
    assert command("--dry-run") == "Would delete nothing: 0 objects, 0 bytes.\n"
