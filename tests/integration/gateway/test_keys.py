"""Who may call, and what of others they see."""

from pathlib import Path

import pytest

from shared.apikeys import add_key, revoke_key
from shared.errors import InvalidSettings
from tests.integration.gateway.conftest import Cluster, Starter


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_key_sees_only_its_own_jobs(start: Starter, keys: Path) -> None:
    _, one = add_key(keys, "one")
    _, two = add_key(keys, "two")
    cluster = start(api_keys_file=keys, key=one)
    job = cluster.succeed()
    named = cluster.http.put("/v1/jobs/shared-name", json={"input": "Mine."})
    assert named.status_code == 202
    url = f"/v1/jobs/{job['id']}"
    for method, path in (
        ("GET", url),
        ("GET", f"{url}/audio"),
        ("GET", f"{url}/deliveries"),
        ("POST", f"{url}/cancel"),
        ("DELETE", url),
        ("GET", "/v1/jobs/shared-name"),
    ):
        answer = cluster.http.request(method, path, headers=bearer(two))
        assert cluster.error(answer, 404)["code"] == "job_not_found"
    assert cluster.http.get("/v1/jobs", headers=bearer(two)).json()["data"] == []
    # The same id of its own is another job.
    other = cluster.http.put("/v1/jobs/shared-name", json={"input": "!! 2"}, headers=bearer(two))
    assert other.status_code == 202
    assert cluster.http.get(url).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic dXNlcjpwdw==",
        "Bearer kc_000000000000_" + "0" * 64,
        "Bearer " + "k" * 10_000,
        "Bearer kc_\xff",
    ],
)
def test_without_a_good_key_nothing_is_told(start: Starter, keys: Path, header: str | None) -> None:
    add_key(keys, "one")
    cluster = start(api_keys_file=keys)
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    for path in ("/v1/jobs", "/v1/jobs/some-job", "/v1/voices", "/v1/models", "/v1/workers"):
        answer = cluster.http.get(path, headers=headers)
        assert cluster.error(answer, 401)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    answer = cluster.http.post("/v1/jobs", json={"input": "Hi."}, headers=headers)
    cluster.error(answer, 401)


def test_health_and_metrics_need_no_key(start: Starter, keys: Path) -> None:
    add_key(keys, "one")
    cluster = start(api_keys_file=keys)
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
        assert cluster.http.get(path).status_code == 200


def test_a_revoked_key_is_refused(start: Starter, keys: Path) -> None:
    key, token = add_key(keys, "one")
    revoke_key(keys, key.id)
    cluster = start(api_keys_file=keys, key=token)
    cluster.error(cluster.http.get("/v1/jobs"), 401)


def test_a_keys_own_limits_come_before_the_settings(start: Starter, keys: Path) -> None:
    _, slow = add_key(keys, "slow", rate_per_min=1, max_queued_chars=10)
    _, fast = add_key(keys, "fast")
    cluster = start(api_keys_file=keys)

    def status(token: str) -> int:
        body = {"input": "Hello."}
        return cluster.http.post("/v1/jobs", json=body, headers=bearer(token)).status_code

    assert [status(slow), status(slow), status(fast), status(fast)] == [202, 429, 202, 202]


def test_a_key_file_that_is_missing_stops_the_gateway(start: Starter, keys: Path) -> None:
    with pytest.raises(InvalidSettings):
        start(api_keys_file=keys)


def test_a_gateway_without_keys_asks_for_none(cluster: Cluster) -> None:
    assert cluster.http.get("/v1/jobs", headers=bearer("whatever")).status_code == 200
