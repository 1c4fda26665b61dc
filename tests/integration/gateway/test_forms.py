"""Texts with several voices and chapters, as they are accepted."""

import json
from typing import Any

import pytest

from gateway.schemas import Job
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.records import ChapterRecord, JobSpec, OutputFile
from shared.ledger.scripts import text as as_text
from shared.manifest import EngineStamp
from tests.integration.gateway.conftest import Cluster


def accepted(cluster: Cluster, **fields: Any) -> tuple[str, JobSpec, EngineStamp]:
    """Submit; return what was recorded: text, spec and stamp."""
    answer = cluster.http.post("/v1/jobs", json=fields)
    assert answer.status_code == 202, answer.text
    uid = answer.json()["id"]
    spec, engine = kept(cluster, uid)
    text = as_text(cluster.redis.get(f"kc:job:{uid}:input"))
    assert answer.json()["input_chars"] == len(text)
    return text, JobSpec.from_json(spec), EngineStamp.from_json(engine)


def kept(cluster: Cluster, uid: str) -> list[str]:
    """Return a job's spec and its stamp, as they are written."""
    return [as_text(row) for row in cluster.redis.hmget(f"kc:job:{uid}", ["spec", "engine"])]


def test_the_stamp_covers_every_voice_of_the_text(cluster: Cluster) -> None:
    text = "Hi.[voice:af_bella]Ho.[voice:af_heart(2)+af_bella]Hey.[voice:af_bella]Ha."
    recorded, spec, stamp = accepted(cluster, input=text)
    assert recorded == text
    assert list(stamp.voices) == ["af_bella", "af_heart(2)+af_bella"]
    assert len({stamp.voice, *stamp.voices.values()}) == 3
    assert spec.follow_voice
    bella = accepted(cluster, input="Ho.", voice="af_bella")[2]
    assert stamp.voices["af_bella"] == bella.voice


def test_a_job_without_marks_is_recorded_as_ever(cluster: Cluster) -> None:
    answer = cluster.submit("Hello.")
    spec, engine = kept(cluster, answer["id"])
    assert set(json.loads(spec)) == {
        *("voice", "language", "speed", "outputs", "model", "metadata", "normalize"),
    }
    assert set(json.loads(engine)) == {"fingerprint", "voice", "uses_text"}


def test_segments_and_chapters_are_recorded_as_one_text(cluster: Cluster) -> None:
    text, _, stamp = accepted(
        cluster, segments=[{"input": "Hi."}, {"voice": "bm_george", "input": "Ho."}]
    )
    assert text == "[voice:af_heart]Hi.\n\n[voice:bm_george]Ho."
    assert set(stamp.voices) == {"af_heart", "bm_george"}
    text, spec, _ = accepted(cluster, chapters=[{"title": "Eins", "input": "Hi."}])
    assert text == "[chapter:Eins]\n\nHi."
    assert (spec.chapter_pause_s, spec.follow_voice) == (1.0, False)


def test_a_language_that_was_chosen_stays_whoever_speaks(cluster: Cluster) -> None:
    _, spec, _ = accepted(cluster, input="[voice:bm_george]Hi.", language="en-us")
    assert (spec.language, spec.follow_voice) == (Language.AMERICAN_ENGLISH, False)


@pytest.mark.parametrize(
    ("fields", "code", "param", "says"),
    [
        ({"input": "Hi.[voice:af_hart]Ho."}, "unknown_voice", "input", "af_hart"),
        (
            {"segments": [{"voice": "af_hart", "input": "Hi."}]},
            "unknown_voice",
            "segments",
            "af_hart",
        ),
        ({"input": "Hi.[voice:custom]Ho."}, "unknown_language", "language", "custom"),
        ({"input": "Hi.[voice:af_bella"}, "invalid_markup", "input", "character 3"),
        ({"input": "Hi.[chapter:]"}, "invalid_markup", "input", "character 3"),
        ({"chapters": [{"title": "A", "input": "…"}]}, "nothing_to_speak", "chapters", "no letter"),
    ],
)
def test_a_bad_mark_is_refused_at_submission(
    cluster: Cluster, fields: dict[str, Any], code: str, param: str, says: str
) -> None:
    error = cluster.refused(fields)
    assert (error["code"], error["param"]) == (code, param)
    assert says in error["message"]


def test_a_voice_without_a_language_of_its_own_speaks_the_one_that_was_chosen(
    cluster: Cluster,
) -> None:
    accepted(cluster, input="Hi.[voice:custom]Ho.", language="en-us")


def test_as_many_parts_as_are_allowed_are_accepted(cluster: Cluster) -> None:
    chapters = [{"title": f"Chapter {n}", "input": "Text."} for n in range(2000)]
    answer = cluster.http.post(
        "/v1/jobs",
        content=json.dumps({"chapters": chapters}, indent=4),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 202, answer.text
    segments = [{"voice": "af_bella", "input": f"Text {n}."} for n in range(1000)]
    accepted(cluster, segments=segments)


def split_job(cluster: Cluster) -> str:
    """Let a job with two chapters succeed, its second one in a file of its own."""
    job = cluster.submit("[chapter:One]a[chapter:Zwei ü]b", split="chapters", title="T")
    cluster.plan(chapters=[ChapterRecord("One", 0), ChapterRecord("Zwei ü", 1)])
    cluster.render()
    worker = cluster.worker
    claim = worker.claim_assembly(long_most=1)
    assert claim is not None
    key = f"jobs/{claim.uid}/{claim.token}/"
    cluster.storage.put(key + "audio.mp3", b"whole")
    cluster.storage.put(key + "chapter-0002.mp3", b"second")
    mp3 = AudioFormat.MP3
    worker.finish_job(
        claim,
        [OutputFile(mp3, key + "audio.mp3", 5, 1.5, "0" * 64)],
        encode_s=0.1,
        chapters=[ChapterRecord("One", 0, 0, 24_000), ChapterRecord("Zwei ü", 1, 24_000, 36_000)],
        chapter_files=[OutputFile(mp3, key + "chapter-0002.mp3", 6, 0.5, "1" * 64, 2)],
        warnings=[{"code": "loudness_limited", "segment": None, "detail": "-20"}],
    )
    return str(job["id"])


def test_a_job_shows_its_chapters_and_their_files(cluster: Cluster) -> None:
    uid = split_job(cluster)
    job = cluster.http.get(f"/v1/jobs/{uid}").json()
    Job.model_validate(job)
    assert job["chapters"] == [
        {"title": "One", "start_s": 0, "end_s": 1},
        {"title": "Zwei ü", "start_s": 1, "end_s": 1.5},
    ]
    (other,) = job["output"]["others"]
    assert other["chapter"] == 2
    assert [warning["code"] for warning in job["warnings"]] == ["loudness_limited"]
    answer = cluster.http.get(other["url"])
    assert (answer.status_code, answer.content) == (200, b"second")
    assert f"{uid}-chapter-0002.mp3" in answer.headers["content-disposition"]
    assert cluster.http.get(job["output"]["url"]).content == b"whole"
    (listed,) = cluster.http.get("/v1/jobs").json()["data"]
    assert "chapters" not in listed
    assert listed["output"]["others"] == []


def test_chapters_are_shown_while_they_are_planned_and_placed_at_the_end(
    cluster: Cluster,
) -> None:
    job = cluster.submit("[chapter:One]a")
    assert job["chapters"] == []
    cluster.plan(chapters=[ChapterRecord("One", 0)])
    shown = cluster.http.get(f"/v1/jobs/{job['id']}").json()
    assert shown["chapters"] == [{"title": "One", "start_s": None, "end_s": None}]


def test_a_chapter_without_a_file_is_said_to_have_none(cluster: Cluster) -> None:
    uid = split_job(cluster)
    for wanted, says in (("1", "no file of chapter 1"), ("3", "has 2 chapters")):
        answer = cluster.http.get(f"/v1/jobs/{uid}/audio", params={"chapter": wanted})
        error = cluster.error(answer, 422)
        assert error["param"] == "chapter"
        assert says in error["message"]
    plain = cluster.succeed()
    answer = cluster.http.get(f"/v1/jobs/{plain['id']}/audio", params={"chapter": "1"})
    assert "not split" in cluster.error(answer, 422)["message"]
    answer = cluster.http.get(f"/v1/jobs/{uid}/audio", params={"chapter": "0"})
    assert cluster.error(answer, 422)["param"] == "chapter"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "Hi.", "split": "chapters"}, "split"),
        ({"input": "Hi.", "split": "pages"}, "split"),
        (
            {"input": "[chapter:a]b" * 1000, "split": "chapters", "outputs": ["mp3", "wav"]},
            "split",
        ),
        ({"input": "Hi.", "loudness_lufs": -4.9}, "loudness_lufs"),
        ({"input": "Hi.", "loudness_lufs": -41}, "loudness_lufs"),
        ({"input": "Hi.", "title": "a\nb"}, "title"),
        ({"input": "Hi.", "author": "a" * 201}, "author"),
        ({"input": "Hi.", "title": ""}, "title"),
    ],
)
def test_what_a_file_cant_be_made_like_is_refused(
    cluster: Cluster, fields: dict[str, Any], param: str
) -> None:
    assert cluster.refused(fields)["param"] == param


def test_what_files_are_to_say_and_be_like_is_recorded(cluster: Cluster) -> None:
    _, spec, _ = accepted(
        cluster,
        input="[chapter:a]Hi.",
        response_format="m4b",
        title="Ein Büch",
        author="Ich",
        split="chapters",
        loudness_lufs=-18,
    )
    assert (spec.title, spec.author, spec.split, spec.loudness_lufs) == (
        *("Ein Büch", "Ich", True),
        -18.0,
    )
    assert spec.outputs == (AudioFormat.M4B,)
