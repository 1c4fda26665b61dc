"""Looking at jobs: one, its segments, lists; ending and removing them."""

import time

import pytest

from tests.integration.gateway.conftest import MANIFEST, Cluster


def test_a_job_is_followed_from_queued_to_succeeded(cluster: Cluster) -> None:
    job = cluster.submit(outputs=["wav", "mp3"])
    url = f"/v1/jobs/{job['id']}"
    cluster.plan(warnings=[{"code": "oov_word", "segment": 0, "detail": "Xyzzy"}])
    processing = cluster.http.get(url).json()
    assert processing["status"] == "processing"
    assert processing["queue_position"] is None
    assert processing["progress"] == {
        "segments_total": 2,
        "segments_done": 1,
        "segments_reused": 0,
        "audio_s": 0.5,
    }
    assert processing["warnings"] == [{"code": "oov_word", "segment": 0, "detail": "Xyzzy"}]
    cluster.render()
    cluster.assemble()
    done = cluster.http.get(url).json()
    assert done["status"] == "succeeded"
    assert done["output"]["format"] == "wav"
    assert done["output"]["sample_rate_hz"] == 24_000
    assert [other["format"] for other in done["output"]["others"]] == ["mp3"]
    assert done["error"] is None
    assert done["metrics"]["synthesis_s"] == 0.5
    assert done["metrics"]["worker"] == "w"
    assert done["metrics"]["model"] == MANIFEST.model
    assert done["created_at"] <= done["started_at"] <= done["completed_at"] < done["expires_at"]
    assert done["created_at"].endswith("Z")


def test_segments_are_shown_when_asked_for(cluster: Cluster) -> None:
    job = cluster.submit()
    cluster.plan()
    url = f"/v1/jobs/{job['id']}?include=segments"
    first, pause = cluster.http.get(url).json()["segments"]
    assert (first["status"], first["start_s"], first["end_s"]) == ("waiting", 0, None)
    assert (pause["pause"], pause["start_s"]) == (True, None)
    cluster.render()
    first, pause = cluster.http.get(url).json()["segments"]
    assert first == {
        "index": 0,
        "status": "done",
        "pause": False,
        "text": {"start": 0, "end": 6},
        "start_s": 0.0,
        "end_s": 1.0,
        "attempts": 1,
        "reused": False,
    }
    assert (pause["start_s"], pause["end_s"]) == (1.0, 1.5)


def test_a_failed_job_says_why(cluster: Cluster) -> None:
    job = cluster.fail()
    assert job["status"] == "failed"
    assert job["error"] == {"code": "poison", "message": "It broke."}
    assert job["output"] is None


def test_a_list_is_paged_newest_first_without_gaps_or_repeats(cluster: Cluster) -> None:
    made = [cluster.submit(f"Text {i}.")["id"] for i in range(7)]
    seen: list[str] = []
    after = None
    pages = 0
    while True:
        page = cluster.http.get(
            "/v1/jobs", params={"limit": 3, **({"after": after} if after else {})}
        ).json()
        seen += [job["id"] for job in page["data"]]
        pages += 1
        after = page["after"]
        assert page["has_more"] == (after is not None)
        if not page["has_more"]:
            break
    assert seen == made[::-1]
    assert pages == 3


def test_a_page_can_be_deleted_before_the_next_one_is_fetched(cluster: Cluster) -> None:
    made = [cluster.submit(f"Text {i}.")["id"] for i in range(4)]
    page = cluster.http.get("/v1/jobs", params={"limit": 2}).json()
    for job in page["data"]:
        cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
        assert cluster.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    rest = cluster.http.get("/v1/jobs", params={"after": page["after"]}).json()
    assert [job["id"] for job in rest["data"]] == made[1::-1]


def test_a_list_is_filtered(cluster: Cluster) -> None:
    one = cluster.submit(custom_id="one")
    time.sleep(0.01)
    two = cluster.submit(custom_id="two")
    cluster.http.post(f"/v1/jobs/{one['id']}/cancel")

    def ids(**params: str) -> list[str]:
        answer = cluster.http.get("/v1/jobs", params=params)
        assert answer.status_code == 200
        return [job["id"] for job in answer.json()["data"]]

    assert ids(custom_id="one") == [one["id"]]
    assert ids(custom_id="none") == []
    assert ids(status="queued") == [two["id"]]
    assert ids(status="canceled", custom_id="two") == []
    assert ids(created_after=one["created_at"]) == [two["id"]]
    assert ids(created_before=two["created_at"]) == [one["id"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "ten"),
        ("after", "job_x"),
        ("after", "1-job_*"),
        ("status", "done"),
        ("created_after", "yesterday"),
        ("created_after", "2026-01-01T00:00:00"),
        ("custom_id", ""),
    ],
)
def test_a_bad_filter_is_named(cluster: Cluster, name: str, value: str) -> None:
    answer = cluster.http.get("/v1/jobs", params={name: value})
    assert cluster.error(answer, 422)["param"] == name


def test_a_canceled_job_is_never_begun(cluster: Cluster) -> None:
    job = cluster.submit()
    answer = cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert answer.status_code == 202
    assert answer.json()["status"] == "canceled"
    assert cluster.worker.claim_plan(bytes_most=10**6) is None


def test_a_job_that_has_ended_cannot_be_canceled(cluster: Cluster) -> None:
    job = cluster.succeed()
    answer = cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert cluster.error(answer, 409)["code"] == "job_terminal"
    assert cluster.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "succeeded"


def test_a_running_job_cannot_be_deleted(cluster: Cluster) -> None:
    job = cluster.submit()
    answer = cluster.http.delete(f"/v1/jobs/{job['id']}")
    assert cluster.error(answer, 409)["code"] == "job_running"
    cluster.plan()
    assert cluster.http.delete(f"/v1/jobs/{job['id']}").status_code == 409


def test_a_deleted_job_is_gone_with_all_it_left(cluster: Cluster) -> None:
    job = cluster.succeed()
    answer = cluster.http.delete(f"/v1/jobs/{job['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert cluster.http.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert cluster.http.get("/v1/jobs").json()["data"] == []
    assert cluster.redis.keys(f"kc:job:{job['id']}*") == []
    assert cluster.redis.smembers("kc:garbage") == {f"jobs/{job['id']}/".encode()}
