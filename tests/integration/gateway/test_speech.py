"""`POST /v1/audio/speech`: what OpenAI's and Kokoro-FastAPI's clients send, and what they get."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from shared.formats import AudioFormat
from tests.integration.gateway.conftest import MANIFEST, Cluster, Starter
from tests.integration.gateway.live import Listener, Studio, decoded

TEXT = "Hello there."


def speak(cluster: Cluster, **fields: Any) -> Listener:
    """Ask for speech; the answer is taken in by a thread."""
    body = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm", **fields}
    url = f"http://127.0.0.1:{cluster.port}/v1/audio/speech"
    return Listener(url, "POST", {k: v for k, v in body.items() if v is not None}).start()


def only_job(cluster: Cluster) -> dict[str, Any]:
    (job,) = cluster.http.get("/v1/jobs").json()["data"]
    return dict(job)


def wait_until_canceled(cluster: Cluster) -> None:
    deadline = time.monotonic() + 5
    while only_job(cluster)["status"] != "canceled":
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def planned(cluster: Cluster, segments: int, **fields: Any) -> Iterator[tuple[Listener, Studio]]:
    """Ask for speech and plan it; it has been answered by the block's end."""
    studio = Studio(cluster)
    listener = speak(cluster, **fields)
    listener.until(lambda: cluster.redis.zcard("kc:queue:plan"))
    studio.plan(segments)
    try:
        yield listener, studio
    finally:
        listener.end()


def test_speech_is_heard_segment_by_segment(cluster: Cluster) -> None:
    with planned(cluster, 3) as (listener, studio):
        for n in range(1, 4):
            studio.render()
            listener.until(lambda n=n: len(listener.data) == n * 48_000)  # type: ignore[misc]
    assert (listener.status, listener.error) == (200, None)
    assert listener.headers["content-type"] == "audio/pcm"
    assert listener.headers["transfer-encoding"] == "chunked"
    job = only_job(cluster)
    assert listener.headers["x-job-id"] == job["id"]
    assert job["status"] == "processing", "its end is not waited for"
    assert np.array_equal(decoded(AudioFormat.PCM, bytes(listener.data)), studio.whole(3))


def test_the_job_underneath_is_an_interactive_one_that_starts_quickly(cluster: Cluster) -> None:
    with planned(cluster, 1, speed=1.5) as (_, studio):
        row = cluster.redis.hgetall(f"kc:job:{only_job(cluster)['id']}")
        studio.render()
    spec = json.loads(row[b"spec"])
    assert row[b"lane"] == b"interactive"
    assert (spec["quick_start"], spec["speed"]) == (True, 1.5)


def test_who_hangs_up_before_the_first_sound_wants_no_more(cluster: Cluster) -> None:
    with pytest.raises(Exception, match="timed out"):
        cluster.http.post("/v1/audio/speech", json={"input": TEXT}, timeout=0.5)
    wait_until_canceled(cluster)


def test_who_hangs_up_in_the_middle_wants_no_more(cluster: Cluster) -> None:
    with planned(cluster, 3) as (listener, studio):
        listener.leave.set()
        studio.render()
    wait_until_canceled(cluster)
    assert studio.render(9) == 0, "what has not begun is never begun"


def fail(cluster: Cluster, code: str, message: str) -> None:
    (claim,) = cluster.worker.claim_segments(1)
    cluster.worker.fail_segment(claim, code=code, message=message, permanent=True)


def test_a_failure_before_the_first_sound_is_an_error_that_is_not_tried_again(
    cluster: Cluster,
) -> None:
    with planned(cluster, 2) as (listener, _):
        fail(cluster, "poison", "It broke.")
    error = json.loads(listener.data)["error"]
    assert (listener.status, error["code"]) == (502, "speech_failed")
    assert "It broke." in error["message"]
    assert listener.headers["x-should-retry"] == "false"


def test_a_text_that_can_not_be_spoken_is_the_clients_to_change(cluster: Cluster) -> None:
    with planned(cluster, 1) as (listener, _):
        fail(cluster, "nothing_to_speak", "Nothing in it.")
    error = json.loads(listener.data)["error"]
    assert (listener.status, error["code"], error["param"]) == (422, "nothing_to_speak", "input")


def test_a_failure_after_the_first_sound_breaks_the_stream(cluster: Cluster) -> None:
    with planned(cluster, 2) as (listener, studio):
        studio.render()
        listener.until(lambda: listener.data)
        fail(cluster, "poison", "It broke.")
    assert listener.status == 200
    assert listener.error is not None


def test_events_carry_the_same_audio(cluster: Cluster) -> None:
    with planned(cluster, 2, stream_format="sse") as (listener, studio):
        studio.render()
        listener.until(lambda: listener.data)
        studio.render()
    assert listener.headers["content-type"].startswith("text/event-stream")
    lines = bytes(listener.data).decode().split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert np.array_equal(decoded(AudioFormat.PCM, audio), studio.whole(2))
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 12, "output_tokens": 0, "total_tokens": 12},
    }


def test_events_of_a_job_that_fails_never_say_done(cluster: Cluster) -> None:
    with planned(cluster, 2, stream_format="sse") as (listener, studio):
        studio.render()
        listener.until(lambda: listener.data)
        fail(cluster, "poison", "It broke.")
    assert listener.error is not None
    assert b"speech.audio.done" not in listener.data


def test_without_a_stream_there_is_the_whole_file_and_its_length(cluster: Cluster) -> None:
    with planned(cluster, 2, stream=False, response_format="wav") as (listener, studio):
        studio.render(2)
        time.sleep(0.3)
        assert listener.status == 0
        cluster.assemble()
    job = only_job(cluster)
    assert listener.headers["content-length"] == str(len(listener.data))
    assert len(listener.data) == job["output"]["bytes"]


def test_volume_changes_the_samples(cluster: Cluster) -> None:
    with planned(cluster, 1, volume_multiplier=0.5) as (listener, studio):
        studio.render()
    whole = studio.whole(1).astype(float)
    assert np.abs(decoded(AudioFormat.PCM, bytes(listener.data)) - 0.5 * whole).max() <= 0.5


def test_a_download_link_names_the_jobs_file(cluster: Cluster) -> None:
    fields = {"return_download_link": True, "download_format": "flac"}
    with planned(cluster, 1, **fields) as (listener, studio):
        studio.render()
    job = only_job(cluster)
    assert listener.headers["x-download-path"] == f"/download/{job['id']}.flac"
    assert "x-timing-path" not in listener.headers
    url = "/v1" + listener.headers["x-download-path"]
    early = Listener(f"http://127.0.0.1:{cluster.port}{url}").start()
    time.sleep(0.3)
    assert early.status == 0, "the file of an answer that has ended is waited for"
    cluster.assemble()
    assert early.end() == cluster.http.get(url).content
    answer = cluster.http.get(url, params={"name": "../My talk.mp3"})
    assert answer.headers["content-type"] == "audio/flac"
    assert answer.headers["content-disposition"] == 'attachment; filename="My_talk.flac"'
    # Of a job that made no other file.
    assert cluster.http.get(f"/v1/download/{job['id']}.wav").status_code == 422
    timing = cluster.http.get(f"{url}.json")
    assert cluster.error(timing, 404)["code"] == "captions_not_made"


def test_the_file_of_a_job_that_is_not_yet_spoken_is_not_waited_for(cluster: Cluster) -> None:
    job = cluster.submit()
    began = time.monotonic()
    answer = cluster.http.get(f"/v1/download/{job['id']}.mp3")
    assert cluster.error(answer, 409)["code"] == "job_not_ready"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "body",
    [
        # Open WebUI
        {"model": "tts-1", "input": TEXT, "voice": "alloy"},
        {"model": "kokoro", "input": TEXT, "voice": "af_heart", "response_format": "mp3", "x": [1]},
        # SillyTavern
        {
            "model": "tts-1-hd",
            "input": TEXT,
            "voice": "nova",
            "response_format": "mp3",
            "speed": "1.25",
            "params": {"cfg": None},
        },
        # OpenAI's newest
        {
            "model": "gpt-4o-mini-tts-2025-12-15",
            "input": TEXT,
            "voice": {"id": "af_bella"},
            "instructions": "Cheerfully.",
            "stream_format": "audio",
        },
        # Kokoro-FastAPI's web player
        {
            "input": TEXT,
            "voice": "af_bella(2)+af_heart(1)",
            "response_format": "mp3",
            "download_format": "wav",
            "stream": True,
            "speed": 1,
            "return_download_link": True,
            "return_timing": True,
            "allow_voice_tags": True,
            "ssml": False,
            "voice_aliases": None,
            "lang_code": "a",
            "volume_multiplier": 1.0,
            "normalization_options": {"normalize": True, "unit_normalization": False},
        },
        {"input": TEXT, "voice": "alloy+echo", "lang_code": None, "normalization_options": None},
        {"input": TEXT, "voice": "alloy", "normalization_options": {"normalize": False}},
    ],
)
def test_what_known_clients_send_is_spoken(cluster: Cluster, body: dict[str, Any]) -> None:
    studio = Studio(cluster)
    url = f"http://127.0.0.1:{cluster.port}/v1/audio/speech"
    listener = Listener(url, "POST", body).start()
    listener.until(lambda: cluster.redis.zcard("kc:queue:plan"))
    studio.plan(1)
    studio.render()
    assert decoded(AudioFormat.MP3, listener.end()).size >= 24_000
    assert (listener.status, listener.headers["content-type"]) == (200, "audio/mpeg")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": ""}, "input", "invalid_input"),
        ({"input": None}, "input", "invalid_input"),
        ({"voice": "nobody"}, "voice", "unknown_voice"),
        ({"voice": "alloy-echo"}, "voice", "invalid_input"),
        ({"voice": ""}, "voice", None),
        ({"model": "whisper-1"}, "model", "unknown_model"),
        ({"speed": 9}, "speed", None),
        ({"response_format": "m4b"}, "response_format", None),
        ({"stream_format": "video"}, "stream_format", None),
        ({"volume_multiplier": 0}, "volume_multiplier", None),
        ({"ssml": True, "input": "<speak>Hi</speak>"}, "ssml", None),
        ({"voice_aliases": {"one": "nobody"}, "voice": "one"}, "voice", "unknown_voice"),
        (
            {"voice_aliases": {"one": {"voice": "af_heart", "rate": 0.8}}, "voice": "one"},
            "voice_aliases",
            None,
        ),
        ({"lang_code": "klingon"}, "language", "unknown_language"),
        ({"input": "[pause:oops]"}, None, "invalid_markup"),
    ],
)
def test_what_can_not_be_done_is_refused_by_its_field(
    cluster: Cluster, fields: dict[str, Any], param: str | None, code: str | None
) -> None:
    body = {"input": TEXT, **fields}
    body = {name: value for name, value in body.items() if value is not None}
    error = cluster.error(cluster.http.post("/v1/audio/speech", json=body), 422)
    assert (error["param"] or "").startswith(param or "")
    assert code in {None, error["code"]}
    assert cluster.http.get("/v1/jobs").json()["data"] == []


def test_openais_names_mean_a_voice_whatever_is_loaded(cluster: Cluster) -> None:
    for name in ("alloy", "echo", "fable", "onyx", "nova", "shimmer", "coral", "marin"):
        answer = cluster.http.post("/v1/audio/voices/combine", json=name)
        assert answer.json()["id"] in MANIFEST.voices, name
    assert cluster.http.post("/v1/audio/voices/combine", json="echo").json()["id"] == "af_bella"


def test_a_mix_is_checked_and_named(cluster: Cluster) -> None:
    for wanted in ("af_bella(2)+af_heart(1)", ["af_bella(2)", "af_heart(1)"]):
        answer = cluster.http.post("/v1/audio/voices/combine", json=wanted)
        assert answer.json() == {
            "object": "voice",
            "id": "af_bella(2)+af_heart(1)",
            "name": "af_bella(2)+af_heart(1)",
            "voices": [
                {"id": "af_bella", "weight": 0.666667},
                {"id": "af_heart", "weight": 0.333333},
            ],
        }
    for bad in ("nobody", "", [], [1], {"voices": "a"}, 5, ["af_bella"] * 9, "af_bella++"):
        cluster.error(cluster.http.post("/v1/audio/voices/combine", json=bad), 422)


def test_models_and_voices_are_listed_as_clients_read_them(cluster: Cluster) -> None:
    models = cluster.http.get("/v1/models").json()["data"]
    assert {"kokoro", "tts-1", "tts-1-hd"} < {model["id"] for model in models}
    for model in models:
        assert cluster.http.get(f"/v1/models/{model['id']}").json() == model
    missing = cluster.http.get("/v1/models/a/b")
    assert cluster.error(missing, 404)["code"] == "model_not_found"
    voices = cluster.http.get("/v1/audio/voices").json()["voices"]
    assert {"id": "af_heart", "name": "af_heart"} in voices
    legacy = cluster.http.get("/v1/audio/voices", params={"legacy": "true"}).json()["voices"]
    assert legacy == [voice["id"] for voice in voices]


def test_an_encoder_that_can_not_be_started_is_named(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.encoder_child.COMMAND", ("false",))
    cluster = start()
    answer = cluster.http.post("/v1/audio/speech", json={"input": TEXT})
    assert cluster.error(answer, 503)["code"] == "live_encoding_unavailable"
    assert only_job(cluster)["status"] == "canceled"
