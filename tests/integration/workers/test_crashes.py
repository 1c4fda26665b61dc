"""What a killed process must not change. The whole fault suite comes on top of these."""

import time
from pathlib import Path

import pytest
import redis

from deploy.redis_server import RedisServer
from shared.ledger.states import JobStatus
from tests.conftest import free_port
from tests.integration.workers.black_hole import BlackHole
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_way import wav_spec
from worker.context import EXIT_FATAL
from worker.liveness import ALIVE_S, alive_file, seconds_since_touch
from worker.note import is_running


def test_killing_the_synth_child_in_the_middle_loses_nothing(cluster: Cluster) -> None:
    cluster.start("synth", model="scripted:sleep_s=1.5")
    uid = cluster.submit("Kill the child while this is spoken.")
    cluster.wait(lambda: cluster.phase("synth.0") == "rendering")
    killed = time.monotonic()
    cluster.kill(cluster.child("synth.0"))
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert job.attempts == 2
    assert time.monotonic() - killed < 15
    assert cluster.client.hget("kc:totals", "recycled.died") == b"1"


def test_a_batch_that_was_only_claimed_ahead_has_no_part_in_its_childs_death(
    cluster: Cluster,
) -> None:
    cluster.start("synth", model="scripted:sleep_s=1.7", batch_max=1)
    text = "\n\n".join(f"Paragraph number {n} is a segment of its own." for n in range(4))
    uid = cluster.submit(text)

    def claimed_beside_another() -> list[int]:
        rows = cluster.client.hgetall(f"kc:job:{uid}:segments")
        leased = {int(index): row for index, row in rows.items() if b'"leased"' in row}
        ahead = [index for index, row in leased.items() if b'"ahead":true' in row]
        return ahead if len(leased) == 2 else []

    child = cluster.child("synth.0")
    (ahead,) = cluster.wait(claimed_beside_another)
    cluster.kill(child)
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    segments = cluster.ledger.worker().segments(uid, 0, 4)
    assert segments[ahead].attempts == 1
    assert sorted(segment.attempts for segment in segments) == [1, 1, 1, 2]


def test_killing_a_worker_hands_its_batch_to_another(cluster: Cluster) -> None:
    first = cluster.start("synth", "0", model="scripted:sleep_s=30")
    uid = cluster.submit("Kill the whole worker.")
    cluster.wait(lambda: cluster.phase("synth.0") == "rendering")
    child = cluster.child("synth.0")
    assert first.process is not None
    cluster.kill(first.process.pid)
    first.process.wait(30)
    cluster.start("synth", "1")
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert job.worker == "synth.1"
    assert not is_running(child)


@pytest.mark.parametrize("fault", ["KC-FAULT-KILL", "KC-FAULT-HANG"])
def test_a_poison_segment_fails_its_job_after_three_attempts_and_no_other(
    cluster: Cluster, fault: str
) -> None:
    cluster.start("synth", render_timeout_s=1.5)
    cluster.engine()
    bad = cluster.submit(f"This one says {fault} and dies.")
    good = [cluster.submit(f"A good neighbour number {n}.") for n in range(3)]
    job = cluster.finished(bad)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "poison")
    segment = cluster.ledger.worker().segments(bad, 0, 1)[0]
    assert segment.attempts == 3
    for uid in good:
        assert cluster.finished(uid).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("KC-FAULT-RAISE", "engine_failed"),
        ("KC-FAULT-SILENT", "implausible_audio"),
        ("KC-FAULT-NAN", "implausible_audio"),
    ],
)
def test_audio_with_a_hole_in_it_is_never_a_success(
    cluster: Cluster, fault: str, code: str
) -> None:
    cluster.start("synth")
    job = cluster.finished(cluster.submit(f"A fine sentence.\n\nThen {fault}.\n\nAnd an end."))
    assert (job.status, job.error_code) == (JobStatus.FAILED, code)
    assert "Segment 1" in (job.error_message or "")
    assert job.outputs == ()


def test_a_segment_that_makes_no_sense_fails_by_name_and_no_neighbour(cluster: Cluster) -> None:
    cluster.start("synth")
    bad = cluster.submit("This voice is none.", spec=wav_spec(voice="(2)"))
    good = cluster.submit("A good neighbour.")
    job = cluster.finished(bad)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "invalid_input")
    assert cluster.finished(good).status is JobStatus.SUCCEEDED


def test_a_worker_told_to_stop_finishes_its_batch(cluster: Cluster) -> None:
    synth = cluster.start("synth", model="scripted:sleep_s=2", soft_shutdown_s=6)
    uid = cluster.submit("Finish this before you go.")
    cluster.wait(lambda: cluster.phase("synth.0") == "rendering")
    assert synth.process is not None
    synth.process.terminate()
    synth.process.wait(30)
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert job.attempts == 1


def test_what_does_not_fit_the_grace_is_given_back_without_an_attempt(cluster: Cluster) -> None:
    synth = cluster.start("synth", model="scripted:sleep_s=60", soft_shutdown_s=0.5)
    uid = cluster.submit("Too long for the grace.")
    cluster.wait(lambda: cluster.phase("synth.0") == "rendering")
    assert synth.process is not None
    synth.process.terminate()
    synth.process.wait(30)
    cluster.start("synth", "1")
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert job.attempts == 1


def test_redis_away_for_three_seconds_costs_no_rendering(cluster: Cluster) -> None:
    cluster.start("synth", model="scripted:sleep_s=1.5")
    uid = cluster.submit("Redis goes away while this is spoken.")
    cluster.wait(lambda: cluster.phase("synth.0") == "rendering")
    cluster.server.kill()
    time.sleep(3)
    cluster.server.start()
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert cluster.client.hget("kc:totals", "segments_rendered") == b"1"
    assert job.attempts == 1


def test_a_worker_that_can_never_work_says_why_and_exits_with_an_error(cluster: Cluster) -> None:
    worker = cluster.start("synth", engine="kokoro", model=str(cluster.folder / "no-such-folder"))
    assert worker.process is not None
    assert worker.process.wait(60) == EXIT_FATAL
    assert "no-such-folder" in cluster.log("synth.0")


def test_lost_segment_audio_fails_one_job_and_is_rendered_again_for_the_next(
    cluster: Cluster,
) -> None:
    cluster.start("synth")
    text = "This sentence is lost on the disk."
    first = cluster.submit(text)
    assert cluster.finished(first).status is JobStatus.SUCCEEDED
    (segment,) = cluster.ledger.worker().segments(first, 0, 1)
    assert segment.key is not None
    cluster.storage.delete([segment.key])
    second = cluster.finished(cluster.submit(text))
    assert (second.status, second.error_code) == (JobStatus.FAILED, "object_missing")
    assert cluster.finished(cluster.submit(text)).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("sleep_s", [0.05, 600])
def test_a_worker_told_to_stop_ends_within_its_grace_though_redis_is_gone(
    tmp_path: Path, sleep_s: float
) -> None:
    server = RedisServer(tmp_path / "redis", free_port())
    server.start()
    with redis.Redis.from_url(server.url) as client:
        alone = Cluster(client, server, tmp_path)
        try:
            alone.start("plan")
            model = f"scripted:sleep_s={sleep_s}"
            synth = alone.start("synth", model=model, batch_max=1, soft_shutdown_s=1)
            alone.submit("\n\n".join(f"Paragraph number {n} of many." for n in range(400)))
            alone.wait(lambda: alone.phase("synth.0") == "rendering")
            child = alone.child("synth.0")
            server.kill()
            time.sleep(2)  # finished audio is waiting for Redis now
            assert synth.process is not None
            synth.process.terminate()
            synth.process.wait(15)
            assert not is_running(child)
        finally:
            alone.group.stop()
            server.stop()
            alone.celery.close()


def test_a_ledger_that_lost_its_data_serves_again_and_its_audio_is_kept(cluster: Cluster) -> None:
    cluster.start("synth")
    before = cluster.submit("Said before the loss.")
    assert cluster.finished(before).status is JobStatus.SUCCEEDED
    key = cluster.ledger.job(before).outputs[0].key
    cluster.client.flushall()
    # `submit` waits for the engine to be known again: its worker's parent tells it anew.
    after = cluster.submit("Said after the loss.")
    assert cluster.finished(after).status is JobStatus.SUCCEEDED
    assert cluster.client.hget("kc:totals", "ledger_losses") == b"1"
    assert '"the ledger lost its data"' in cluster.log("synth.0")
    assert cluster.storage.size(key) > 0


def test_a_device_without_room_for_a_batch_renders_it_in_parts_at_no_attempts_cost(
    cluster: Cluster,
) -> None:
    cluster.start("synth", model="scripted:room=2", batch_max=8)
    text = "\n\n".join(f"Paragraph number {n} is a segment of its own." for n in range(8))
    uid = cluster.submit(text)
    assert cluster.finished(uid).status is JobStatus.SUCCEEDED
    segments = cluster.ledger.worker().segments(uid, 0, 8)
    assert [segment.attempts for segment in segments] == [1] * 8
    assert '"out of device memory"' in cluster.log("synth.0")


@pytest.mark.slow
def test_a_worker_stays_alive_while_redis_takes_everything_and_answers_nothing(
    cluster: Cluster,
) -> None:
    with BlackHole(cluster.server.url) as way:
        worker = cluster.start("synth", redis_url=way.url)
        cluster.submit("Before.")
        child = cluster.child("synth.0")
        way.open = True
        path, until = alive_file(cluster.settings, "synth.0"), time.monotonic() + ALIVE_S + 5
        while time.monotonic() < until:
            age_s = seconds_since_touch(path)
            assert age_s is not None
            assert age_s < ALIVE_S / 2
            time.sleep(0.2)
        way.open = False
        job = cluster.finished(cluster.submit("After."))
        assert job.status is JobStatus.SUCCEEDED
        assert worker.process is not None
        assert worker.process.poll() is None
        assert cluster.child("synth.0") == child
        cluster.group.stop()
