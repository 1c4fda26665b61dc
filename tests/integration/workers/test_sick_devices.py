"""What a device that fails must not change: jobs are complete or failed by name.

Every worker has a name of its own: logs are added to, and all tests' lie in one folder.
"""

import io
import time

import pytest
import soundfile

from shared.formats import AudioFormat
from shared.ledger.states import JobStatus
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_way import wav_spec
from worker.context import EXIT_DEVICE
from worker.starts import STARTS_MOST

WAV = wav_spec(outputs=(AudioFormat.WAV,))


def paragraphs(count: int) -> str:
    """Return a text that is planned into so many segments."""
    return "\n\n".join(f"Paragraph number {n} is a segment of its own." for n in range(count))


def critical_lines(log: str) -> list[str]:
    """Return the lines of a log that say that something ends."""
    return [line for line in log.splitlines() if '"critical"' in line]


def test_a_lost_device_ends_its_child_at_once_and_costs_only_what_it_had_begun(
    cluster: Cluster,
) -> None:
    cluster.start("synth", "lost", model="scripted:lost_after=3", batch_max=1)
    cluster.engine()
    first = cluster.child("synth.lost")
    uid = cluster.submit(paragraphs(4))
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    segments = cluster.ledger.worker().segments(uid, 0, 4)
    assert sorted(segment.attempts for segment in segments) == [1, 1, 1, 2]
    (said,) = critical_lines(cluster.log("synth.lost"))
    assert "device_lost" in said
    assert cluster.child("synth.lost") != first
    assert cluster.client.hget("kc:totals", "recycled.device") == b"1"


def test_one_poison_segment_fails_by_name_and_its_worker_lives_on(cluster: Cluster) -> None:
    worker = cluster.start("synth", "poison")
    cluster.engine()
    for text in ("This says KC-FAULT-POISON and nothing else.", "So it is: KC-FAULT-POISON."):
        job = cluster.finished(cluster.submit(text))
        assert (job.status, job.error_code) == (JobStatus.FAILED, "poison")
        assert cluster.finished(cluster.submit(f"Good after {len(text)}.")).status is (
            JobStatus.SUCCEEDED
        )
    assert worker.process is not None
    assert worker.process.poll() is None


def test_a_sick_device_ends_its_worker_with_the_reason_and_another_does_its_work(
    cluster: Cluster,
) -> None:
    sick = cluster.start("synth", "sick", model="scripted:lost_after=1")
    cluster.engine()
    uids = [cluster.submit(f"Text number {n} of several.") for n in range(6)]
    assert sick.process is not None
    assert sick.process.wait(60) == EXIT_DEVICE
    said = critical_lines(cluster.log("synth.sick"))
    assert len([line for line in said if '"device lost"' in line]) >= STARTS_MOST
    (why,) = [line for line in said if '"worker ends"' in line]
    assert f"{STARTS_MOST} child starts" in why
    assert "The script's device is lost" in why
    cluster.start("synth", "1")
    ends = [cluster.finished(uid) for uid in uids]
    lost = [job for job in ends if job.status is not JobStatus.SUCCEEDED]
    assert len(lost) <= 1, "at most one job is taken for a poison before the device is"
    assert all(job.error_code == "poison" for job in lost)


def test_a_device_that_finishes_something_in_every_start_is_not_given_up(cluster: Cluster) -> None:
    worker = cluster.start("synth", "fruitful", model="scripted:lost_after=2", batch_max=1)
    cluster.engine()
    uid = cluster.submit(paragraphs(6))
    assert cluster.finished(uid, 120).status is JobStatus.SUCCEEDED
    assert cluster.log("synth.fruitful").count('"device lost"') >= STARTS_MOST
    assert worker.process is not None
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    ("load_s", "reason"),
    [("600", "killed at its deadline"), ("9" * 20, "OverflowError")],  # no sleep can be that long
    ids=["stuck", "raising"],
)
def test_children_that_end_while_they_load_end_the_worker(
    cluster: Cluster, load_s: str, reason: str
) -> None:
    model = f"scripted:load_s={load_s}"
    worker = cluster.start("synth", f"load-{reason[:5]}", model=model, model_load_timeout_s=0.05)
    assert worker.process is not None
    assert worker.process.wait(60) == EXIT_DEVICE
    said = critical_lines(cluster.log(worker.name))
    (why,) = [line for line in said if '"worker ends"' in line]
    assert why.count(f"loading: {reason}") == STARTS_MOST


@pytest.mark.slow
def test_children_that_are_replaced_in_their_time_are_no_sign_of_trouble(cluster: Cluster) -> None:
    worker = cluster.start("synth", "replaced", recycle_after_jobs=1)
    cluster.engine()
    for n in range(STARTS_MOST + 1):
        # Wake-ups for nothing: each uses up a child that has finished no segment.
        child = cluster.child("synth.replaced")
        cluster.celery.send_task("kc.synth", queue="kc.synth", ignore_result=True)
        cluster.wait(lambda child=child: cluster.child("synth.replaced") != child)  # type: ignore[misc]
        assert worker.process is not None
        assert worker.process.poll() is None, n
    assert cluster.finished(cluster.submit("And it works.")).status is JobStatus.SUCCEEDED


def test_an_engine_that_raises_on_every_third_call_leaves_no_job_open_or_with_a_hole(
    cluster: Cluster,
) -> None:
    cluster.start("synth", "third", model="scripted:raise_every=3", batch_max=2)
    cluster.engine()
    whole = {n: len(f"Short text number {n}.") for n in range(9)}
    uids = [cluster.submit(f"Short text number {n}.", spec=WAV) for n in whole]
    uids.append(cluster.submit(paragraphs(20), spec=WAV))
    jobs = [cluster.finished(uid) for uid in uids]
    assert any(job.status is JobStatus.SUCCEEDED for job in jobs)
    for uid, job in zip(uids, jobs, strict=True):
        if job.status is JobStatus.FAILED:
            assert job.error_code == "engine_failed", job.error_message
            assert job.outputs == ()
            continue
        assert job.status is JobStatus.SUCCEEDED
        records = cluster.ledger.worker().segments(uid, 0, job.segments_total)
        assert len(records) == job.segments_total
        samples, rate = soundfile.read(io.BytesIO(cluster.storage.get(job.outputs[0].key)))
        assert len(samples) == sum(record.samples or 0 for record in records)
        assert len(samples) / rate == pytest.approx(job.audio_s, abs=0.001)
    assert cluster.log("synth.third").count('"engine_failed"') >= len(uids) // 3


@pytest.mark.slow
def test_what_a_stuck_child_held_is_finished_by_another_worker(cluster: Cluster) -> None:
    # Its next child loads for so long that only the other worker can be meant.
    cluster.start("synth", "stuck", model="scripted:sleep_s=600,load_s=4", render_timeout_s=15)
    cluster.engine()
    uid = cluster.submit("Somebody else finishes this.")
    cluster.wait(lambda: cluster.phase("synth.stuck") == "rendering")
    stuck, began = cluster.child("synth.stuck"), time.monotonic()
    cluster.start("synth", "1")
    cluster.child("synth.1")
    cluster.wait(lambda: cluster.phase("synth.1") == "idle")
    assert time.monotonic() - began < 15, "the other worker was there before the deadline"
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert (job.worker, job.attempts) == ("synth.1", 2)
    assert "child killed at its deadline" in cluster.log("synth.stuck")
    assert cluster.child("synth.stuck") != stuck
    assert cluster.client.hget("kc:totals", "recycled.deadline") == b"1"
