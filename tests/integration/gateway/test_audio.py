"""Downloading: whole, in parts, from a store that signs; and why there is nothing to download."""

import hashlib

import httpx
import pytest

from shared.ledger.upkeep import Upkeep
from tests.integration.gateway.conftest import AUDIO, Cluster

WAV = AUDIO + b"wav"


def url_of(job: dict[str, str]) -> str:
    return f"/v1/jobs/{job['id']}/audio"


def test_the_main_output_is_served_with_its_type_name_and_tag(cluster: Cluster) -> None:
    job = cluster.succeed(response_format="wav")
    answer = cluster.http.get(url_of(job))
    assert answer.status_code == 200
    assert answer.content == WAV
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["content-length"] == str(len(WAV))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.sha256(WAV).hexdigest()}"'
    assert f'"{job["id"]}.wav"' in answer.headers["content-disposition"]


def test_every_output_is_served_under_the_url_the_job_gives(cluster: Cluster) -> None:
    job = cluster.http.get(
        f"/v1/jobs/{cluster.succeed(outputs=['mp3', 'opus', 'pcm'])['id']}"
    ).json()
    for file in (job["output"], *job["output"]["others"]):
        answer = cluster.http.get(file["url"])
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        assert len(answer.content) == file["bytes"]


def test_a_format_that_was_not_made_is_refused(cluster: Cluster) -> None:
    job = cluster.succeed()
    for name in ("flac", "ogg"):
        answer = cluster.http.get(url_of(job), params={"format": name})
        assert cluster.error(answer, 422)["param"] == "format"


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, len(WAV)),
        ("bytes=-10", len(WAV) - 10, len(WAV)),
        ("bytes=-999999", 0, len(WAV)),
        ("bytes=10-999999", 10, len(WAV)),
    ],
)
def test_a_range_is_served_as_206(cluster: Cluster, asked: str, first: int, stop: int) -> None:
    job = cluster.succeed(response_format="wav")
    answer = cluster.http.get(url_of(job), headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == WAV[first:stop]
    assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(WAV)}"
    assert answer.headers["content-length"] == str(stop - first)


@pytest.mark.parametrize("asked", [f"bytes={len(WAV)}-", "bytes=999999-1000000", "bytes=-0"])
def test_a_range_past_the_end_is_416_with_the_size(cluster: Cluster, asked: str) -> None:
    job = cluster.succeed(response_format="wav")
    answer = cluster.http.get(url_of(job), headers={"Range": asked})
    assert cluster.error(answer, 416)["code"] == "range_not_satisfiable"
    assert answer.headers["content-range"] == f"bytes */{len(WAV)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,4-5", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=a-b", "bytes"]
)
def test_a_range_that_makes_no_sense_gets_the_whole(cluster: Cluster, asked: str) -> None:
    job = cluster.succeed(response_format="wav")
    answer = cluster.http.get(url_of(job), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, WAV)


def test_a_copy_that_is_still_good_is_not_sent_again(cluster: Cluster) -> None:
    job = cluster.succeed()
    etag = cluster.http.get(url_of(job)).headers["etag"]
    for header in (etag, f'"other", W/{etag}', "*"):
        answer = cluster.http.get(url_of(job), headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    answer = cluster.http.get(url_of(job), headers={"If-None-Match": '"other"'})
    assert answer.status_code == 200


def test_a_range_of_another_file_gets_the_whole(cluster: Cluster) -> None:
    job = cluster.succeed()
    etag = cluster.http.get(url_of(job)).headers["etag"]
    part = {"Range": "bytes=0-9"}
    same = cluster.http.get(url_of(job), headers={**part, "If-Range": etag})
    other = cluster.http.get(url_of(job), headers={**part, "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_head_tells_all_but_the_bytes(cluster: Cluster) -> None:
    job = cluster.succeed(response_format="wav")
    answer = cluster.http.head(url_of(job))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(WAV))
    assert answer.headers["content-type"] == "audio/wav"


def test_head_knows_no_ranges(cluster: Cluster) -> None:
    job = cluster.succeed(response_format="wav")
    for part in ("bytes=0-1", "bytes=99999999-"):
        answer = cluster.http.head(url_of(job), headers={"Range": part})
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(len(WAV))


def test_audio_that_is_not_there_yet_is_a_conflict_that_names_the_status(cluster: Cluster) -> None:
    job = cluster.submit()
    answer = cluster.http.get(url_of(job))
    error = cluster.error(answer, 409)
    assert error["code"] == "job_not_ready"
    assert "queued" in error["message"]
    cluster.plan()
    assert "processing" in cluster.error(cluster.http.get(url_of(job)), 409)["message"]


def test_audio_that_will_never_be_is_a_conflict_that_says_why(cluster: Cluster) -> None:
    error = cluster.error(cluster.http.get(url_of(cluster.fail())), 409)
    assert error["code"] == "job_failed"
    assert "It broke." in error["message"]
    job = cluster.submit()
    cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert cluster.error(cluster.http.get(url_of(job)), 409)["code"] == "job_canceled"
    late = cluster.submit(deadline_s=1)
    cluster.redis.hset(f"kc:job:{late['id']}", "deadline_ms", 1)
    cluster.worker.claim_plan(bytes_most=10**6)
    assert cluster.error(cluster.http.get(url_of(late)), 409)["code"] == "job_expired"


def test_audio_past_its_time_is_gone(cluster: Cluster) -> None:
    job = cluster.succeed()
    cluster.redis.zadd("kc:expiries", {job["id"]: 1})
    Upkeep(cluster.redis).purge_audio(record_ttl_s=60)
    assert cluster.error(cluster.http.get(url_of(job)), 410)["code"] == "audio_gone"


def test_audio_the_store_has_lost_is_gone_too(cluster: Cluster) -> None:
    job = cluster.submit()
    cluster.plan()
    cluster.render()
    cluster.assemble(store=False)
    cluster.error(cluster.http.get(url_of(job)), 410)


def test_a_store_that_signs_is_redirected_to(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sign(_: object, key: str, *, expires_s: float) -> str:
        return f"https://store.example/{key}?expires={expires_s:.0f}"

    monkeypatch.setattr("shared.storage.Storage.sign_get_async", sign)
    job = cluster.succeed()
    answer = cluster.http.get(url_of(job))
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(f"https://store.example/jobs/{job['id']}/")
    assert answer.headers["location"].endswith("expires=3600")
    # A URL signed for GET answers no HEAD, so the gateway does.
    assert cluster.http.head(url_of(job)).status_code == 200


def test_many_downloads_at_once_are_all_whole(cluster: Cluster) -> None:
    job = cluster.succeed(response_format="wav")
    with httpx.Client(base_url=cluster.http.base_url, trust_env=False) as other:
        for client in (cluster.http, other) * 5:
            assert client.get(url_of(job)).content == WAV
