"""`/v1/estimate` where no planner is: it never waits without bounds, and leaves nothing."""

import pytest

from gateway import estimates
from shared.ledger.asks import WAITING_MOST
from tests.integration.gateway.conftest import Cluster


def test_an_estimate_that_no_planner_answers_says_so_in_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "ANSWER_WITHIN_S", 0.2)
    answer = cluster.http.post("/v1/estimate", json={"input": "Hello."})
    assert cluster.error(answer, 503)["code"] == "planners_silent"
    assert int(answer.headers["Retry-After"]) >= 1
    assert not cluster.redis.keys("kc:ask:*")
    assert not cluster.redis.keys("kc:job*")


def test_an_estimate_for_which_there_is_no_room_is_refused_at_once(cluster: Cluster) -> None:
    for n in range(WAITING_MOST):
        cluster.redis.set(f"kc:ask:ask_{n}", "{}", px=20_000)
        cluster.redis.rpush("kc:asks", f"someone|ask_{n}")
    answer = cluster.http.post("/v1/estimate", json={"input": "Hello."})
    assert cluster.error(answer, 503)["code"] == "planners_busy"
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_document_larger_than_a_body_of_json_may_be_is_read_for_an_estimate_too(
    cluster: Cluster,
) -> None:
    most = cluster.settings.max_upload_bytes
    files = {"file": ("a.txt", b"x" * (most + 1))}
    answer = cluster.http.post("/v1/estimate", files=files, timeout=120)
    asked = cluster.http.post("/v1/jobs", files=files, timeout=120)
    assert answer.status_code == asked.status_code == 413
    assert answer.json() == asked.json()
