"""One segment of a finished job said anew, through the API and real workers."""

import io
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from shared.steps import Step
from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster
from worker.engines.checkpoint import write_checkpoint

PARAGRAPHS = (
    "[chapter:One]The first of all sentences.",
    "It was a dark and stromy night.[pause:0.7s]",
    "Nobody was there.",
    "[chapter:Two]The second chapter has [voice:am_adam]another voice.",
    "And this is the end of it.",
)
BOOK = "\n\n".join(PARAGRAPHS)
NEW = "It was a dark and stormy night. So it was indeed.\n\nAnd it [rained](/ɹˈAnd/) all the time."


class Api:
    """A gateway in front of a cluster's workers."""

    def __init__(self, cluster: Cluster, http: httpx.Client) -> None:
        self.cluster = cluster
        self.http = http

    def job(self, job_id: str, **query: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/jobs/{job_id}", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        open_ones = ("queued", "processing")
        self.cluster.wait(lambda: self.job(job["id"])["status"] not in open_ones, 90)
        return self.job(job["id"], include="segments")

    def make(self, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json=fields)
        assert answer.status_code == 202, answer.text
        job = self.ended(answer.json())
        assert job["status"] == "succeeded", job["error"]
        return job

    def ask(self, job: dict[str, Any], index: int, text: str, **fields: Any) -> httpx.Response:
        url = f"/v1/jobs/{job['id']}/segments/{index}/redo"
        return self.http.post(url, json={"input": text, **fields})

    def redo(self, job: dict[str, Any], index: int, text: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask(job, index, text, **fields)
        assert answer.status_code == 202, answer.text
        new = self.ended(answer.json())
        assert new["status"] == "succeeded", new["error"]
        return new

    def audio(self, job: dict[str, Any], name: str = "wav", **query: str) -> bytes:
        answer = self.http.get(
            f"/v1/jobs/{job['id']}/audio", params={"format": name, **query}, follow_redirects=True
        )
        assert answer.status_code == 200, answer.text
        return answer.content

    def samples(self, job: dict[str, Any], **query: str) -> NDArray[np.int16]:
        found, rate = soundfile.read(io.BytesIO(self.audio(job, **query)), dtype="int16")
        assert rate == 24_000
        return np.asarray(found)

    def captions(self, job: dict[str, Any], name: str = "json") -> str:
        answer = self.http.get(f"/v1/jobs/{job['id']}/captions.{name}")
        assert answer.status_code == 200, answer.text
        return answer.text


@contextmanager
def serving(cluster: Cluster) -> Iterator[Api]:
    port = free_port()
    cluster.start("gateway", port=port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:

        def ready() -> bool:
            try:
                return http.get("/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        cluster.wait(ready, 60)
        yield Api(cluster, http)


@pytest.fixture
def api(cluster: Cluster) -> Iterator[Api]:
    """A gateway, and a synth worker that speaks."""
    cluster.start("synth")
    cluster.engine()
    with serving(cluster) as api:
        yield api


def place(job: dict[str, Any], text: str, source: str = BOOK) -> int:
    """Return the index of the segment that says what is found in the input as `text`."""
    at = source.index(text)
    (found,) = (
        segment["index"]
        for segment in job["segments"]
        if not segment["pause"] and segment["text"]["start"] <= at < segment["text"]["end"]
    )
    return int(found)


def cut(job: dict[str, Any], first: int, stop: int) -> slice:
    """Return where segments lie in the samples of the whole."""
    segments = job["segments"]
    start = segments[first]["start_s"] if first < len(segments) else segments[-1]["end_s"]
    end = segments[stop - 1]["end_s"]
    return slice(round(start * 24_000), round(end * 24_000))


def exact_cuts(cluster: Cluster, job: dict[str, Any]) -> list[int]:
    """Return where each segment begins, in samples, and where the last one ends."""
    records = cluster.ledger.worker().segments(job["id"], 0, len(job["segments"]))
    return [0, *itertools.accumulate(record.samples or 0 for record in records)]


def test_one_sentence_is_said_anew_and_all_else_is_as_it_was(api: Api) -> None:
    old = api.make(
        input=BOOK,
        outputs=["wav", "m4b", "srt", "vtt", "words"],
        title="A book",
        author="Somebody",
        split="chapters",
    )
    index = place(old, "stromy")
    before = api.job(old["id"], include="segments")
    old_audio = api.samples(old)
    new = api.redo(old, index, NEW, metadata={"a": "b"}, custom_id="again")
    assert new["redo_of"] == {"job": old["id"], "segment": index}
    assert old["redo_of"] is None
    assert (new["metadata"], new["custom_id"]) == ({"a": "b"}, "again")

    # The old job is as it was.
    assert api.job(old["id"], include="segments") == before
    assert np.array_equal(api.samples(old), old_audio)

    # Two paragraphs take the place of one segment; nothing else was rendered.
    assert len(new["segments"]) == len(old["segments"]) + 1
    rendered = [segment["index"] for segment in new["segments"] if segment["attempts"]]
    assert rendered == [index, index + 1]
    assert new["progress"]["segments_reused"] == sum(not s["pause"] for s in old["segments"]) - 1
    one, two = exact_cuts(api.cluster, old), exact_cuts(api.cluster, new)
    audio = api.samples(new)
    assert audio.size == two[-1]
    assert np.array_equal(audio[: two[index]], old_audio[: one[index]])
    assert np.array_equal(audio[two[index + 2] :], old_audio[one[index + 1] :])
    assert not np.array_equal(audio[two[index] :][:9600], old_audio[one[index] :][:9600])

    # Its text is the old one with the new in the segment's place.
    span = old["segments"][index]["text"]
    text = BOOK[: span["start"]] + NEW + BOOK[span["end"] :]
    words = json.loads(api.captions(new))
    assert [w["word"] for w in words["words"] if w["segment"] in rendered][-3:] == [
        *("all", "the", "time")
    ]
    for row in words["words"]:
        assert row["word"] in text[row["span"]["start"] : row["span"]["end"]]
    check_captions(words, audio.size / 24_000)
    kept = json.loads(api.captions(old))["words"]
    shift_s = (two[index + 2] - one[index + 1]) / 24_000
    tail = [w for w in kept if w["segment"] > index]
    moved = words["words"][-len(tail) :]
    for was, now in zip(tail, moved, strict=True):
        assert now["word"] == was["word"]
        assert now["segment"] == was["segment"] + 1
        assert now["start_s"] == pytest.approx(was["start_s"] + shift_s, abs=1e-3)
    assert "stormy" in api.captions(new, "srt")
    assert "stormy" in api.captions(new, "vtt")
    assert "stromy" not in api.captions(new, "srt")

    # Chapters begin where they are heard.
    assert [c["title"] for c in new["chapters"]] == [c["title"] for c in old["chapters"]]
    starts = [[c["start_s"] for c in job["chapters"]] for job in (old, new)]
    assert starts[1][0] == starts[0][0] == 0
    assert starts[1][1] == pytest.approx(starts[0][1] + shift_s, abs=2e-3)
    with av.open(io.BytesIO(api.audio(new, "m4b"))) as book:
        marks = [float(c["start"] * (c["time_base"] or 0)) for c in book.chapters()]
        assert book.metadata["title"] == "A book"
    assert marks == pytest.approx(starts[1], abs=0.002)
    parts = [api.samples(new, chapter=number) for number in ("1", "2")]
    assert np.array_equal(np.concatenate(parts), audio)
    assert np.array_equal(parts[1], api.samples(old, chapter="2"))


def check_captions(words: dict[str, Any], audio_s: float) -> None:
    assert words["audio_s"] == pytest.approx(audio_s, abs=1e-3)
    starts = [row["start_s"] for row in words["words"]]
    assert starts == sorted(starts)
    last = words["words"][-1]
    assert audio_s - 1 < last["end_s"] <= audio_s + 1e-3
    assert [row["segment"] for row in words["words"]] == sorted(
        row["segment"] for row in words["words"]
    )


def test_any_segment_can_be_redone_again_and_again(api: Api) -> None:
    job = api.make(input=BOOK, outputs=["wav", "words"], speed=1.1)
    text = BOOK
    for sought, new in (
        ("The first of", "This is first."),
        ("dark and stromy", "A dark night. [pause:0.4s] A very dark one."),
        ("the end of it", "So it ends."),
        ("A very dark", "It was very, very dark."),
        ("So it ends", "And so it ends, in truth."),
    ):
        index = place(job, sought, text)
        span = job["segments"][index]["text"]
        old, old_cuts = api.samples(job), exact_cuts(api.cluster, job)
        redone = api.redo(job, index, new)
        grown = len(redone["segments"]) - len(job["segments"]) + 1
        audio, cuts = api.samples(redone), exact_cuts(api.cluster, redone)
        assert np.array_equal(audio[: cuts[index]], old[: old_cuts[index]])
        assert np.array_equal(audio[cuts[index + grown] :], old[old_cuts[index + 1] :])
        text = text[: span["start"]] + new + text[span["end"] :]
        job = redone
        words = json.loads(api.captions(job))
        check_captions(words, audio.size / 24_000)
        for row in words["words"]:
            assert text[row["span"]["start"] : row["span"]["end"]] == row["word"]
    # It is the same audio as if all had been said at once, and none of it is rendered again.
    whole = api.make(input=text, outputs=["wav", "words"], speed=1.1)
    assert [s["text"] for s in whole["segments"]] == [s["text"] for s in job["segments"]]
    assert np.array_equal(api.samples(whole), api.samples(job))
    assert whole["progress"]["segments_reused"] == sum(not s["pause"] for s in whole["segments"])


def hashes(api: Api, job: dict[str, Any]) -> list[str | None]:
    """Return under what the audio of each segment is stored; None for a pause."""
    records = api.cluster.ledger.worker().segments(job["id"], 0, len(job["segments"]))
    return [record.key and record.key.split("/")[2] for record in records]


def test_what_is_left_out_is_as_it_was_for_the_segment(api: Api) -> None:
    words = {"entries": [{"word": "SQL", "respelling": "sequel"}]}
    assert api.http.put("/v1/lexicons/words", json=words).status_code == 200
    asked: dict[str, Any] = {
        "speed": 1.5,
        "language": "en-gb",
        "normalize": False,
        "lexicons": ["words"],
        "response_format": "wav",
    }
    text = "Nothing of it.\n\n[voice:am_adam]Speak SQL.\n\nSpeak it at 3:30."
    job = api.make(input=text, **asked)
    # Said as the same texts are in jobs of their own.
    alone = api.make(input="Adam has more SQL.", **{**asked, "voice": "am_adam"})
    new = api.redo(job, 1, "Adam has more SQL.")
    assert new["lexicons"] == ["words@1"]
    assert hashes(api, new)[1] == hashes(api, alone)[0]
    # Given, they hold for that segment, also when it is redone again; not for the others.
    given = {"speed": 0.8, "voice": "bf_emma", "normalize": True, "lexicons": []}
    other = api.redo(new, 1, "Emma has SQL at 3:30.", **given)
    assert other["lexicons"] == []
    emma = api.make(input="Emma speaks.", **{**asked, **given})
    assert hashes(api, api.redo(other, 1, "Emma speaks."))[1] == hashes(api, emma)[0]
    last = api.make(input="SQL at 3:30.", **asked)
    redone = api.redo(other, 2, "[voice:af_heart]SQL at 3:30.")
    assert redone["lexicons"] == ["words@1"]
    assert hashes(api, api.redo(redone, 0, "SQL at 3:30."))[0] == hashes(api, last)[0]


def test_a_voice_that_speaks_its_own_language_goes_on_to(api: Api) -> None:
    job = api.make(input="Hello.\n\n[voice:if_sara]Ciao amico.", response_format="wav")
    french = api.make(input="Bonsoir.", voice="ff_siwis", response_format="wav")
    new = api.redo(job, 0, "Bonsoir.", voice="ff_siwis")
    assert hashes(api, new)[0] == hashes(api, french)[0]
    italian = api.make(input="Buona sera.", voice="if_sara", response_format="wav")
    assert hashes(api, api.redo(job, 1, "Buona sera."))[1] == hashes(api, italian)[0]
    spoken = api.redo(job, 0, "Ciao.[voice:if_sara]Buona sera.")
    assert hashes(api, spoken)[1] == hashes(api, italian)[0]


def test_a_text_that_cant_be_pronounced_fails_the_new_job_and_by_name(api: Api) -> None:
    job = api.make(input="One.\n\nTwo.\n\nThree.", response_format="wav", language="en-us")
    answer = api.ask(job, 1, "ᚠᛇᚻ")
    assert answer.status_code == 202
    new = api.ended(answer.json())
    assert (new["status"], new["error"]["code"]) == ("failed", "nothing_to_speak")
    assert api.cluster.client.keys(f"kc:job:{new['id']}:source*") == []
    assert api.job(job["id"])["status"] == "succeeded"


def test_the_other_job_may_be_deleted_once_the_new_one_is_accepted(cluster: Cluster) -> None:
    cluster.start("synth", model="scripted:sleep_s=0.5")
    cluster.engine()
    with serving(cluster) as api:
        job = api.make(input=BOOK, outputs=["wav", "words"])
        audio, cuts = api.samples(job), exact_cuts(cluster, job)
        index = place(job, "stromy")
        new = api.ask(job, index, "It was a dark and stormy night.").json()
        assert api.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
        cluster.wait(lambda: not list(cluster.storage.list(f"jobs/{job['id']}")))
        new = api.ended(new)
        assert new["status"] == "succeeded", new["error"]
        assert np.array_equal(api.samples(new)[: cuts[index]], audio[: cuts[index]])
        assert new["redo_of"]["job"] == job["id"]
        # And the audio of both is swept in the end.
        assert api.http.delete(f"/v1/jobs/{new['id']}").status_code == 204
        cluster.wait(lambda: not list(cluster.storage.list(f"jobs/{new['id']}")))
        assert cluster.client.keys("kc:job:*") == []


def stop_planner(base: Cluster) -> None:
    """Stop the planner that all tests share."""
    for member in base.group.members:
        if member.name == "plan.0" and member.process is not None:
            member.process.terminate()
            member.process.wait(30)


@pytest.mark.parametrize("step", [Step.PLAN_CLAIMED, Step.PLAN_SPLIT, Step.PLAN_RECORDED])
def test_a_planner_that_is_killed_on_the_way_changes_nothing(
    cluster: Cluster, base: Cluster, step: Step
) -> None:
    cluster.start("synth")
    cluster.engine()
    text = "\n\n".join(f"Paragraph number {n} says something of its own." for n in range(1200))
    with serving(cluster) as api:
        job = api.make(input=text, outputs=["wav", "words"])
        audio, cuts = api.samples(job), exact_cuts(cluster, job)
        log = cluster.folder / f"events-{step}.jsonl"
        stop_planner(base)
        cluster.start("plan", "dying", crash_at=step, event_log=log)
        try:
            new = api.redo(job, 600, "This is new.")
        finally:
            base.start("plan")
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert [event["at"] for event in events if event["event"] == "cut"] == [step]
        redone = api.samples(new)
        assert np.array_equal(redone[: cuts[600]], audio[: cuts[600]])
        assert np.array_equal(redone[cuts[601] - audio.size :], audio[cuts[601] :])
        assert [s["index"] for s in new["segments"] if s["attempts"]] == [600]
        assert new["progress"]["segments_reused"] == 1199
        check_captions(json.loads(api.captions(new)), redone.size / 24_000)


@pytest.mark.slow
def test_words_are_timed_by_kokoro_as_exactly_as_before(cluster: Cluster, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "tiny", size="tiny")
    cluster.start("synth", engine="kokoro", model=str(tmp_path / "tiny"))
    cluster.engine()
    with serving(cluster) as api:
        job = api.make(input=BOOK, outputs=["wav", "words"], voice="af_heart")
        index = place(job, "stromy")
        new = api.redo(job, index, NEW)
        words = json.loads(api.captions(new))
        assert words["exact"] is True
        span = job["segments"][index]["text"]
        text = BOOK[: span["start"]] + NEW + BOOK[span["end"] :]
        whole = api.make(input=text, outputs=["wav", "words"], voice="af_heart")
        assert json.loads(api.captions(whole)) == words
        assert np.array_equal(api.samples(whole), api.samples(new))
