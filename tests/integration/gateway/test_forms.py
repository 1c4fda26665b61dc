"""Texts with several voices and chapters, as they are accepted."""

import json
from typing import Any

import pytest

from shared.languages import Language
from shared.ledger.records import JobSpec
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
        *("voice", "language", "speed", "outputs", "model", "metadata"),
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
