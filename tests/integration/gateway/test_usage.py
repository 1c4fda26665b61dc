"""What each key's jobs came to."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.apikeys import add_key
from tests.integration.gateway.conftest import Cluster, Starter

NOTHING = {"succeeded": 0, "failed": 0, "canceled": 0, "expired": 0}


def usage(cluster: Cluster, **params: str) -> dict[str, Any]:
    """Return what the caller has used."""
    found = cluster.http.get("/v1/usage", params=params).raise_for_status().json()
    return dict(found)


def today() -> str:
    """Return the day, UTC."""
    return datetime.now(UTC).date().isoformat()


def test_jobs_that_ended_are_counted_by_day_with_the_audio_of_those_that_succeeded(
    cluster: Cluster,
) -> None:
    assert usage(cluster)["data"] == []
    first, second = cluster.succeed(), cluster.succeed()
    canceled = cluster.submit("Never made.")
    cluster.http.post(f"/v1/jobs/{canceled['id']}/cancel").raise_for_status()
    cluster.submit("Still open.")
    used = usage(cluster)
    amount = {
        "characters": first["input_chars"] + second["input_chars"],
        "audio_s": first["progress"]["audio_s"] + second["progress"]["audio_s"],
        "jobs": {**NOTHING, "succeeded": 2, "canceled": 1},
    }
    assert amount["audio_s"] > 0
    assert used["total"] == amount
    assert used["data"] == [{"date": today(), **amount}]
    assert used["to"] == today()


def test_what_is_said_twice_or_deleted_later_counts_once(cluster: Cluster) -> None:
    job = cluster.succeed()
    before = usage(cluster)["total"]
    cluster.http.post(f"/v1/jobs/{job['id']}/cancel")  # ended already
    cluster.http.delete(f"/v1/jobs/{job['id']}").raise_for_status()
    assert usage(cluster)["total"] == before
    assert before["jobs"]["succeeded"] == 1


def test_a_key_sees_its_own_usage_only(start: Starter, tmp_path: Path) -> None:
    _, one = add_key(tmp_path / "keys.json", "one")
    _, two = add_key(tmp_path / "keys.json", "two")
    cluster = start(api_keys_file=tmp_path / "keys.json", key=one)
    cluster.succeed()
    assert usage(cluster)["total"]["jobs"]["succeeded"] == 1
    cluster.http.headers["Authorization"] = f"Bearer {two}"
    assert usage(cluster)["total"]["jobs"] == NOTHING


def test_metrics_name_the_keys_that_used_most_only_where_that_is_set(
    start: Starter, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    key, one = add_key(keys, "course maker")
    cluster = start(api_keys_file=keys, key=one, metrics_keys=1)
    job = cluster.succeed()
    text = cluster.http.get("/metrics").text
    labels = f'{{key="{key.id}",name="course maker"}}'
    assert f"kc_key_chars_total{labels} {float(job['input_chars'])}" in text
    assert f"kc_key_audio_seconds_total{labels} {float(job['progress']['audio_s'])}" in text
    quiet = start(api_keys_file=keys, key=one)
    assert "course maker" not in quiet.http.get("/metrics").text


def test_only_the_days_asked_for_are_told(cluster: Cluster) -> None:
    cluster.succeed()
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    assert usage(cluster, to=yesterday)["data"] == []
    assert len(usage(cluster, **{"from": yesterday, "to": today()})["data"]) == 1


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
    ],
)
def test_days_that_are_none_are_named(cluster: Cluster, params: dict[str, str], param: str) -> None:
    answer = cluster.http.get("/v1/usage", params=params)
    assert cluster.error(answer, 422)["param"] == param


def test_a_days_usage_is_kept_for_a_year_and_a_month_and_not_for_ever(cluster: Cluster) -> None:
    cluster.succeed()
    (key,) = cluster.redis.keys("kc:usage:*")
    assert 399 * 86_400 < cluster.redis.ttl(key) <= 400 * 86_400
