"""Kokoro-FastAPI's clients of captions, downloads and dialogues against real workers."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.formats import AudioFormat
from tests.integration.gateway.live import decoded
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_speech import SLOW, TEXT, Service, lasts_s, serving
from worker.engines.checkpoint import write_checkpoint

LONG = "\n\n".join(f"{TEXT} This was number {n}." for n in range(6))


def wish(**fields: Any) -> dict[str, Any]:
    """Return what the examples of its README send."""
    body = {
        "model": "kokoro",
        "input": "Hello world!",
        "voice": "af_bella",
        "speed": 1.0,
        "response_format": "mp3",
    }
    return {**body, **fields}


def listen(service: Service, **fields: Any) -> tuple[list[dict[str, Any]], list[float], str]:
    """Take in lines as its README does; return them, when each came, and the job's id."""
    lines, came_at = [], []
    body = wish(stream=True, **fields)
    with service.http.stream("POST", "/dev/captioned_speech", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        for chunk in answer.iter_lines():
            if chunk:
                lines.append(json.loads(chunk))
                came_at.append(time.monotonic())
        return lines, came_at, answer.headers["x-job-id"]


def check(
    timestamps: list[dict[str, Any]], audio: bytes, audio_format: AudioFormat, text: str
) -> None:
    """Assert that these are the words of the text, one after the other and within the audio."""
    spoken = text.replace("!", "").replace(",", "").replace(".", "").split()
    assert [stamp["word"] for stamp in timestamps] == spoken
    position = 0.0
    for stamp in timestamps:
        assert position <= stamp["start_time"] < stamp["end_time"]
        position = stamp["end_time"]
    assert position <= lasts_s(audio, audio_format) + 1e-4


def of_the_job(service: Service, job_id: str) -> list[dict[str, Any]]:
    """Return a finished job's own captions in that shape."""
    service.ended(job_id)
    found = service.http.get(f"/v1/jobs/{job_id}/captions.json").json()["words"]
    return [
        {"word": row["word"], "start_time": row["start_s"], "end_time": row["end_s"]}
        for row in found
    ]


def test_the_examples_of_its_readme_work(cluster: Cluster, tmp_path: Path) -> None:
    with serving(cluster) as service:
        # Without streaming.
        response = service.http.post("/dev/captioned_speech", json=wish(stream=False))
        audio_json = json.loads(response.content)
        chunk_audio = base64.b64decode(audio_json["audio"].encode("utf-8"))
        assert set(audio_json) == {"audio", "audio_format", "timestamps"}
        assert audio_json["audio_format"] == "audio/mpeg"
        check(audio_json["timestamps"], chunk_audio, AudioFormat.MP3, "Hello world!")
        job = service.ended(response.headers["x-job-id"])
        assert len(chunk_audio) == job["output"]["bytes"]
        # With streaming.
        path = tmp_path / "output.mp3"
        stamps = []
        with (
            path.open("wb") as f,
            service.http.stream(
                "POST", "/dev/captioned_speech", json=wish(stream=True)
            ) as response,
        ):
            for chunk in response.iter_lines():
                if chunk:
                    chunk_json = json.loads(chunk)
                    f.write(base64.b64decode(chunk_json["audio"].encode("utf-8")))
                    stamps += chunk_json["timestamps"]
        check(stamps, path.read_bytes(), AudioFormat.MP3, "Hello world!")
        assert stamps == audio_json["timestamps"]


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_lines_put_together_are_one_stream_with_its_words(
    cluster: Cluster, audio_format: AudioFormat
) -> None:
    with serving(cluster) as service:
        lines, _, job_id = listen(service, input=LONG, response_format=audio_format)
        audio = b"".join(base64.b64decode(line["audio"]) for line in lines)
        stamps = [stamp for line in lines for stamp in line["timestamps"]]
        check(stamps, audio, AudioFormat(audio_format), LONG)
        assert stamps == of_the_job(service, job_id)
        warnings = service.ended(job_id)["warnings"]
        assert "timings_estimated" in {warning["code"] for warning in warnings}
        whole = service.http.post(
            "/dev/captioned_speech",
            json=wish(input=LONG, response_format=audio_format, stream=False),
        ).json()
        assert whole["timestamps"] == stamps
        heard = decoded(AudioFormat(audio_format), base64.b64decode(whole["audio"]))
        assert heard.size / 24_000 == pytest.approx(
            lasts_s(audio, AudioFormat(audio_format)), abs=0.15
        )


def test_the_first_words_come_before_the_last_are_made(cluster: Cluster) -> None:
    with serving(cluster, model=SLOW, batch_max=1) as service:
        listen(service)  # an encoder has to be started once
        began = time.monotonic()
        lines, came_at, job_id = listen(service, input=LONG)
        assert lines[0]["timestamps"]
        assert came_at[0] - began < (came_at[-1] - began) / 2
        stamps = [stamp for line in lines for stamp in line["timestamps"]]
        assert stamps == of_the_job(service, job_id)


def test_a_listener_who_is_slower_than_the_job_misses_no_word(cluster: Cluster) -> None:
    # What is not read is held back, so that most of it is encoded when the job has long ended.
    text = "\n\n".join(f"{TEXT} This was number {n}." for n in range(400))
    with serving(cluster) as service:
        stamps: list[dict[str, Any]] = []
        body = wish(input=text, response_format="wav", stream=True)
        with service.http.stream("POST", "/dev/captioned_speech", json=body) as answer:
            job_id = answer.headers["x-job-id"]
            lines = answer.iter_lines()
            stamps += json.loads(next(lines))["timestamps"]
            service.ended(job_id)
            assert not cluster.client.exists(f"kc:job:{job_id}:words")
            for line in lines:
                stamps += json.loads(line)["timestamps"]
        assert stamps == of_the_job(service, job_id)


def test_every_word_says_who_speaks_it(cluster: Cluster) -> None:
    fields: dict[str, Any] = {
        "input": "Once. [voice:Villain]Never! [voice:am_adam]Well.",
        "voice": "narrator",
        "allow_voice_tags": True,
        "voice_aliases": {"narrator": "af_bella(2)+af_heart", "villain": {"voice": "am_adam"}},
    }
    with serving(cluster) as service:
        known = {voice["id"] for voice in service.http.get("/v1/voices").json()["data"]}
        assert {"af_bella", "af_heart", "am_adam"} <= known
        lines, _, _ = listen(service, **fields)
        whole = service.http.post("/dev/captioned_speech", json=wish(stream=False, **fields))
    for stamps in (
        [stamp for line in lines for stamp in line["timestamps"]],
        whole.json()["timestamps"],
    ):
        assert [(stamp["word"], stamp["voice"]) for stamp in stamps] == [
            ("Once", "af_bella(2)+af_heart"),
            ("Never", "am_adam"),
            ("Well", "am_adam"),
        ]


def test_volume_is_that_of_all_forms(cluster: Cluster) -> None:
    def loudest(volume: float, *, stream: bool) -> int:
        fields = wish(response_format="pcm", volume_multiplier=volume, stream=stream)
        answer = service.http.post("/dev/captioned_speech", json=fields)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [stamp["word"] for line in lines for stamp in line["timestamps"]] == [
            "Hello",
            "world",
        ]
        data = b"".join(base64.b64decode(line["audio"]) for line in lines)
        return int(abs(decoded(AudioFormat.PCM, data).astype(int)).max())

    with serving(cluster) as service:
        full = loudest(1.0, stream=True)
        for stream in (True, False):
            assert loudest(0.5, stream=stream) == pytest.approx(full / 2, abs=2)


def test_downloads_and_timings_are_there_when_the_stream_has_ended(cluster: Cluster) -> None:
    with serving(cluster) as service:
        response = service.http.post(
            "/v1/audio/speech",
            json=wish(
                input="Hello world! [pause:1s] Again.",
                stream=True,
                return_download_link=True,
                return_timing=True,
            ),
        )
        timings = service.http.get(f"/v1{response.headers['x-timing-path']}").json()
        file = service.http.get(f"/v1{response.headers['x-download-path']}")
        assert file.headers["content-type"] == "audio/mpeg"
        audio_s = service.ended(response.headers["x-job-id"])["output"]["audio_s"]
        assert lasts_s(file.content) == pytest.approx(audio_s, abs=0.1)
        chunks = timings["chunks"]
        assert [chunk["text"] for chunk in chunks] == ["Hello world!", "", "Again."]
        assert [chunk["start"] for chunk in chunks] == [0.0, *(c["end"] for c in chunks[:-1])]
        assert chunks[1]["end"] - chunks[1]["start"] == pytest.approx(1.0, abs=0.002)
        assert chunks[-1]["end"] == pytest.approx(audio_s, abs=0.002)


def test_who_leaves_in_the_middle_of_the_lines_cancels_the_job(cluster: Cluster) -> None:
    with serving(cluster, model=SLOW, batch_max=1) as service:
        body = wish(input="\n\n".join(f"{TEXT} {n}." for n in range(40)))
        with service.http.stream("POST", "/dev/captioned_speech", json=body) as answer:
            next(answer.iter_lines())
            job_id = answer.headers["x-job-id"]
        assert service.ended(job_id)["status"] == "canceled"


def test_a_segment_that_fails_on_the_way_breaks_the_lines(cluster: Cluster) -> None:
    text = f"{LONG}\n\nAnd then KC-FAULT-RAISE came to pass."
    with serving(cluster, model=SLOW, batch_max=1, attempts_max=2) as service:
        listen(service)  # an encoder has to be started once
        came = []
        with (
            pytest.raises(httpx.RemoteProtocolError),
            service.http.stream(
                "POST", "/dev/captioned_speech", json=wish(input=text, response_format="pcm")
            ) as answer,
        ):
            assert answer.status_code == 200
            for line in answer.iter_lines():
                came.append(json.loads(line))
        assert came, "it broke before it began"


@pytest.mark.slow
def test_words_of_kokoro_are_timed_by_its_own_durations(cluster: Cluster, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "tiny", size="tiny")
    with serving(cluster, engine="kokoro", model=str(tmp_path / "tiny")) as service:
        lines, _, job_id = listen(service, input=TEXT, voice="af_heart")
        stamps = [stamp for line in lines for stamp in line["timestamps"]]
        assert stamps == of_the_job(service, job_id)
        document = service.http.get(f"/v1/jobs/{job_id}/captions.json").json()
        assert document["exact"] is True
