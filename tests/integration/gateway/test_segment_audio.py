"""The audio of one segment of a job."""

import json

from tests.integration.gateway.conftest import Cluster

WAVE = b"RIFF" + bytes(range(200))


def rendered(cluster: Cluster) -> str:
    """Bring a job of a segment and a pause as far as its audio; return where its segments are."""
    job = cluster.submit()
    cluster.plan()
    cluster.render()
    segment = cluster.redis.hget(f"kc:job:{job['id']}:segments", "0")
    assert segment is not None
    cluster.storage.put(json.loads(segment)["key"], WAVE)
    return f"/v1/jobs/{job['id']}/segments"


def test_a_segment_is_there_before_its_job_has_ended(cluster: Cluster) -> None:
    url = rendered(cluster)
    answer = cluster.http.get(f"{url}/0/audio")
    assert answer.status_code == 200
    assert answer.content == WAVE
    assert answer.headers["content-type"] == "audio/wav"
    again = cluster.http.get(f"{url}/0/audio", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_a_part_of_a_segment_can_be_had(cluster: Cluster) -> None:
    url = rendered(cluster)
    answer = cluster.http.get(f"{url}/0/audio", headers={"Range": "bytes=4-9"})
    assert answer.status_code == 206
    assert answer.content == WAVE[4:10]
    assert answer.headers["content-range"] == f"bytes 4-9/{len(WAVE)}"
    past = cluster.http.get(f"{url}/0/audio", headers={"Range": "bytes=999-"})
    assert cluster.error(past, 416)["code"] == "range_not_satisfiable"


def test_what_has_no_audio_says_why(cluster: Cluster) -> None:
    url = rendered(cluster)
    pause = cluster.error(cluster.http.get(f"{url}/1/audio"), 409)
    assert pause["code"] == "segment_is_pause"
    assert "0.500 s" in pause["message"]
    assert cluster.error(cluster.http.get(f"{url}/2/audio"), 404)["code"] == "segment_not_found"
    for bad in ("-1", "x", "1.5", "99999999999999999999"):
        cluster.error(cluster.http.get(f"{url}/{bad}/audio"), 422)


def test_a_segment_not_rendered_yet_says_so(cluster: Cluster) -> None:
    job = cluster.submit()
    cluster.plan()
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/segments/0/audio")
    assert cluster.error(answer, 409)["code"] == "segment_not_ready"


def test_a_segment_that_was_deleted_is_gone(cluster: Cluster) -> None:
    url = rendered(cluster)
    cluster.storage.delete([item.key for item in cluster.storage.list("segments")])
    assert cluster.error(cluster.http.get(f"{url}/0/audio"), 410)["code"] == "audio_gone"
