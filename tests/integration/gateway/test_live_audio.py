"""A job's audio while it is made: `GET /v1/jobs/{id}/audio?partial=1`."""

import socket
import time
from contextlib import closing

import numpy as np
import pytest

from shared.formats import FORMATS, STREAMABLE, AudioFormat
from tests.integration.gateway.conftest import Cluster, Starter
from tests.integration.gateway.live import Listener, Studio, decoded, encoder_pids, kill
from tests.integration.gateway.test_slow_clients import resident_mib
from worker.assemble.encoders import AAC_DELAY_SAMPLES
from worker.assemble.streaming import MP3_DELAY_SAMPLES

DELAYS = {AudioFormat.MP3: MP3_DELAY_SAMPLES, AudioFormat.AAC: AAC_DELAY_SAMPLES}


def listen(cluster: Cluster, job_id: str, audio_format: str = "pcm") -> Listener:
    url = f"http://127.0.0.1:{cluster.port}/v1/jobs/{job_id}/audio"
    return Listener(f"{url}?partial=1&format={audio_format}").start()


@pytest.mark.parametrize("audio_format", sorted(STREAMABLE))
def test_every_format_plays_as_the_finished_audio(
    cluster: Cluster, audio_format: AudioFormat
) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    listener = listen(cluster, job["id"], audio_format)
    studio.plan(3, pause=True)
    for _ in range(3):
        studio.render()
    heard = decoded(audio_format, listener.end())
    assert (listener.status, listener.error) == (200, None)
    assert listener.headers["content-type"] == FORMATS[audio_format].media_type
    assert "content-length" not in listener.headers
    whole = studio.whole(3, pause=True)
    delay = DELAYS.get(audio_format, 0)
    assert 0 <= heard.size - whole.size - delay < 1152
    in_place = heard[delay : delay + whole.size]
    if audio_format in {AudioFormat.PCM, AudioFormat.WAV, AudioFormat.FLAC}:
        assert np.array_equal(in_place, whole)
    assert np.corrcoef(in_place, whole)[0, 1] > 0.98


@pytest.mark.parametrize("audio_format", sorted(STREAMABLE))
def test_each_segment_is_heard_when_it_is_done(cluster: Cluster, audio_format: AudioFormat) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(3)
    listener = listen(cluster, job["id"], audio_format)
    time.sleep(0.2)
    assert listener.status == 0
    for n in range(1, 4):
        studio.render()
        least = n * 0.7 * 24_000
        listener.until(
            lambda least=least: (  # type: ignore[misc]
                listener.data and decoded(audio_format, bytes(listener.data)).size > least
            )
        )
        assert decoded(audio_format, bytes(listener.data)).size < (n + 0.2) * 24_000
    listener.end()
    assert cluster.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "processing"


def test_segments_are_heard_in_order_whatever_order_they_get_done_in(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(3)
    listener = listen(cluster, job["id"])
    first = cluster.worker.claim_segments(1)
    studio.render(2)
    time.sleep(0.3)
    assert not listener.data
    cluster.worker.return_segments(first)
    studio.render()
    assert np.array_equal(decoded(AudioFormat.PCM, listener.end()), studio.whole(3))


def test_an_encoder_that_dies_makes_no_difference(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(6)
    disturbed = listen(cluster, job["id"], "mp3")
    killed = set()
    for n in range(6):
        studio.render()
        disturbed.until(lambda n=n: len(disturbed.data) > (n + 1) * 11_000)  # type: ignore[misc]
        if n in {0, 2, 3}:
            for pid in encoder_pids():
                killed.add(pid)
                kill(pid)
    assert len(killed) == 3
    assert disturbed.end() == listen(cluster, job["id"], "mp3").end()
    assert disturbed.error is None
    assert decoded(AudioFormat.MP3, bytes(disturbed.data)).size > 6 * 24_000


def test_a_job_that_fails_on_its_way_breaks_the_stream(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(2)
    listener = listen(cluster, job["id"])
    studio.render()
    listener.until(lambda: len(listener.data) == 48_000)
    (claim,) = cluster.worker.claim_segments(1)
    cluster.worker.fail_segment(claim, code="poison", message="It broke.", permanent=True)
    listener.end()
    assert listener.status == 200
    assert listener.error is not None, "half of the audio must not look like all of it"


def test_a_job_that_fails_before_its_first_sound_is_an_error(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(1)
    listener = listen(cluster, job["id"])
    (claim,) = cluster.worker.claim_segments(1)
    cluster.worker.fail_segment(claim, code="poison", message="It broke.", permanent=True)
    assert b'"job_failed"' in listener.end()
    assert listener.status == 409
    failed = cluster.http.get(f"/v1/jobs/{job['id']}/audio", params={"partial": 1})
    assert cluster.error(failed, 409)["code"] == "job_failed"


def test_a_segment_that_is_lost_breaks_the_stream(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(2)
    listener = listen(cluster, job["id"])
    studio.render()
    listener.until(lambda: len(listener.data) == 48_000)
    studio.render(store=False)
    listener.end()
    assert listener.error is not None


def test_a_first_segment_that_is_lost_is_an_error_that_names_no_key(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(1)
    studio.render(store=False)
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/audio", params={"partial": 1})
    assert cluster.error(answer, 503)["code"] == "stream_broken"
    assert "segments/" not in answer.text


def test_a_finished_job_serves_its_file_and_other_formats_from_its_segments(
    cluster: Cluster,
) -> None:
    studio = Studio(cluster)
    job = cluster.submit(response_format="wav")
    studio.plan(2)
    studio.render(2)
    cluster.assemble()
    url = f"/v1/jobs/{job['id']}/audio"
    file = cluster.http.get(url, params={"partial": 1})
    assert file.headers["etag"] == cluster.http.get(url).headers["etag"]
    assert file.content == cluster.http.get(url).content
    other = cluster.http.get(url, params={"partial": 1, "format": "flac"})
    assert np.array_equal(decoded(AudioFormat.FLAC, other.content), studio.whole(2))
    assert cluster.http.get(url, params={"format": "flac"}).status_code == 422


def test_a_listener_who_leaves_ends_no_job_of_another_kind(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(3)
    listener = listen(cluster, job["id"])
    listener.leave.set()
    studio.render()
    listener.end()
    time.sleep(0.3)
    assert cluster.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "processing"


def test_encoders_end_with_their_gateway_and_are_not_there_before_they_are_needed(
    start: Starter,
) -> None:
    before = set(encoder_pids())
    cluster = start()
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(1)
    assert set(encoder_pids()) == before
    listener = listen(cluster, job["id"])
    studio.render()
    listener.end()
    (own,) = set(encoder_pids()) - before
    cluster.server.handle_exit(15, None)
    listener.until(lambda: own not in encoder_pids(), 10)


def test_a_gateway_that_stops_breaks_a_stream_that_it_can_not_end(start: Starter) -> None:
    cluster = start()
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(2)
    listener = listen(cluster, job["id"])
    studio.render()
    listener.until(lambda: len(listener.data) == 48_000)
    began = time.monotonic()
    cluster.server.handle_exit(15, None)
    listener.end()
    assert listener.error is not None
    assert time.monotonic() - began < 6


def test_a_store_that_is_away_for_a_moment_delays_a_stream(start: Starter) -> None:
    cluster = start()
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(2)
    studio.render(2)
    listen(cluster, job["id"]).end()  # an encoder that is started later could not tell
    objects = cluster.settings.data_dir / "objects"
    away = objects.rename(objects.with_name("away"))
    listener = listen(cluster, job["id"])
    time.sleep(2)
    assert not listener.data
    away.rename(objects)
    assert np.array_equal(decoded(AudioFormat.PCM, listener.end()), studio.whole(2))


def test_streams_share_the_encoders_there_may_be(start: Starter) -> None:
    before = set(encoder_pids())
    cluster = start(live_encoders=2)
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(2)
    listeners = [listen(cluster, job["id"]) for _ in range(6)]
    for n in (1, 2):
        studio.render()
        for listener in listeners:
            listener.until(lambda n=n, one=listener: len(one.data) == n * 48_000)  # type: ignore[misc]
    for listener in listeners:
        assert np.array_equal(decoded(AudioFormat.PCM, listener.end()), studio.whole(2))
    assert len(set(encoder_pids()) - before) == 2


def test_a_listener_who_takes_nothing_in_is_cut_off_and_holds_nothing(start: Starter) -> None:
    cluster = start(unread_timeout_s=0.5)
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(400)
    while studio.render(64):
        pass
    kept = len(cluster.server.server_state.connections)
    before = resident_mib()
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", cluster.port))
        path = f"/v1/jobs/{job['id']}/audio?partial=1&format=wav"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        connection.settimeout(20)
        assert connection.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + 20
        while len(cluster.server.server_state.connections) > kept:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert resident_mib() - before < 10, "19 MB of audio were asked for"


def test_streams_are_counted_and_timed(start: Starter) -> None:
    def metric(name: str) -> float:
        (line,) = (
            line for line in cluster.http.get("/metrics").text.splitlines() if line.startswith(name)
        )
        return float(line.rpartition(" ")[2])

    cluster = start()
    studio = Studio(cluster)
    job = cluster.submit()
    studio.plan(2)
    listener = listen(cluster, job["id"])
    studio.render()
    listener.until(lambda: listener.data)
    assert metric("kc_live_streams") == 1
    assert metric('kc_live_first_byte_seconds_count{route="/v1/jobs/{job_id}/audio"}') == 1
    studio.render()
    listener.end()
    assert metric("kc_live_streams") == 0


def test_a_job_with_a_loudness_is_heard_as_it_is_rendered_and_says_so(cluster: Cluster) -> None:
    studio = Studio(cluster)
    job = cluster.submit(loudness_lufs=-30)
    studio.plan(1)
    studio.render()
    listener = listen(cluster, job["id"])
    assert np.array_equal(decoded(AudioFormat.PCM, listener.end()), studio.whole(1))
    assert listener.headers["x-loudness"] == "as-rendered"
    cluster.assemble()
    url = f"/v1/jobs/{job['id']}/audio"
    assert "x-loudness" not in cluster.http.get(url, params={"partial": 1}).headers


def test_a_head_request_waits_for_nothing(cluster: Cluster) -> None:
    job = cluster.submit()
    answer = cluster.http.head(f"/v1/jobs/{job['id']}/audio", params={"partial": 1})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")
