"""`/v1/lexicons` through a real gateway."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.lexicon_requests import LexiconRequest
from gateway.schemas import Lexicon, LexiconList
from shared.apikeys import add_key
from tests.integration.gateway.conftest import Cluster, Starter

WORD = {"word": "Kubernetes", "phonemes": "kˌubəɹnˈɛTiz"}


def put(cluster: Cluster, name: str = "names", **changes: Any) -> dict[str, Any]:
    body = {"language": "en-us", "entries": [WORD], **changes}
    answer = cluster.http.put(f"/v1/lexicons/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(cluster: Cluster, body: Any, status: int = 422) -> dict[str, Any]:
    error = cluster.error(cluster.http.put("/v1/lexicons/names", json=body), status)
    assert cluster.redis.keys("kc:lexicon*") == []
    return error


def test_a_lexicon_is_stored_shown_listed_and_removed(cluster: Cluster) -> None:
    first = put(cluster)
    Lexicon.model_validate(first)
    assert (first["name"], first["version"], first["language"]) == ("names", 1, "en-us")
    second = put(cluster, entries=[WORD, {"word": "SQL", "respelling": "sequel"}], language=None)
    assert second["version"] == 2
    assert [kept["version"] for kept in second["versions"]] == [2, 1]
    shown = cluster.http.get("/v1/lexicons/names").json()
    Lexicon.model_validate(shown)
    assert shown["entries"][1] == {
        "word": "SQL",
        "phonemes": None,
        "respelling": "sequel",
        "case_sensitive": False,
    }
    old = cluster.http.get("/v1/lexicons/names", params={"version": 1}).json()
    assert (old["version"], len(old["entries"]), old["language"]) == (1, 1, "en-us")
    listed = cluster.http.get("/v1/lexicons").json()
    LexiconList.model_validate(listed)
    assert [lexicon["name"] for lexicon in listed["data"]] == ["names"]
    assert cluster.http.delete("/v1/lexicons/names").status_code == 204
    assert cluster.error(cluster.http.get("/v1/lexicons/names"), 404)["code"] == "lexicon_not_found"
    assert cluster.error(cluster.http.delete("/v1/lexicons/names"), 404)["code"] == (
        "lexicon_not_found"
    )


def test_the_same_content_again_makes_no_version(cluster: Cluster) -> None:
    assert put(cluster) == put(cluster)


def test_a_job_shows_the_versions_it_was_submitted_with(cluster: Cluster) -> None:
    put(cluster)
    put(cluster, "other", language=None)
    job = cluster.submit(lexicons=["other", "names@1"])
    assert job["lexicons"] == ["other@1", "names@1"]
    put(cluster, entries=[{"word": "Kubernetes", "phonemes": "kubˈɜ"}])
    cluster.http.delete("/v1/lexicons/other")
    shown = cluster.http.get(f"/v1/jobs/{job['id']}").json()
    assert shown["lexicons"] == ["other@1", "names@1"]
    assert cluster.submit(lexicons=["names"])["lexicons"] == ["names@2"]
    assert cluster.submit()["lexicons"] == []


@pytest.mark.parametrize(
    ("lexicons", "code"),
    [
        (["nobody"], "unknown_lexicon"),
        (["names@2"], "unknown_lexicon"),
        (["names", "names@1"], "invalid_lexicon"),
        (["na/mes"], "invalid_lexicon"),
        (["names@0"], "invalid_lexicon"),
        (["names@" + "9" * 30], "invalid_lexicon"),
        (["n"] * 9, "invalid_input"),
        ([1], "invalid_input"),
        ("names", "invalid_input"),
    ],
)
def test_a_job_with_a_bad_name_is_refused_whole(cluster: Cluster, lexicons: Any, code: str) -> None:
    put(cluster)
    error = cluster.refused({"input": "Hello.", "lexicons": lexicons})
    assert error["code"] == code
    assert error["param"].startswith("lexicons")
    assert cluster.redis.get("kc:queued_jobs") in (None, b"0")


def test_impossible_phonemes_are_refused_and_their_entry_named(cluster: Cluster) -> None:
    entries = [WORD, {"word": "Nginx", "phonemes": "en8in|x"}]
    error = refused(cluster, {"entries": entries})
    assert error["code"] == "invalid_lexicon"
    assert error["param"] == "entries.1.phonemes"
    assert "'Nginx'" in error["message"]
    assert "'8' (U+0038)" in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "entries"),
        ({"entries": []}, "entries"),
        ({"entries": [{"word": "a"}]}, "entries.0.phonemes"),
        ({"entries": [{"word": "a", "phonemes": "a", "respelling": "b"}]}, "entries.0.phonemes"),
        ({"entries": [{"word": "a", "phonemes": "a", "wrong": 1}]}, "entries.0.wrong"),
        ({"entries": [{"word": "a\x00", "phonemes": "a"}]}, "entries.0.word"),
        ({"entries": [WORD, WORD]}, "entries.1.word"),
        ({"entries": [WORD], "language": "tlh"}, "language"),
        ({"entries": [WORD] * 5001}, "entries"),
        ([], None),
    ],
)
def test_a_malformed_lexicon_is_refused(cluster: Cluster, body: Any, param: str | None) -> None:
    assert refused(cluster, body)["param"] == param


def test_a_lexicon_at_its_limits_is_taken_however_it_is_indented(cluster: Cluster) -> None:
    entries = [
        {"word": f"word number {i}", "phonemes": "ˈæ" * 30, "case_sensitive": True}
        for i in range(5_000)
    ]
    body = json.dumps({"language": None, "entries": entries}, indent=4).encode()
    answer = cluster.http.put(
        "/v1/lexicons/big", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["entries_total"] == 5_000
    assert len(cluster.http.get("/v1/lexicons/big").json()["entries"]) == 5_000


def test_too_many_bytes_are_refused_before_they_are_held(cluster: Cluster) -> None:
    entries = [{"word": f"{i}" + "w" * 90, "phonemes": "ˈæ" * 100} for i in range(5_000)]
    error = refused(cluster, {"entries": entries})
    assert error["code"] == "invalid_lexicon"
    too_large = cluster.http.put("/v1/lexicons/names", content=b" " * (5 * 1024 * 1024))
    assert cluster.error(too_large, 413)["code"] == "body_too_large"


@pytest.mark.parametrize("name", ["-a", "a%20b", "n" * 65, "%C3%A9", "a%00"])
def test_a_bad_name_is_no_lexicon(cluster: Cluster, name: str) -> None:
    answer = cluster.http.put(f"/v1/lexicons/{name}", json={"entries": [WORD]})
    assert cluster.error(answer, 422)["param"] == "name"
    for method in ("GET", "DELETE"):
        cluster.error(cluster.http.request(method, f"/v1/lexicons/{name}"), 404)


def test_what_is_no_json_is_refused(cluster: Cluster) -> None:
    answer = cluster.http.put("/v1/lexicons/names", content=b"a,b\n")
    assert cluster.error(answer, 415)["code"] == "unsupported_media_type"
    answer = cluster.http.put(
        "/v1/lexicons/names", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert cluster.error(answer, 400)["code"] == "malformed_json"


def test_another_keys_lexicons_are_as_none(start: Starter, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    _, one = add_key(keys, "one")
    _, two = add_key(keys, "two")
    cluster = start(api_keys_file=keys, key=one)
    put(cluster)
    headers = {"Authorization": f"Bearer {two}"}
    base = cluster.http.base_url
    with httpx.Client(base_url=base, headers=headers, trust_env=False) as other:
        assert other.get("/v1/lexicons").json() == {"object": "list", "data": []}
        nowhere = other.get("/v1/lexicons/nothing")
        assert other.get("/v1/lexicons/names").json() == nowhere.json()
        assert other.delete("/v1/lexicons/names").status_code == 404
        job = {"input": "Hello.", "lexicons": ["names"]}
        assert cluster.error(other.post("/v1/jobs", json=job), 422)["code"] == "unknown_lexicon"
        theirs = {"entries": [{"word": "Kubernetes", "phonemes": "ə"}]}
        assert other.put("/v1/lexicons/names", json=theirs).json()["version"] == 1
    mine = cluster.http.get("/v1/lexicons/names").json()
    assert mine["entries"][0]["phonemes"] == WORD["phonemes"]


def test_the_example_in_the_document_is_a_lexicon(cluster: Cluster) -> None:
    schemas = cluster.http.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["LexiconRequest"]["required"] == ["entries"]
    LexiconRequest.model_validate({"entries": [WORD], "language": "en-us"})
