"""The stock `openai` client against a real gateway and real workers."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from shared.formats import AudioFormat
from tests.conftest import free_port
from tests.integration.gateway.live import decoded, encoder_pids, kill
from tests.integration.workers.conftest import Cluster

TEXT = (
    "This is the beginning of a story, and nobody knows how it goes on. It was told long ago, by "
    "people who had seen it themselves. Some of them are still alive."
)
SLOW = "scripted:sleep_s=0.4"


@dataclass
class Service:
    """A gateway with workers behind it, seen through OpenAI's client."""

    cluster: Cluster
    client: openai.OpenAI
    http: httpx.Client
    url: str
    gateway_pid: int

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.http.get("/v1/jobs", params={"limit": 100}).json()["data"])

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait for a job's end; return the job."""
        self.cluster.wait(
            lambda: (
                self.http.get(f"/v1/jobs/{job_id}").json()["status"] not in {"queued", "processing"}
            )
        )
        return dict(self.http.get(f"/v1/jobs/{job_id}").json())


@contextmanager
def serving(cluster: Cluster, **synth: Any) -> Iterator[Service]:
    port = free_port()
    cluster.start("synth", **synth)
    gateway = cluster.start("gateway", port=port)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:

        def ready() -> bool:
            try:
                return http.get("/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        cluster.wait(ready, 90)
        assert gateway.process is not None
        with openai.OpenAI(
            base_url=f"{url}/v1",
            api_key="unused",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        ) as client:
            yield Service(cluster, client, http, url, gateway.process.pid)


def lasts_s(data: bytes, audio_format: AudioFormat = AudioFormat.MP3) -> float:
    return decoded(audio_format, data).size / 24_000


def test_the_sync_client_speaks_and_writes_files(cluster: Cluster, tmp_path: Path) -> None:
    with serving(cluster) as service:
        speech = service.client.audio.speech
        whole = speech.create(model="tts-1", voice="alloy", input=TEXT)
        (job,) = service.jobs()
        audio_s = service.ended(job["id"])["output"]["audio_s"]
        assert lasts_s(whole.content) == pytest.approx(audio_s, abs=0.2)
        for audio_format in ("wav", "flac", "opus", "aac", "pcm"):
            with speech.with_streaming_response.create(
                model="kokoro",
                voice="af_bella(2)+af_sky(1)",
                input=TEXT,
                response_format=audio_format,
            ) as answer:
                path = tmp_path / f"speech.{audio_format}"
                answer.stream_to_file(path)
            heard_s = lasts_s(path.read_bytes(), AudioFormat(audio_format))
            assert heard_s == pytest.approx(audio_s, abs=0.2), audio_format
        models = [model.id for model in service.client.models.list()]
        assert {"kokoro", "tts-1", "scripted"} <= set(models)
        assert service.client.models.retrieve("tts-1-hd").owned_by == "scripted"


def test_the_async_client_hears_the_beginning_before_the_end_is_made(cluster: Cluster) -> None:
    async def listen(service: Service) -> tuple[float, float, bytes]:
        began = time.monotonic()
        data, first_s = b"", 0.0
        async with (
            openai.AsyncOpenAI(
                base_url=f"{service.url}/v1",
                api_key="unused",
                http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
            ) as client,
            client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="nova", input="\n\n".join([TEXT + f" {n}." for n in range(4)])
            ) as answer,
        ):
            async for chunk in answer.iter_bytes():
                first_s = first_s or time.monotonic() - began
                data += chunk
        return first_s, time.monotonic() - began, data

    with serving(cluster, model=SLOW, batch_max=1) as service:
        service.client.audio.speech.create(model="tts-1", voice="nova", input="Wake up.")
        first_s, whole_s, data = asyncio.run(listen(service))
        assert first_s < whole_s / 2
        job = service.ended(service.jobs()[0]["id"])
        assert job["progress"]["segments_total"] >= 5
        assert lasts_s(data) == pytest.approx(job["output"]["audio_s"], abs=0.2)


def test_phonemes_are_told_and_spoken(cluster: Cluster) -> None:
    with serving(cluster) as service:
        told = service.http.post("/dev/phonemize", json={"text": "Hello there.", "language": "a"})
        phonemes = told.json()["phonemes"]
        assert phonemes.startswith("həl")
        assert len(told.json()["tokens"]) == len(phonemes)
        spoken = service.http.post(
            "/dev/generate_from_phonemes", json={"phonemes": phonemes, "voice": "af_heart"}
        )
        assert spoken.headers["content-type"] == "audio/wav"
        # The scripted engine's tones last 70 ms a phoneme.
        heard_s = lasts_s(spoken.content, AudioFormat.WAV)
        assert heard_s == pytest.approx(0.07 * len(phonemes), abs=0.1)
        for bad in ({"phonemes": "a" * 511}, {"phonemes": "a)b"}, {"phonemes": ""}, {}):
            assert service.http.post("/dev/generate_from_phonemes", json=bad).status_code == 422
        for wrong in ({"text": ""}, {"text": "a" * 20_001}, {"text": "Hi", "language": "q"}):
            assert service.http.post("/dev/phonemize", json=wrong).status_code == 422


def test_a_client_that_hangs_up_cancels_its_job(cluster: Cluster) -> None:
    with serving(cluster, model=SLOW, batch_max=1) as service:
        with service.client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="\n\n".join([TEXT + f" {n}." for n in range(40)])
        ) as answer:
            next(answer.iter_bytes(1000))
        (job,) = service.jobs()
        assert service.ended(job["id"])["status"] == "canceled"


def test_a_segment_that_fails_on_the_way_breaks_the_stream(cluster: Cluster) -> None:
    # Seconds of rendering lie between the first sound and the fault.
    said = [f"{TEXT} {n}." for n in range(12)]
    text = "\n\n".join([*said, "And then KC-FAULT-RAISE came to pass."])
    with serving(cluster, model=SLOW, batch_max=1, attempts_max=2) as service:
        data = b""
        with (
            pytest.raises(Exception, match=r"closed|incomplete|peer"),
            service.client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="alloy", input=text, response_format="pcm"
            ) as answer,
        ):
            for chunk in answer.iter_bytes():
                data += chunk
        assert data, "it broke before it began"
        assert service.ended(service.jobs()[0]["id"])["status"] == "failed"


def test_what_fails_before_the_first_sound_is_an_error_of_the_client(cluster: Cluster) -> None:
    with serving(cluster, attempts_max=1) as service:
        with pytest.raises(openai.InternalServerError) as failed:
            service.client.audio.speech.create(
                model="tts-1", voice="alloy", input="KC-FAULT-RAISE at once."
            )
        assert failed.value.code == "speech_failed"
        with pytest.raises(openai.UnprocessableEntityError) as unknown:
            service.client.audio.speech.create(model="tts-1", voice="nobody", input=TEXT)
        assert unknown.value.code == "unknown_voice"


def test_an_encoder_that_is_killed_is_not_heard(cluster: Cluster) -> None:
    wish: dict[str, Any] = {
        "model": "tts-1",
        "voice": "alloy",
        "input": "\n\n".join([TEXT + f" {n}." for n in range(6)]),
    }
    with serving(cluster, model=SLOW, batch_max=1) as service:
        speech = service.client.audio.speech
        data = b""
        killed: set[int] = set()
        with speech.with_streaming_response.create(**wish) as answer:
            for chunk in answer.iter_bytes():
                data += chunk
                if len(killed) < 3 and len(data) > 60_000 * len(killed):
                    for pid in encoder_pids(service.gateway_pid):
                        killed.add(pid)
                        kill(pid)
        assert len(killed) >= 2
        assert data == speech.create(**wish).content


def test_fifty_at_once_each_end_with_their_own_last_segment(cluster: Cluster) -> None:
    with serving(cluster, model="scripted:sleep_s=0.1") as service:
        long = "\n\n".join([f"{TEXT} {TEXT} {TEXT} Number {n}." for n in range(120)])
        ended: dict[int, float] = {}
        begun = threading.Event()

        def speak(n: int) -> bytes:
            text = long if n == 0 else f"{TEXT} I am number {n}."
            data = b""
            with service.client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="alloy", input=text
            ) as answer:
                for chunk in answer.iter_bytes():
                    begun.set()
                    data += chunk
            ended[n] = time.monotonic()
            return data

        with ThreadPoolExecutor(50) as pool:
            first = pool.submit(speak, 0)
            begun.wait(60)
            heard = list(pool.map(speak, range(1, 50)))
            first.result()
        assert max(ended, key=lambda n: ended[n]) == 0, "nobody waited for the long one"
        for data in heard:
            assert lasts_s(data) > 5
        assert len(service.jobs()) == 50
        assert len(encoder_pids(service.gateway_pid)) == 1
