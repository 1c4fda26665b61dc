"""A job's way through real workers."""

import io
import os
import time

import numpy as np
import pytest
import soundfile

from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.records import JobSpec
from shared.ledger.states import JobStatus
from tests.integration.workers.conftest import Cluster

TEXT = "The first sentence stands alone.\n\nThe second one follows.[pause:1.5s] The third ends it."


def wav_spec(**changes: object) -> JobSpec:
    fields: dict[str, object] = {
        "voice": "af_heart",
        "language": Language.AMERICAN_ENGLISH,
        "speed": 1.0,
        "outputs": (AudioFormat.WAV, AudioFormat.MP3),
        "model": "kokoro",
    }
    return JobSpec(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_text_becomes_the_files_asked_for_with_its_pauses(cluster: Cluster) -> None:
    cluster.start("synth")
    job = cluster.finished(cluster.submit(TEXT, spec=wav_spec()))
    assert job.status is JobStatus.SUCCEEDED, job.error_message
    assert [output.format for output in job.outputs] == [AudioFormat.WAV, AudioFormat.MP3]
    wav, mp3 = (cluster.storage.get(output.key) for output in job.outputs)
    samples, rate = soundfile.read(io.BytesIO(wav))
    assert rate == 24_000
    assert len(samples) / rate == pytest.approx(job.audio_s, abs=0.001)
    silent = np.flatnonzero(np.convolve(np.abs(samples), np.ones(36_000), "valid") == 0)
    assert silent.size >= 1, "the pause of 1.5 s is not there"
    assert len(soundfile.read(io.BytesIO(mp3))[0]) / rate == pytest.approx(job.audio_s, abs=0.1)
    assert job.segments_done == job.segments_total == 4


def test_what_was_said_before_is_not_rendered_again(cluster: Cluster) -> None:
    cluster.start("synth")
    first = cluster.finished(cluster.submit(TEXT, spec=wav_spec()))
    again = cluster.finished(cluster.submit(TEXT.replace("first", "changed"), spec=wav_spec()))
    assert again.status is JobStatus.SUCCEEDED
    assert first.segments_reused == 0
    assert again.segments_reused == 2


def test_every_wake_up_is_acknowledged(cluster: Cluster) -> None:
    cluster.start("synth")
    cluster.finished(cluster.submit(TEXT, spec=wav_spec()))
    waiting = ("kc.plan", "kc.synth", "kc.assemble", "unacked", "unacked_index")
    cluster.wait(lambda: cluster.client.exists(*waiting) == 0)


def test_a_lost_wake_up_is_rung_again(cluster: Cluster) -> None:
    synth = cluster.start("synth")
    cluster.engine()
    cluster.group.stop()
    assert synth.process is not None
    uid = cluster.submit("Nobody heard of this.")
    cluster.wait(lambda: cluster.client.delete("kc.synth"))
    cluster.start("synth")
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED


def test_ten_equal_wake_ups_render_once(cluster: Cluster) -> None:
    cluster.start("synth")
    uid = cluster.submit("Once is enough.")
    for _ in range(10):
        cluster.celery.send_task("kc.synth", queue="kc.synth", ignore_result=True)
    assert cluster.finished(uid).status is JobStatus.SUCCEEDED
    cluster.wait(lambda: cluster.client.llen("kc.synth") == 0)
    assert cluster.client.hget("kc:totals", "segments_rendered") == b"1"


def test_one_job_can_be_followed_through_all_logs(cluster: Cluster) -> None:
    cluster.start("synth")
    uid = cluster.submit("Follow me.")
    cluster.finished(uid)
    for worker in ("plan.0", "synth.0", "assemble.0"):
        assert uid in cluster.log(worker)
        assert "Follow me" not in cluster.log(worker)


def test_a_long_text_streams_through_and_short_ones_pass_it(cluster: Cluster) -> None:
    cluster.start("synth", model="scripted:sleep_s=0.05")
    paragraphs = (f"Paragraph number {n} says something of its own." for n in range(800))
    book = cluster.submit("\n\n".join(paragraphs), spec=wav_spec(outputs=(AudioFormat.WAV,)))
    cluster.wait(lambda: cluster.ledger.job(book).segments_done > 10)
    shorts = [cluster.submit(f"Short text number {n}.") for n in range(10)]
    for uid in shorts:
        assert cluster.finished(uid, 60).status is JobStatus.SUCCEEDED
    assert cluster.ledger.job(book).status is JobStatus.PROCESSING
    job = cluster.finished(book, 200)
    assert job.status is JobStatus.SUCCEEDED
    assert job.segments_total == 800


def test_a_child_is_replaced_after_its_share_of_tasks(cluster: Cluster) -> None:
    cluster.start("synth", recycle_after_jobs=3, recycle_jitter=0)
    first = cluster.child("synth.0")
    for n in range(8):
        uid = cluster.submit(f"Text number {n}.")
        assert cluster.finished(uid).status is JobStatus.SUCCEEDED
    assert cluster.child("synth.0") != first
    cluster.wait(lambda: float(cluster.client.hget("kc:totals", "recycles") or 0) >= 2)
    assert float(cluster.client.hget("kc:totals", "recycled.planned") or 0) >= 2
    assert not cluster.client.hexists("kc:totals", "recycled.died")


def test_a_lone_short_segment_starts_at_once_on_an_idle_worker(cluster: Cluster) -> None:
    # Long enough that a wait for company or for an expected end would show.
    cluster.start("synth", model="scripted:sleep_s=2", batch_max=64)
    assert cluster.finished(cluster.submit("So it knows what to expect.")).status is (
        JobStatus.SUCCEEDED
    )
    cluster.wait(lambda: cluster.phase("synth.0") == "idle")
    began = time.monotonic()
    uid = cluster.submit("Alone.")
    cluster.wait(lambda: cluster.phase("synth.0") == "rendering")
    assert time.monotonic() - began < 1.5, "planned and begun"
    assert cluster.finished(uid).status is JobStatus.SUCCEEDED


def test_workers_and_their_children_let_gateways_go_first(cluster: Cluster) -> None:
    worker = cluster.start("synth", nice=7)
    assert worker.process is not None
    pids = [worker.process.pid, cluster.child("synth.0")]
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [7, 7]
