"""Web pages of other origins: refused by default, let in by name."""

import pytest

from gateway.cross_origin import cross_origin
from shared.errors import InvalidSettings
from tests.integration.gateway.conftest import Cluster, Starter

PAGE = "https://app.example"


def test_no_page_of_another_origin_is_let_in_by_default(cluster: Cluster) -> None:
    answer = cluster.http.get("/v1/voices", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_page_may_submit_with_a_key_and_read_where_its_job_is(start: Starter) -> None:
    cluster = start(cors_origins=f"http://other.example:8080, {PAGE}")
    asked = cluster.http.options(
        "/v1/jobs",
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
    )
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    made = cluster.http.post("/v1/jobs", json={"input": "Hi."}, headers={"Origin": PAGE})
    assert made.status_code == 202
    assert made.headers["access-control-allow-origin"] == PAGE
    assert "Location" in made.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in made.headers


def test_another_page_is_still_refused_and_errors_can_be_read_by_the_named_one(
    start: Starter,
) -> None:
    cluster = start(cors_origins=PAGE)
    other = cluster.http.get("/v1/voices", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    bad = cluster.http.post("/v1/jobs", content=b"{", headers={"Origin": PAGE})
    assert bad.status_code == 415
    assert bad.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origins", ["app.example", "https://app.example/", "https://a b", ","])
def test_what_is_no_origin_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(InvalidSettings, match="KC_CORS_ORIGINS"):
        cross_origin(origins)


def test_probes_written_for_the_usual_server_are_answered(cluster: Cluster) -> None:
    answer = cluster.http.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
