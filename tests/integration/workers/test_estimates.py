"""`/v1/estimate` with a real gateway and real workers."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.ledger.states import JobStatus
from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster

PARAGRAPH = "The harbour lay quiet under a thin layer of fog, and nobody spoke of number {}."


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    port = free_port()
    cluster.start("synth", model="scripted:sleep_per_audio_s=0.002")
    cluster.start("gateway", port=port)
    cluster.engine()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

        def lives() -> bool:
            try:
                return client.get("/health/live").is_success
            except httpx.TransportError:
                return False

        cluster.wait(lives)
        yield client


def ask(http: httpx.Client, text: str, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/estimate", json={"input": text, "response_format": "wav", **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_an_estimate_is_what_then_comes_of_the_job(cluster: Cluster, http: httpx.Client) -> None:
    first = ask(http, "Hello there.")
    assert first["wait_s"] is None, "nothing was rendered yet"
    assert first["audio_s"] > 0
    assert not cluster.client.keys("kc:job*"), "nothing is left of it"

    def speak(text: str) -> dict[str, Any]:
        body = {"input": text, "response_format": "wav"}
        job = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"}).json()
        assert job["status"] == JobStatus.SUCCEEDED, job
        return dict(job)

    speak("\n\n".join(PARAGRAPH.format(-n) for n in range(1, 20)))
    text = "\n\n".join(PARAGRAPH.format(n) for n in range(700))
    expected = ask(http, text)
    assert expected["sampled"]
    began = time.monotonic()
    job = speak(text)
    took_s = time.monotonic() - began
    assert expected["segments"] == pytest.approx(job["progress"]["segments_total"], rel=0.05)
    assert expected["audio_s"] == pytest.approx(job["progress"]["audio_s"], rel=0.1)
    assert expected["wait_s"] == pytest.approx(took_s, rel=0.6)


def test_words_and_problems_are_told_of(http: httpx.Client) -> None:
    said = ask(http, "The blorfing said 你好.")
    assert {"word": "blorfing", "phonemes": "blˈɔɹfɪŋ"} in said["oov"]
    assert {"word": "你好", "phonemes": None} in said["oov"]
    assert not said["sampled"]
    unspeakable = ask(http, "你好")
    codes = {problem["code"] for problem in unspeakable["problems"]}
    assert codes >= {"unspeakable_text", "nothing_to_speak"}
    refused = http.post("/v1/estimate", json={"input": "Hello.", "voice": "af_hart"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown_voice")
