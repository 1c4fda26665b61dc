"""A synth worker without work gives its model's memory back, and loads it for the next job."""

import time
from pathlib import Path

import pytest

from shared.bell import Bell, Stage
from shared.ledger.states import JobStatus, Lane, Recycled
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_recycling import ended, worker_state
from worker.liveness import ALIVE_S, alive_file, seconds_since_touch
from worker.note import ChildState, read_notes
from worker.starts import STARTS_MOST


def test_an_idle_worker_unloads_stays_listed_and_a_new_job_wakes_it(cluster: Cluster) -> None:
    worker = cluster.start("synth", "idle", idle_unload_s=1, model="scripted:load_s=0.5")
    loaded = cluster.child("synth.idle")
    cluster.engine()
    cluster.wait(lambda: cluster.phase("synth.idle") == "unloaded")
    cluster.wait(lambda: worker_state(cluster, "synth.idle")["state"] == "unloaded")
    assert not any(child.pid == loaded for _, child in notes(cluster)), "its process is gone"
    asleep = cluster.child("synth.idle")
    time.sleep(2.5)  # longer than it stays loaded
    assert cluster.child("synth.idle") == asleep, "what has nothing loaded has nothing to give back"
    state = worker_state(cluster, "synth.idle")
    assert state["model"] == "scripted"
    assert state["recycled"] == {Recycled.IDLE: 1}
    assert 0.5 <= state["load_s"] < 30
    ahead = cluster.ledger.ask(lambda intake: intake.outlook("local", Lane.INTERACTIVE))
    assert ahead.cold_s == pytest.approx(state["load_s"]), "what a job's eta_s counts in"
    age_s = seconds_since_touch(alive_file(cluster.settings, "synth.idle"))
    assert age_s is not None
    assert age_s < ALIVE_S
    job = cluster.finished(cluster.submit("Good morning."))
    assert job.status is JobStatus.SUCCEEDED
    assert job.attempts == 1
    assert cluster.child("synth.idle") == asleep, "it loaded the model itself"
    cluster.wait(lambda: ended(cluster, Recycled.IDLE) == 2)
    assert worker.process is not None
    assert worker.process.poll() is None


def test_jobs_that_come_just_as_a_worker_unloads_are_all_done_once(cluster: Cluster) -> None:
    worker = cluster.start("synth", "edge", idle_unload_s=1)
    cluster.child("synth.edge")
    for n in range(12):
        job = cluster.finished(cluster.submit(f"Text number {n}."))
        assert (job.status, job.attempts) == (JobStatus.SUCCEEDED, 1)
        time.sleep(0.9 + 0.1 * n)  # its wait is asked about each second
    assert ended(cluster, Recycled.IDLE) >= 2
    assert ended(cluster, Recycled.DIED) == 0
    assert worker.process is not None
    assert worker.process.poll() is None


def test_unloading_again_and_again_without_a_segment_is_no_sign_of_a_sick_device(
    cluster: Cluster,
) -> None:
    worker = cluster.start("synth", "rung", idle_unload_s=1)
    bell = Bell(cluster.celery, cluster.client)
    for times in range(1, STARTS_MOST + 2):
        cluster.wait(lambda times=times: ended(cluster, Recycled.IDLE) == times)  # type: ignore[misc]
        cluster.wait(lambda: cluster.phase("synth.rung") == "unloaded")
        bell.ring(Stage.SYNTH)
        cluster.wait(lambda: cluster.phase("synth.rung") == "idle")
    assert worker.process is not None
    assert worker.process.poll() is None


def test_one_short_job_wakes_one_of_two_unloaded_workers(cluster: Cluster) -> None:
    names = ("one", "two")
    for name in names:
        cluster.start("synth", name, idle_unload_s=1, model="scripted:load_s=3")
    cluster.engine()

    def announced(name: str) -> bool:
        return bool(worker_state(cluster, f"synth.{name}")["state"] == "unloaded")

    cluster.wait(lambda: all(cluster.phase(f"synth.{name}") == "unloaded" for name in names))
    cluster.wait(lambda: all(map(announced, names)))
    woken: set[str] = set()

    def over() -> bool:
        woken.update(name for name in names if cluster.phase(f"synth.{name}") != "unloaded")
        return cluster.ledger.job(uid).status is JobStatus.SUCCEEDED

    uid = cluster.submit("Good morning.")
    cluster.wait(over)
    assert len(woken) == 1


def notes(cluster: Cluster) -> list[tuple[Path, ChildState]]:
    """Return the notes of the idle worker's children."""
    return list(read_notes(cluster.settings.run_dir / "synth.idle"))
