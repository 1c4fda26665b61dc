"""What is accepted and refused where one segment of a job is to be said anew."""

import json
import threading
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.redo_requests import MAX_REDO_CHARS
from gateway.schemas import Job
from shared.ledger.redo import Redo
from shared.ledger.scripts import text as as_text
from shared.ledger.states import TERMINAL
from shared.ledger.upkeep import Upkeep
from tests.integration.gateway.conftest import MANIFEST, Cluster, Starter


def redo(
    cluster: Cluster, job: dict[str, Any], index: int = 0, **fields: Any
) -> tuple[httpx.Response, dict[str, str]]:
    """Ask for it; return the answer and the fields of the job that it made, if it did."""
    headers = fields.pop("headers", {})
    body = {"input": "Good day.", **fields}
    url = f"/v1/jobs/{job['id']}/segments/{index}/redo"
    answer = cluster.http.post(url, json=body, headers=headers)
    if answer.status_code not in (200, 202):
        return answer, {}
    row = cluster.redis.hgetall(f"kc:job:{answer.json()['id']}")
    return answer, {as_text(name): as_text(value) for name, value in row.items()}


def refused(
    cluster: Cluster, job: dict[str, Any], status: int, index: int = 0, **fields: Any
) -> dict[str, Any]:
    """Ask for what must be refused; return the error, having checked that nothing is left."""
    before = sorted(cluster.redis.keys("kc:job*"))
    answer, _ = redo(cluster, job, index, **fields)
    assert sorted(cluster.redis.keys("kc:job*")) == before
    return cluster.error(answer, status)


def test_a_segment_said_anew_is_a_new_job(cluster: Cluster) -> None:
    job = cluster.succeed(response_format="wav", metadata={"was": "there"})
    answer, row = redo(
        cluster,
        job,
        custom_id="mine",
        metadata={"is": "new"},
        priority="batch",
        ttl_s=100,
        deadline_s=200,
        webhook={"url": "https://hooks.example/x"},
    )
    assert answer.status_code == 202
    new = answer.json()
    Job.model_validate(new)
    assert new["id"] != job["id"]
    assert answer.headers["location"].endswith(f"/v1/jobs/{new['id']}")
    assert int(answer.headers["retry-after"]) >= 1
    assert new["status"] == "queued"
    assert new["queue_position"] == 0
    assert new["input_chars"] == len("Good day.")
    assert new["redo_of"] == {"job": job["id"], "segment": 0}
    assert (new["custom_id"], new["metadata"]) == ("mine", {"is": "new"})
    assert (row["lane"], row["ttl_s"], row["webhook_url"]) == (
        *("batch", "100", "https://hooks.example/x"),
    )
    assert int(row["deadline_ms"]) - int(row["created_ms"]) == 200_000
    spec = json.loads(row["spec"])
    assert spec["outputs"] == ["wav"]
    shown = cluster.http.get(f"/v1/jobs/{new['id']}").json()
    assert shown["redo_of"] == new["redo_of"]
    assert (shown["queue_position"], shown["warnings"]) == (0, [])
    listed = {row["id"]: row["redo_of"] for row in cluster.http.get("/v1/jobs").json()["data"]}
    assert listed == {new["id"]: new["redo_of"], job["id"]: None}
    assert cluster.http.get("/v1/cluster").json()["queued_jobs"] == 1


def test_repeating_it_with_the_same_key_gives_the_same_job(cluster: Cluster) -> None:
    job = cluster.succeed()
    other = cluster.succeed("Something else.")
    headers = {"Idempotency-Key": "once"}
    first = redo(cluster, job, headers=headers)[0].json()
    again = redo(cluster, job, headers=headers)[0]
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    assert len(cluster.redis.keys("kc:job:*:source")) == 1
    for changed in ({"input": "Bye."}, {"speed": 1.2}):
        error = refused(cluster, job, 422, headers=headers, **changed)
        assert error["code"] == "idempotency_conflict"
    assert refused(cluster, other, 422, headers=headers)["code"] == "idempotency_conflict"


def test_the_answer_can_be_held_until_the_job_has_ended(cluster: Cluster) -> None:
    job = cluster.succeed()
    held = redo(cluster, job, headers={"Prefer": "wait=1"})[0]
    assert (held.status_code, held.headers["preference-applied"]) == (202, "wait=1")
    cluster.http.post(f"/v1/jobs/{held.json()['id']}/cancel").raise_for_status()

    def end() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            claim = cluster.worker.claim_plan(bytes_most=10**6)
            if claim is not None:
                cluster.worker.fail_stage(claim, code="poison", message="It.", permanent=True)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=end)
    thread.start()
    answer = redo(cluster, job, headers={"Prefer": "wait=30"})[0]
    thread.join()
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


def test_a_job_that_has_not_succeeded_has_nothing_to_redo(cluster: Cluster) -> None:
    waiting = cluster.submit()
    error = refused(cluster, waiting, 409)
    assert error["code"] == "job_not_ready"
    assert "queued" in error["message"]
    cluster.http.post(f"/v1/jobs/{waiting['id']}/cancel").raise_for_status()
    assert refused(cluster, waiting, 409)["code"] == "job_canceled"
    assert refused(cluster, cluster.fail(), 409)["code"] == "job_failed"


def test_what_is_not_there_is_not_found(cluster: Cluster) -> None:
    job = cluster.succeed()
    nobodys = {"id": "job_00000000000000000000000000"}
    assert refused(cluster, nobodys, 404)["code"] == "job_not_found"
    error = refused(cluster, job, 404, index=2)
    assert error["code"] == "segment_not_found"
    assert "has 2" in error["message"]
    error = refused(cluster, job, 409, index=1)
    assert error["code"] == "segment_is_pause"


def test_what_was_swept_is_gone(cluster: Cluster) -> None:
    job = cluster.succeed()
    upkeep = Upkeep(cluster.redis)
    # Its own audio is not needed: it is what is replaced.
    upkeep.forget_audio(unused_s=0)
    assert redo(cluster, job)[0].status_code == 202
    cluster.redis.zadd("kc:expiries", {job["id"]: 0})
    upkeep.purge_audio(record_ttl_s=100)
    assert refused(cluster, job, 410)["code"] == "audio_gone"


def test_a_segment_that_was_swept_is_named(cluster: Cluster) -> None:
    cluster.submit()
    uid = cluster.plan()
    cluster.render()
    cluster.assemble()
    # As if there had been another before it.
    rows = f"kc:job:{uid}:segments"
    first, pause = (json.loads(cluster.redis.hget(rows, index) or "") for index in ("0", "1"))
    cluster.redis.hset(rows, "2", json.dumps({**first, "hash": "e" * 64}))
    cluster.redis.hset(f"kc:job:{uid}", "total", 3)
    assert pause["samples"]
    error = refused(cluster, {"id": uid}, 410)
    assert (error["code"], "segment 2" in error["message"]) == ("audio_gone", True)
    assert redo(cluster, {"id": uid}, 2)[0].status_code == 202


def test_captions_can_be_made_only_where_the_words_were_kept(cluster: Cluster) -> None:
    job = cluster.succeed(outputs=["wav", "srt"])  # which has left no words
    error = refused(cluster, job, 410)
    assert error["code"] == "words_gone"
    assert "make the job again" in error["message"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": ""}, "input", None),
        ({"input": "…"}, "input", "nothing_to_speak"),
        ({"input": "a" * (MAX_REDO_CHARS + 1)}, "input", None),
        ({"input": "[pause:x]Hi."}, "input", "invalid_markup"),
        ({"input": "[chapter:Two]Hi."}, "input", "invalid_markup"),
        ({"input": "[voice:af_nobody]Hi."}, "input", "unknown_voice"),
        ({"voice": "af_nobody"}, "voice", "unknown_voice"),
        ({"voice": "  "}, "voice", None),
        ({"voice": "a b"}, "voice", None),
        ({"language": "tlh"}, "language", "unknown_language"),
        ({"speed": 0.2}, "speed", None),
        ({"speed": 4.5}, "speed", None),
        ({"speed": "1"}, "speed", None),
        ({"normalize": "no"}, "normalize", None),
        ({"lexicons": ["names"]}, "lexicons", "unknown_lexicon"),
        ({"lexicons": ["a", "a@1"]}, "lexicons", "invalid_lexicon"),
        ({"metadata": {"a": 1}}, "metadata.a", None),
        ({"custom_id": "a\nb"}, "custom_id", None),
        ({"priority": "soon"}, "priority", None),
        ({"deadline_s": 10**7}, "deadline_s", None),
        ({"ttl_s": 10**9}, "ttl_s", None),
        ({"webhook": {"url": "http://inward.example/"}}, "webhook.url", None),
        ({"response_format": "mp3"}, "response_format", None),
        ({"title": "New"}, "title", None),
    ],
)
def test_a_bad_field_is_named(
    cluster: Cluster, fields: dict[str, Any], param: str, code: str | None
) -> None:
    error = refused(cluster, cluster.succeed(), 422, **fields)
    if "webhook" not in fields:
        assert error["param"] == param
    assert code in (None, error["code"])


def test_a_body_that_is_no_json_is_refused(cluster: Cluster) -> None:
    url = f"/v1/jobs/{cluster.succeed()['id']}/segments/0/redo"
    json_type = {"Content-Type": "application/json"}
    assert cluster.error(cluster.http.post(url, content=b"{", headers=json_type), 400)
    assert cluster.error(cluster.http.post(url, data={"input": "a"}), 415)
    assert cluster.error(cluster.http.post(f"{url[:-6]}/x/redo", json={}), 404)


def test_it_counts_as_any_job_of_its_key(start: Starter) -> None:
    cluster = start(key_max_queued_chars=20)
    job = cluster.succeed()
    redo(cluster, job, input="Fifteen letters")
    error = refused(cluster, job, 429, input="Six mo")
    assert error["code"] == "key_full"


def test_what_is_left_out_is_taken_from_the_job(cluster: Cluster) -> None:
    job = cluster.succeed(voice="bm_george", speed=1.25, language="en-us", normalize=False)
    row = redo(cluster, job)[1]
    told = Redo.from_json(row["redo"])
    assert (told.voice, told.start, told.end) == ("", 0, 6)
    assert (told.said.language, told.said.speed, told.said.normalize) == ("en-us", 1.25, False)
    assert not told.follow_voice, "its client has chosen a language"
    told = Redo.from_json(
        redo(cluster, job, voice="af_bella", speed=1.0, normalize=True)[1]["redo"]
    )
    assert told.voice == "af_bella"
    assert (told.said.language, told.said.speed, told.said.normalize) == ("en-us", 1.0, True)
    told = Redo.from_json(redo(cluster, job, voice="custom", language="fr")[1]["redo"])
    assert (told.voice, told.said.language) == ("custom", "fr")


def test_a_text_said_by_another_engine_is_warned_of(start: Starter) -> None:
    cluster = start()
    job = cluster.succeed()
    changed = replace(MANIFEST, fingerprint="e" * 64, voices={"af_bella": "1" * 64})
    cluster.redis.set("kc:engine", changed.to_json())
    time.sleep(1.1)  # as long as a gateway goes by what it knew
    error = refused(cluster, job, 422)
    assert (error["param"], error["code"]) == ("voice", "unknown_voice")
    answer, _ = redo(cluster, job, voice="af_bella")
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["engine_changed"]


def test_a_job_of_ones_own_name_is_redone_by_it(cluster: Cluster) -> None:
    url = "/v1/jobs/my-book"
    cluster.http.put(url, json={"input": "Hello there."}).raise_for_status()
    cluster.plan()
    cluster.render()
    cluster.assemble()
    new = redo(cluster, {"id": "my-book"})[0].json()
    assert new["redo_of"] == {"job": "my-book", "segment": 0}
    assert new["id"].startswith("job_")
    assert new["status"] not in TERMINAL
