"""`/v1/estimate` with a real gateway and real workers."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.formats import AudioFormat
from shared.ledger.encoding import LOUDNESS
from shared.ledger.scripts import text as shown
from shared.ledger.states import TERMINAL, JobStatus
from tests.books import Book
from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_way import wav_spec

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
    # What the gateway knows of the cluster's pace is some seconds old.
    cluster.wait(lambda: ask(http, text)["wait_s"] is not None)
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


def spoken(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    """Submit a job and return it once it has succeeded."""
    answer = http.post(
        "/v1/jobs", json={"response_format": "wav", **fields}, headers={"Prefer": "wait=60"}
    )
    job = dict(answer.json())
    assert job["status"] == JobStatus.SUCCEEDED, job
    return job


def expected(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/estimate", json={"response_format": "wav", **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def segments_and_audio(found: dict[str, Any]) -> tuple[int, Any]:
    return found["segments"], pytest.approx(found["audio_s"], abs=0.2, rel=0.02)


def test_what_changes_a_job_changes_its_estimate(http: httpx.Client) -> None:
    # Measured first: the scripted engine's pace is not the prior's.
    spoken(http, input="\n\n".join(PARAGRAPH.format(-n) for n in range(1, 20)))
    entries = [{"word": "blorfing", "respelling": "walking slowly all along the harbour"}]
    assert http.put("/v1/lexicons/words", json={"entries": entries}).status_code == 200
    text = "The blorfing began at 3:30 on 1/2/2024, see chapter XIV."
    wishes: list[dict[str, Any]] = [
        {"input": text},
        {"input": text, "normalize": False},
        {"input": text, "lexicons": ["words"]},
        {"input": text, "speed": 2.0},
        {
            "segments": [
                {"input": "Good morning to all of you."},
                {"input": "Buongiorno a tutti.[pause:2s]Ciao!", "voice": "if_sara"},
            ]
        },
        {
            "chapters": [
                {"title": "One", "input": "It begins here."},
                {"title": "Two", "input": "[voice:am_adam]And it ends there."},
            ],
            "chapter_pause_s": 3,
        },
    ]
    seen = []
    for wish in wishes:
        before, job = expected(http, **wish), spoken(http, **wish)
        progress = job["progress"]
        assert (progress["segments_total"], progress["audio_s"]) == segments_and_audio(before), wish
        assert before["chapters"] == len(job["chapters"])
        assert before["lexicons"] == job["lexicons"]
        assert before["input_chars"] == job["input_chars"]
        seen.append(before["audio_s"])
    assert len(set(seen)) == len(wishes), "each of them is a change"
    oov = [[row["word"] for row in expected(http, **wish)["oov"]] for wish in wishes[:3]]
    assert "blorfing" in oov[0]
    assert "blorfing" not in oov[2], "the lexicon says it"


def test_a_long_book_of_several_voices_is_sampled_with_its_pauses_exact(http: httpx.Client) -> None:
    spoken(http, input="\n\n".join(PARAGRAPH.format(-n) for n in range(1, 20)))
    voices = ("am_adam", "bf_emma", "af_heart")
    chapters = [
        {
            "title": f"Chapter {n}",
            "input": "\n\n".join(
                f"[voice:{voices[k % 3]}]{PARAGRAPH.format(100 * n + k)}" for k in range(20)
            )
            + "[pause:5s]",
        }
        for n in range(30)
    ]
    wish = {"chapters": chapters, "chapter_pause_s": 2}
    before, job = expected(http, **wish), spoken(http, **wish)
    assert before["sampled"]
    assert before["chapters"] == 30
    assert before["segments"] == pytest.approx(job["progress"]["segments_total"], rel=0.05)
    assert before["audio_s"] == pytest.approx(job["progress"]["audio_s"], rel=0.05)


def test_a_document_is_estimated_as_it_would_be_spoken(http: httpx.Client) -> None:
    book = Book(
        {
            "one.xhtml": "<h1>The First</h1><p>It begins at 3:30.</p>",
            "two.xhtml": "<h1>The Second</h1><p>It ends, 你好.</p>",
        },
        nav=[("one.xhtml", "First"), ("two.xhtml", "Second")],
        language="fr",
    ).to_bytes()
    files = {"file": ("book.epub", book)}
    fields = {"voice": "af_heart", "response_format": "m4b"}
    answer = http.post("/v1/estimate", files=files, data=fields)
    assert answer.status_code == 200, answer.text
    before = answer.json()
    job = http.post("/v1/jobs", files=files, data=fields, headers={"Prefer": "wait=60"}).json()
    assert job["status"] == JobStatus.SUCCEEDED, job
    assert before["segments"] == job["progress"]["segments_total"]
    assert (before["title"], before["author"]) == (job["title"], job["author"])
    assert before["chapters"] == 2
    told = {(problem["code"], problem["param"]) for problem in before["problems"]}
    assert ("document_language", "file") in told
    assert {"word": "你好", "phonemes": None} in before["oov"]
    broken = http.post("/v1/estimate", files={"file": ("book.epub", book[:300])})
    assert (broken.status_code, broken.json()["error"]["param"]) == (422, "file")


@pytest.mark.parametrize(
    ("wish", "code", "param"),
    [
        ({"lexicons": ["none"]}, "unknown_lexicon", "lexicons"),
        ({"input": "", "chapters": [{"title": "a", "input": "[pause:x]"}]}, None, "chapters"),
        ({"input": "", "segments": [{"input": "a", "voice": "af_hart"}]}, None, "segments"),
        ({"language": "xx"}, None, "language"),
        ({"nonsense": 1}, None, "nonsense"),
        ({"ttl_s": 10**9}, None, "ttl_s"),
        ({"split": "chapters"}, None, "split"),
    ],
)
def test_what_a_job_would_be_refused_for_an_estimate_is_too(
    http: httpx.Client, wish: dict[str, Any], code: str | None, param: str
) -> None:
    body = {key: value for key, value in {"input": "Hello.", **wish}.items() if value != ""}
    estimated, submitted = (http.post(path, json=body) for path in ("/v1/estimate", "/v1/jobs"))
    assert estimated.status_code == submitted.status_code == 422
    assert estimated.json() == submitted.json()
    error = estimated.json()["error"]
    assert error["param"].startswith(param)
    assert code in (None, error["code"])


def test_an_encoding_tells_how_far_it_is_and_what_each_encoder_took(cluster: Cluster) -> None:
    cluster.start("synth")
    cluster.engine()
    text = "\n\n".join(PARAGRAPH.format(-n) for n in range(1000, 1120))
    outputs = (AudioFormat.M4B, AudioFormat.MP3, AudioFormat.WAV)
    uid = cluster.submit(text, spec=wav_spec(outputs=outputs, loudness_lufs=-18.0))
    told: list[float] = []

    def ended() -> bool:
        job = cluster.ledger.job(uid)
        if job.stage == "assemble" and job.pace.encoded > 0:
            told.append(job.pace.encoded)
        return job.status in TERMINAL

    cluster.wait(ended, 120)
    job = cluster.ledger.job(uid)
    assert job.status is JobStatus.SUCCEEDED
    assert told, "it took longer than two seconds"
    assert told == sorted(told)
    assert told[-1] <= 1
    measured = {
        shown(name): float(value) for name, value in cluster.client.hgetall("kc:encode").items()
    }
    for name in (*outputs, LOUDNESS):
        assert measured[f"{name}.audio_s"] == pytest.approx(job.audio_s, rel=0.01)
        assert measured[f"{name}.cpu_s"] > 0
    assert measured["m4b.cpu_s"] > measured["mp3.cpu_s"] > 10 * measured["wav.cpu_s"]
    assert measured["wall_s"] <= job.encode_s
