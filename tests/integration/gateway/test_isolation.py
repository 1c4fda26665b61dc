"""One key and another's job: by no route is there more to see or do than with a made-up id."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from gateway.app import create_app
from gateway.job_ids import new_uid
from shared.apikeys import add_key
from shared.captions import to_json
from shared.ledger.states import DeliveryStatus
from shared.settings import Settings
from tests.integration.gateway.conftest import SECRET, Cluster, Starter

HOOK = "https://hooks.example/private"
WORD = "Confidential"
SHARED_NAME = "a-name-both-may-use"

# What each route of a job is asked for besides its ids. A route that is not here fails the tests.
PER_JOB: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/v1/jobs/{job_id}"): [{}, {"params": {"include": "segments"}}],
    ("DELETE", "/v1/jobs/{job_id}"): [{}],
    ("POST", "/v1/jobs/{job_id}/cancel"): [{}],
    ("GET", "/v1/jobs/{job_id}/audio"): [
        {},
        {"params": {"format": "mp3"}},
        {"params": {"format": "flac"}},
        {"params": {"chapter": "1"}},
        {"headers": {"Range": "bytes=0-9"}},
        {"headers": {"If-None-Match": "*"}},
    ],
    ("HEAD", "/v1/jobs/{job_id}/audio"): [{}, {"params": {"partial": "1"}}],
    ("GET", "/v1/jobs/{job_id}/events"): [{}, {"headers": {"Last-Event-ID": "1-24000"}}],
    ("GET", "/v1/jobs/{job_id}/segments/{index}/audio"): [{}, {"headers": {"Range": "bytes=0-9"}}],
    ("POST", "/v1/jobs/{job_id}/segments/{index}/redo"): [
        {"json": {"input": "Anew."}},
        {"json": {"input": "Anew."}, "headers": {"Idempotency-Key": "anew"}},
    ],
    ("GET", "/v1/jobs/{job_id}/captions.srt"): [{}],
    ("GET", "/v1/jobs/{job_id}/captions.vtt"): [{}],
    ("GET", "/v1/jobs/{job_id}/captions.json"): [{}, {"params": {"partial": "1"}}],
    ("GET", "/v1/jobs/{job_id}/deliveries"): [{}],
    ("GET", "/v1/download/{job_id}.{format}"): [{}, {"params": {"name": "mine"}}],
    ("GET", "/v1/download/{job_id}.{format}.json"): [{}],
    ("POST", "/v1/jobs/{job_id}/deliveries/{delivery_id}/replay"): [{}],
}

# Routes that name no job of another's, and the test that says why nothing is seen through them.
WITHOUT_A_JOBS_ID = {
    ("POST", "/v1/jobs"): "test_another_keys_names_make_jobs_of_ones_own",
    ("PUT", "/v1/jobs/{client_id}"): "test_another_keys_names_make_jobs_of_ones_own",
    ("GET", "/v1/jobs"): "test_no_list_shows_another_keys_jobs",
    ("POST", "/v1/estimate"): "test_an_estimate_shows_and_leaves_nothing_of_anybodys",
    ("POST", "/v1/batches"): "test_another_keys_batch_is_as_one_that_never_was",
    ("GET", "/v1/batches"): "test_another_keys_batch_is_as_one_that_never_was",
    ("GET", "/v1/batches/{batch_id}"): "test_another_keys_batch_is_as_one_that_never_was",
    ("DELETE", "/v1/batches/{batch_id}"): "test_another_keys_batch_is_as_one_that_never_was",
    ("GET", "/v1/batches/{batch_id}/jobs"): "test_another_keys_batch_is_as_one_that_never_was",
    ("POST", "/v1/batches/{batch_id}/cancel"): "test_another_keys_batch_is_as_one_that_never_was",
    ("GET", "/v1/batches/{batch_id}/deliveries"): (
        "test_another_keys_batch_is_as_one_that_never_was"
    ),
    ("POST", "/v1/batches/{batch_id}/deliveries/{delivery_id}/replay"): (
        "test_another_keys_batch_is_as_one_that_never_was"
    ),
    ("GET", "/v1/usage"): "test_no_usage_of_another_key_is_told",
    ("GET", "/v1/lexicons"): "test_no_list_shows_another_keys_lexicons",
    ("GET", "/v1/lexicons/{name}"): "test_no_list_shows_another_keys_lexicons",
    ("PUT", "/v1/lexicons/{name}"): "test_no_list_shows_another_keys_lexicons",
    ("DELETE", "/v1/lexicons/{name}"): "test_no_list_shows_another_keys_lexicons",
    ("POST", "/v1/audio/speech"): "test_speech_is_a_job_of_ones_own",
    ("POST", "/dev/generate_from_phonemes"): "test_speech_is_a_job_of_ones_own",
    ("POST", "/dev/captioned_speech"): "test_speech_is_a_job_of_ones_own",
    ("POST", "/dev/dialogue"): "test_speech_is_a_job_of_ones_own",
    ("POST", "/dev/phonemize"): "test_a_model_and_a_mix_name_no_job",
    ("GET", "/v1/models/{model_id}"): "test_a_model_and_a_mix_name_no_job",
    ("POST", "/v1/audio/voices/combine"): "test_a_model_and_a_mix_name_no_job",
    ("GET", "/v1/audio/voices"): "test_what_all_may_see_names_no_job",
    ("GET", "/v1/voices"): "test_what_all_may_see_names_no_job",
    ("GET", "/v1/models"): "test_what_all_may_see_names_no_job",
    ("GET", "/v1/workers"): "test_what_all_may_see_names_no_job",
    ("GET", "/v1/cluster"): "test_what_all_may_see_names_no_job",
    ("GET", "/health"): "test_what_all_may_see_names_no_job",
    ("GET", "/health/live"): "test_what_all_may_see_names_no_job",
    ("GET", "/health/ready"): "test_what_all_may_see_names_no_job",
    ("GET", "/metrics"): "test_what_all_may_see_names_no_job",
    ("GET", "/openapi.json"): "test_what_all_may_see_names_no_job",
    ("GET", "/docs"): "test_what_all_may_see_names_no_job",
    ("GET", "/"): "test_what_all_may_see_names_no_job",
    ("GET", "/static/{name}"): "test_what_all_may_see_names_no_job",
}


def all_routes(folder: Path) -> set[tuple[str, str]]:
    """Return every method and path template that the application answers to."""
    app = create_app(Settings(data_dir=folder))
    found: set[tuple[str, str]] = set()
    waiting: list[Any] = list(app.routes)
    while waiting:
        route = waiting.pop()
        if hasattr(route, "original_router"):  # how FastAPI holds what is included
            waiting += route.original_router.routes
            continue
        assert isinstance(route, Route), f"{route} is of a kind this test knows nothing of"
        methods = set(route.methods or ())
        if not isinstance(route, APIRoute):
            methods -= {"HEAD"}  # Starlette's own, the same as its GET
        found |= {(method, route.path.replace(":path}", "}")) for method in methods}
    documented = {
        (method.upper(), path) for path, those in app.openapi()["paths"].items() for method in those
    }
    assert documented <= found
    return found


@dataclass
class Two:
    """Two keys of one gateway; the first one's jobs, of every kind there is."""

    cluster: Cluster
    owner: httpx.Client
    other: httpx.Client
    jobs: dict[str, dict[str, Any]]
    deliveries: dict[str, str]

    def snapshot(self) -> dict[str, Any]:
        """Return all that the ledger and the store hold of the owner, but what time changes."""
        ledger: dict[str, Any] = {}
        client = self.cluster.redis
        for name in (bytes(key).decode() for key in client.scan_iter("kc:*")):
            if name.startswith("kc:rate"):
                continue
            kind = client.type(name)
            if kind == b"string":
                ledger[name] = client.get(name)
            elif kind == b"hash":
                ledger[name] = client.hgetall(name)
            elif kind == b"list":
                ledger[name] = client.lrange(name, 0, -1)
            elif kind == b"set":
                ledger[name] = client.smembers(name)
            else:
                ledger[name] = client.zrange(name, 0, -1, withscores=True)
        objects = {item.key for item in self.cluster.storage.list("jobs")}
        return {"ledger": ledger, "objects": objects}


@pytest.fixture
def two(start: Starter, tmp_path: Path) -> Iterator[Two]:
    keys = tmp_path / "keys.json"
    _, one = add_key(keys, "one")
    _, two = add_key(keys, "two")
    cluster = start(api_keys_file=keys, key=one, webhook_secret=SECRET)
    fields: dict[str, Any] = {"metadata": {"what": WORD}, "custom_id": WORD, "timestamps": True}
    hook = {"webhook": {"url": HOOK}}
    jobs = {
        "succeeded": cluster.succeed(f"{WORD} text.", **fields, **hook),
        "failed": cluster.fail(),
    }
    segments = cluster.redis.hget(f"kc:job:{jobs['succeeded']['id']}:segments", "0")
    cluster.storage.put(json.loads(segments or b"")["key"], WORD.encode())
    sentences = [{"text": WORD, "segment": 0}]
    (words,) = (o.key for o in cluster.storage.list("jobs") if o.key.endswith("captions.words"))
    cluster.storage.put(words, to_json({"sentences": sentences, "words": []}).encode())
    cluster.deliver(DeliveryStatus.EXHAUSTED)
    canceled = cluster.submit(f"{WORD} text.", **fields, **hook)
    cluster.http.post(f"/v1/jobs/{canceled['id']}/cancel")
    processing = cluster.submit(f"{WORD} text.", **fields)
    cluster.plan()
    named = cluster.http.put(f"/v1/jobs/{SHARED_NAME}", json={"input": f"{WORD} name."}).json()
    jobs |= {"canceled": canceled, "processing": processing, "named": named}
    jobs["queued"] = cluster.submit(f"{WORD} text.", **fields, **hook)
    deliveries = {}
    for status, job in jobs.items():
        found = cluster.http.get(f"/v1/jobs/{job['id']}/deliveries").json()["data"]
        if found:
            deliveries[status] = found[0]["id"]
    assert set(deliveries) == {"succeeded", "canceled"}
    with httpx.Client(
        base_url=cluster.http.base_url,
        headers={"Authorization": f"Bearer {two}"},
        timeout=30,
        trust_env=False,
    ) as other:
        yield Two(cluster, cluster.http, other, jobs, deliveries)


def ask(
    client: httpx.Client, method: str, template: str, ids: dict[str, str], how: dict[str, Any]
) -> tuple[int, dict[str, str], bytes]:
    """Return an answer: status, headers but the date, body; of a stream how it begins."""
    with client.stream(method, template.format(**ids), **how) as answer:
        headers = {name: value for name, value in answer.headers.items() if name != "date"}
        if headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, headers, next(answer.iter_bytes())
        return answer.status_code, headers, answer.read()


def test_every_route_is_held_against_another_keys_jobs(tmp_path: Path) -> None:
    assert all_routes(tmp_path) == set(PER_JOB) | set(WITHOUT_A_JOBS_ID)
    assert all("job_id" in path for _, path in PER_JOB)
    assert set(WITHOUT_A_JOBS_ID.values()) <= set(globals())


def test_another_keys_job_is_as_one_that_never_was_by_every_route(two: Two) -> None:
    nowhere = {
        "job_id": new_uid(),
        "delivery_id": "whd_" + "0" * 26,
        "index": "0",
        "format": "mp3",
    }
    before = two.snapshot()
    seen_by_its_owner = set()
    for status, job in two.jobs.items():
        theirs = {
            **nowhere,
            "job_id": job["id"],
            "delivery_id": two.deliveries.get(status, nowhere["delivery_id"]),
        }
        for (method, template), ways in PER_JOB.items():
            for how in ways:
                answer = ask(two.other, method, template, theirs, how)
                assert answer == ask(two.other, method, template, nowhere, how), (method, template)
                assert answer[0] == 404
                assert job["id"].encode() not in answer[2]
                if method in {"GET", "HEAD"}:
                    mine = ask(two.owner, method, template, theirs, how)
                    seen_by_its_owner |= {(method, template)} if mine[0] < 400 else set()
    assert two.snapshot() == before
    # The requests were right, and only the key was wrong.
    assert seen_by_its_owner == {route for route in PER_JOB if route[0] in {"GET", "HEAD"}}


def test_nobody_listens_to_another_keys_job_while_it_is_made(two: Two) -> None:
    nowhere = {"job_id": new_uid()}
    how: dict[str, Any] = {"params": {"partial": "1", "format": "pcm"}}
    for job in two.jobs.values():
        answer = ask(two.other, "GET", "/v1/jobs/{job_id}/audio", {"job_id": job["id"]}, how)
        assert answer == ask(two.other, "GET", "/v1/jobs/{job_id}/audio", nowhere, how)
        assert answer[0] == 404


def test_what_was_refused_another_key_its_owner_may_do(two: Two) -> None:
    def status(method: str, name: str, tail: str = "") -> int:
        return two.owner.request(method, f"/v1/jobs/{two.jobs[name]['id']}{tail}").status_code

    assert status("POST", "succeeded", f"/deliveries/{two.deliveries['succeeded']}/replay") == 202
    assert status("POST", "queued", "/cancel") == 202
    assert status("DELETE", "failed") == 204


def test_a_delivery_is_found_under_its_own_job_only(two: Two) -> None:
    mine = two.other.post("/v1/jobs", json={"input": "Mine.", "webhook": {"url": HOOK}}).json()
    before = two.snapshot()
    answer = two.other.post(
        f"/v1/jobs/{mine['id']}/deliveries/{two.deliveries['succeeded']}/replay"
    )
    assert two.cluster.error(answer, 404)["code"] == "delivery_not_found"
    assert two.snapshot() == before


def test_no_list_shows_another_keys_jobs(two: Two) -> None:
    page = two.owner.get("/v1/jobs", params={"limit": 2}).json()
    queued = two.jobs["queued"]
    for params in (
        {},
        {"custom_id": WORD},
        {"status": "queued"},
        {"status": "succeeded"},
        {"after": page["after"]},
        {"created_before": "2100-01-01T00:00:00Z"},
        {"created_after": queued["created_at"]},
    ):
        answer = two.other.get("/v1/jobs", params=params)
        assert answer.json() == {"object": "list", "data": [], "has_more": False, "after": None}


def test_no_usage_of_another_key_is_told(two: Two) -> None:
    assert two.owner.get("/v1/usage").json()["data"] != []
    assert two.other.get("/v1/usage").json()["data"] == []


def test_no_list_shows_another_keys_lexicons(two: Two) -> None:
    words = {"entries": [{"word": WORD, "phonemes": "kˈɑn"}]}
    assert two.owner.put(f"/v1/lexicons/{SHARED_NAME}", json=words).status_code == 200
    before = two.snapshot()
    assert two.other.get("/v1/lexicons").json()["data"] == []
    for method in ("GET", "DELETE"):
        answer = two.other.request(method, f"/v1/lexicons/{SHARED_NAME}")
        assert answer.json() == two.other.request(method, "/v1/lexicons/never-was").json()
        assert answer.status_code == 404
    body = {"input": "Mine.", "lexicons": [SHARED_NAME]}
    assert two.other.post("/v1/jobs", json=body).status_code == 422
    assert two.snapshot() == before
    # Theirs is another of the same name.
    assert two.other.put(f"/v1/lexicons/{SHARED_NAME}", json=words).json()["version"] == 1
    assert two.other.delete(f"/v1/lexicons/{SHARED_NAME}").status_code == 204
    assert two.owner.get(f"/v1/lexicons/{SHARED_NAME}").json()["entries"][0]["word"] == WORD


def test_another_keys_names_make_jobs_of_ones_own(two: Two) -> None:
    again = {"Idempotency-Key": "one-for-both"}
    body = {"input": "The same to the letter."}
    theirs = two.owner.post("/v1/jobs", json=body, headers=again).json()
    before = two.cluster.redis.hgetall(f"kc:job:{theirs['id']}")
    ours = two.other.post("/v1/jobs", json=body, headers=again)
    assert ours.status_code == 202
    assert ours.json()["id"] != theirs["id"]
    # With a body of its own too: a conflict would tell that the name is taken.
    other = two.other.put(f"/v1/jobs/{SHARED_NAME}", json={"input": "Another text."})
    assert other.status_code == 202
    assert two.other.post(f"/v1/jobs/{SHARED_NAME}/cancel").status_code == 202
    assert two.owner.get(f"/v1/jobs/{SHARED_NAME}").json()["status"] == "queued"
    assert two.cluster.redis.hgetall(f"kc:job:{theirs['id']}") == before
    # An id that the gateway gave is no name to put a job under, whoever has it.
    assert two.other.put(f"/v1/jobs/{theirs['id']}", json=body).status_code == 422


def test_a_held_answer_is_about_ones_own_job(two: Two) -> None:
    held = two.other.put(
        f"/v1/jobs/{SHARED_NAME}", json={"input": "Mine."}, headers={"Prefer": "wait=1"}
    )
    assert held.json()["input_chars"] == len("Mine.")
    assert WORD not in held.text


def test_another_keys_batch_is_as_one_that_never_was(two: Two) -> None:
    again = {"Idempotency-Key": "one-for-both"}
    body = {"items": [{"input": "The same to the letter."}], "webhook": {"url": HOOK}}
    theirs = two.owner.post("/v1/batches", json=body, headers=again).json()
    ended = two.owner.post("/v1/batches", json=body).json()
    assert two.owner.post(f"/v1/batches/{ended['id']}/cancel").status_code == 202
    (delivery,) = two.owner.get(f"/v1/batches/{ended['id']}/deliveries").json()["data"]
    before = two.snapshot()
    ways = (
        ("GET", ""),
        ("GET", "/jobs"),
        ("GET", "/deliveries"),
        ("POST", "/deliveries/{delivery_id}/replay"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    )
    for batch, (method, tail) in product((theirs, ended), ways):
        template = "/v1/batches/{batch_id}" + tail
        ids = {"batch_id": batch["id"], "delivery_id": delivery["id"]}
        answer = ask(two.other, method, template, ids, {})
        nowhere = {**ids, "batch_id": new_uid("batch_")}
        assert answer == ask(two.other, method, template, nowhere, {})
        assert answer[0] == 404
    assert two.other.get("/v1/batches").json()["data"] == []
    assert two.snapshot() == before
    ours = two.other.post("/v1/batches", json=body, headers=again)
    assert ours.status_code == 202
    assert ours.json()["id"] != theirs["id"]
    assert two.owner.post(f"/v1/batches/{theirs['id']}/cancel").status_code == 202
    assert two.owner.delete(f"/v1/batches/{theirs['id']}").status_code == 204


def test_an_estimate_shows_and_leaves_nothing_of_anybodys(two: Two) -> None:
    before = two.snapshot()
    # Nobody plans here: the question is refused or forgotten.
    answer = two.other.post("/v1/estimate", json={"input": "Hello.", "voice": "af_hart"})
    assert answer.status_code == 422
    stored = two.owner.put(
        "/v1/lexicons/mine", json={"entries": [{"word": "a", "respelling": "b"}]}
    )
    assert stored.status_code == 200
    before = two.snapshot()
    theirs = two.other.post("/v1/estimate", json={"input": "Hello.", "lexicons": ["mine"]})
    assert (theirs.status_code, theirs.json()["error"]["code"]) == (422, "unknown_lexicon")
    assert two.snapshot() == before


def test_what_all_may_see_names_no_job(two: Two) -> None:
    told = [
        path
        for (_, path), test in WITHOUT_A_JOBS_ID.items()
        if test == "test_what_all_may_see_names_no_job"
    ]
    assert len(told) == 13
    for path in told:
        answer = two.other.get(path.format(name="main.js"))
        assert answer.status_code == 200
        for job in two.jobs.values():
            assert job["id"] not in answer.text
        assert WORD not in answer.text
        assert HOOK not in answer.text


def test_speech_is_a_job_of_ones_own(two: Two) -> None:
    mine = {job["id"] for job in two.owner.get("/v1/jobs").json()["data"]}
    body = {"input": WORD, "voice": "alloy"}
    ways = {
        "/v1/audio/speech": body,
        "/dev/captioned_speech": body,
        "/dev/dialogue": {"turns": [{"voice": "alloy", "text": WORD}]},
    }
    for path, wish in ways.items():
        with pytest.raises(httpx.ReadTimeout):
            two.other.post(path, json=wish, timeout=1)
    assert {job["id"] for job in two.owner.get("/v1/jobs").json()["data"]} == mine
    theirs = two.other.get("/v1/jobs").json()["data"]
    assert len(theirs) == len(ways)
    for job in theirs:
        assert two.owner.get(f"/v1/jobs/{job['id']}").status_code == 404
        assert two.owner.get(f"/v1/download/{job['id']}.mp3").status_code == 404


def test_a_model_and_a_mix_name_no_job(two: Two) -> None:
    for answer in (
        two.other.post("/dev/phonemize", json={"text": "...", "language": "en-us"}),
        two.other.get("/v1/models/kokoro"),
        two.other.get(f"/v1/models/{two.jobs['succeeded']['id']}"),
        two.other.post("/v1/audio/voices/combine", json="af_heart+af_bella"),
    ):
        assert WORD not in answer.text
        assert "job_" not in answer.text
