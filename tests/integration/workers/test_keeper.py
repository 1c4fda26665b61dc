"""What the parent's watch does when a disk or a child fails it, without any process around it."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer
from shared.bell import Stage
from shared.connections import connect
from shared.ledger.leases import Leases
from shared.settings import Settings
from tests.integration.workers.black_hole import BlackHole
from worker.context import EXIT_FATAL, worker_folder
from worker.keeper import RENEW_WITHIN_S, Keeper
from worker.liveness import loaded_file, seconds_since_touch
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


def test_a_worker_has_loaded_from_its_first_idle_child_on_until_it_ends(
    keeper: Keeper, settings: Settings
) -> None:
    note = Note(worker_folder(settings, "assemble.0"), "assemble.0/1")
    note.write("loading")
    keeper.watch()
    loaded = loaded_file(settings, "assemble.0")
    assert not loaded.exists()
    note.write("idle")
    keeper.watch()
    assert loaded.exists()
    note.write("loading")  # as the child that replaces it does
    keeper.watch()
    assert loaded.exists(), "its children are being replaced, and it is as good as before"
    keeper.start()
    keeper.stop()
    assert not loaded.exists()


def test_a_worker_that_can_never_work_has_not_loaded(keeper: Keeper, settings: Settings) -> None:
    note = Note(worker_folder(settings, "assemble.0"), "assemble.0/1")
    note.write("fatal", fatal="no such model")
    keeper.watch()
    assert not loaded_file(settings, "assemble.0").exists()


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


def test_what_can_never_work_is_heard_of_though_its_note_is_read_but_once(
    settings: Settings, redis_client: redis.Redis
) -> None:
    heard: list[tuple[str, int]] = []
    keeper = Keeper(
        settings,
        Stage.SYNTH,
        "synth.0",
        Leases(redis_client, lease_s=5),
        own=list,
        on_fatal=lambda reason, code: heard.append((reason, code)),
    )
    state = ChildState("synth.0/x", GONE, "fatal", None, "no such model", {})
    (worker_folder(settings, "synth.0") / f"{GONE}.json").write_text(json.dumps(asdict(state)))
    keeper.report()
    assert heard == [("no such model", EXIT_FATAL)]


def until(question: Callable[[], object], within_s: float) -> float:
    """Ask until the answer is true; return how long that took, and fail after `within_s`."""
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < within_s, "still not so"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_redis_that_accepts_and_never_answers_stops_no_watch_and_is_left_for_a_new_connection(
    settings: Settings, redis_client: redis.Redis
) -> None:
    lease = "kc:alive:assemble.0/own"
    with BlackHole(settings.redis_url) as way:
        client = connect(way.url, retries=0, within_s=RENEW_WITHIN_S)
        keeper = Keeper(
            settings,
            Stage.ASSEMBLE,
            "assemble.0",
            Leases(client, lease_s=2),
            own=lambda: ["assemble.0/own"],
            on_fatal=lambda *_: None,
        )
        keeper.start()
        try:
            until(lambda: redis_client.exists(lease), 5)
            way.open = True
            until(lambda: not redis_client.exists(lease), 5)
            stuck = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            try:
                due = time.monotonic() - 1
                state = ChildState("assemble.0/x", stuck.pid, "assembling", due, None, {})
                note = worker_folder(settings, "assemble.0") / f"{stuck.pid}.json"
                note.write_text(json.dumps(asdict(state)))
                assert stuck.wait(3) < 0, "killed at its deadline"
            finally:
                stuck.kill()
                stuck.wait()
            for _ in range(40):
                age_s = seconds_since_touch(keeper.alive_file)
                assert age_s is not None
                assert age_s < 2
                time.sleep(0.1)
            assert way.swallowed
            way.open = False
            assert until(lambda: redis_client.exists(lease), 5) < 2, "before it counts as dead"
            until(lambda: not note.exists(), 5)
        finally:
            way.open = False
            keeper.stop()
            client.close()
    assert not redis_client.exists(lease)


def test_what_a_device_worked_is_added_up_over_children_and_never_falls(
    keeper: Keeper, settings: Settings, redis_client: redis.Redis
) -> None:
    folder = worker_folder(settings, "assemble.0")

    def told() -> tuple[float, float]:
        keeper.report()
        state = json.loads(redis_client.get("kc:worker:assemble.0") or "{}")
        return state["busy_s"], state["shift_s"]

    ended = ChildState("assemble.0/x", GONE, "idle", None, None, {"busy_s": 9.0, "shift_s": 10.0})
    (folder / f"{GONE}.json").write_text(json.dumps(asdict(ended)))
    assert told() == (9, 10), "in the round in which it is found to have ended"
    assert told() == (9, 10), "when its note is gone, and no other child has worked"
    note = Note(folder, "assemble.0/1")
    note.write("idle", busy_s=3.0, shift_s=4.0)
    assert told() == (12, 14)
