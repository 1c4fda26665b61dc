"""What the parent's watch does when a disk or a child fails it, without any process around it."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer
from shared.bell import Stage
from shared.ledger.leases import Leases
from shared.settings import Settings
from worker.context import worker_folder
from worker.keeper import Keeper
from worker.note import ChildState, Note

GONE = 2**22 + 1
"""A process id that Linux never gives."""


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Settings with a folder of their own."""
    return Settings(redis_url=redis_server.url, data_dir=tmp_path)


@pytest.fixture
def keeper(settings: Settings, redis_client: redis.Redis) -> Keeper:
    """A keeper that is not running: tests do its rounds."""
    return Keeper(
        settings,
        Stage.ASSEMBLE,
        "assemble.0",
        Leases(redis_client, lease_s=5),
        own=lambda: ["assemble.0/own"],
        on_fatal=lambda *_: None,
    )


def test_leases_are_renewed_though_the_disk_fails(
    keeper: Keeper, settings: Settings, redis_client: redis.Redis
) -> None:
    shutil.rmtree(settings.run_dir)
    keeper.watch()
    keeper.report()
    assert redis_client.exists("kc:alive:assemble.0/own")


def test_each_worker_of_a_stage_has_a_probe_file_of_its_own(keeper: Keeper) -> None:
    assert keeper.alive_file.name == "assemble.0.alive"


def test_work_goes_on_though_its_note_cannot_be_written(settings: Settings) -> None:
    note = Note(worker_folder(settings, "assemble.0"), "assemble.0/1")
    note.write("idle")
    shutil.rmtree(settings.run_dir)
    with note.busy("assembling", within_s=1):
        done = True
    assert done


def test_what_a_killed_child_was_encoding_is_deleted(keeper: Keeper, settings: Settings) -> None:
    folder = worker_folder(settings, "assemble.0")
    state = ChildState("assemble.0/x", GONE, "assembling", None, None, {})
    (folder / f"{GONE}.json").write_text(json.dumps(asdict(state)))
    (folder / str(GONE) / "assemble-1").mkdir(parents=True)
    keeper.report()
    assert list(folder.iterdir()) == []


def test_a_process_that_only_has_a_dead_childs_number_is_neither_renewed_nor_killed(
    keeper: Keeper, settings: Settings, redis_client: redis.Redis
) -> None:
    folder = worker_folder(settings, "assemble.0")
    state = ChildState("assemble.0/x", 1, "assembling", 1.0, None, {}, born=0)
    (folder / "1.json").write_text(json.dumps(asdict(state)))
    keeper.watch()
    keeper.report()
    assert not redis_client.exists("kc:alive:assemble.0/x")
    assert not (folder / "1.json").exists()
