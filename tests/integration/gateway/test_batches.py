"""`/v1/batches`: all or none accepted, counted to the end, canceled and deleted as one."""

import time
from typing import Any

import httpx
import pytest

from gateway.batch_requests import MAX_ITEMS
from gateway.batch_submission import MAX_WEBHOOKS
from gateway.schemas import Batch, BatchList, JobList
from shared.ledger.states import DeliveryStatus
from tests.integration.gateway.conftest import SECRET, Cluster, Starter

HOOK = {"url": "https://hooks.example/batches"}


def items(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"input": f"Text number {n}.", "custom_id": f"c{n}", **fields} for n in range(count)]


def make(cluster: Cluster, wanted: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    answer = cluster.http.post("/v1/batches", json={"items": wanted, **fields})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"].endswith(answer.json()["urls"]["self"])
    assert int(answer.headers["retry-after"]) >= 1
    return dict(answer.json())


def look(cluster: Cluster, batch: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = cluster.http.get(f"/v1/batches/{batch['id']}").json()
    Batch.model_validate(found)
    return found


def jobs_of(cluster: Cluster, batch: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    answer = cluster.http.get(f"/v1/batches/{batch['id']}/jobs", params={"limit": 100, **params})
    JobList.model_validate(answer.json())
    return list(answer.json()["data"])


def refused(cluster: Cluster, body: Any, status: int = 422) -> dict[str, Any]:
    before = cluster.redis.keys("kc:job*") + cluster.redis.keys("kc:batch*")
    answer = cluster.http.post("/v1/batches", json=body)
    after = cluster.redis.keys("kc:job*") + cluster.redis.keys("kc:batch*")
    assert sorted(after) == sorted(before)
    return cluster.error(answer, status)


def work_off(cluster: Cluster, count: int) -> None:
    for _ in range(count):
        cluster.plan()
        cluster.render()
        cluster.assemble()


def counts(**ended: int) -> dict[str, int]:
    return {**dict.fromkeys(("total", "succeeded", "failed", "canceled", "expired"), 0), **ended}


def test_a_batchs_jobs_wait_in_its_order_and_in_the_batch_lane(cluster: Cluster) -> None:
    wanted = [
        *items(30),
        {"input": "Without a name."},
        {"input": "Now.", "priority": "interactive"},
    ]
    batch = make(cluster, wanted, metadata={"course": "spring"})
    assert batch["status"] == "in_progress"
    assert batch["request_counts"] == counts(total=32)
    assert batch["metadata"] == {"course": "spring"}
    jobs = jobs_of(cluster, batch)
    names = [*(f"c{n}" for n in range(30)), "30", "31"]
    assert [job["custom_id"] for job in jobs] == names
    assert {job["batch_id"] for job in jobs} == {batch["id"]}
    # The interactive one goes first, then all as they came.
    assert [job["queue_position"] for job in jobs] == [*range(1, 32), 0]
    lanes = [cluster.redis.hget(f"kc:job:{job['id']}", "lane") for job in jobs]
    assert lanes == [*[b"batch"] * 31, b"interactive"]
    assert cluster.http.get("/v1/jobs", params={"custom_id": "c7"}).json()["data"] == [jobs[7]]


def test_counts_grow_with_each_end_and_the_batch_ends_with_the_last(cluster: Cluster) -> None:
    batch = make(cluster, items(4))
    work_off(cluster, 2)
    claim = cluster.worker.claim_plan(bytes_most=10**6)
    assert claim is not None
    cluster.worker.fail_stage(claim, code="poison", message="It broke.", permanent=True)
    assert look(cluster, batch)["request_counts"] == counts(total=4, succeeded=2, failed=1)
    assert look(cluster, batch)["status"] == "in_progress"
    last = jobs_of(cluster, batch, status="queued")
    assert [job["custom_id"] for job in last] == ["c3"]
    assert cluster.http.post(f"/v1/jobs/{last[0]['id']}/cancel").status_code == 202
    ended = look(cluster, batch)
    assert ended["request_counts"] == counts(total=4, succeeded=2, failed=1, canceled=1)
    assert ended["status"] == "completed", "it was a job that was canceled, not the batch"
    assert ended["completed_at"] is not None
    error = cluster.error(cluster.http.post(f"/v1/batches/{batch['id']}/cancel"), 409)
    assert error["code"] == "batch_terminal"


def test_canceling_a_batch_ends_what_is_open_and_nothing_else(cluster: Cluster) -> None:
    batch = make(cluster, items(20), webhook=HOOK)
    work_off(cluster, 1)
    other = cluster.submit("Of no batch.")
    answer = cluster.http.post(f"/v1/batches/{batch['id']}/cancel")
    assert answer.status_code == 202
    assert answer.json()["status"] == "canceled"
    assert look(cluster, batch)["request_counts"] == counts(total=20, succeeded=1, canceled=19)
    assert cluster.http.get(f"/v1/jobs/{other['id']}").json()["status"] == "queued"
    assert cluster.redis.zcard("kc:queue:plan") == 1
    claim = cluster.worker.claim_delivery(host_slots=4)
    assert claim is not None
    assert (claim.event, claim.uid) == ("batch.canceled", batch["id"])


def test_a_batchs_webhook_is_owed_once_its_last_job_has_ended(cluster: Cluster) -> None:
    batch = make(cluster, items(2), webhook={**HOOK, "events": ["batch.completed"]})
    work_off(cluster, 1)
    assert cluster.worker.claim_delivery(host_slots=4) is None
    work_off(cluster, 1)
    claim = cluster.worker.claim_delivery(host_slots=4)
    assert claim is not None
    assert (claim.event, claim.url) == ("batch.completed", HOOK["url"])
    cluster.worker.record_attempt(claim, status=DeliveryStatus.DELIVERED, next_s=0, entry={})
    assert cluster.worker.claim_delivery(host_slots=4) is None
    assert look(cluster, batch)["request_counts"] == counts(total=2, succeeded=2)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"voice": "af_hart"}, "items.17.voice", "unknown_voice"),
        ({"speed": 9}, "items.17.speed", "invalid_input"),
        ({"input": "!?"}, "items.17.input", "nothing_to_speak"),
        ({"input": "[pause:never]"}, "items.17.input", "invalid_markup"),
        ({"language": "tlh"}, "items.17.language", "unknown_language"),
        ({"model": "other"}, "items.17.model", "unknown_model"),
        ({"lexicons": ["nowhere"]}, "items.17.lexicons", "unknown_lexicon"),
        ({"custom_id": "c3"}, "items.17.custom_id", "invalid_input"),
        ({"colour": "red"}, "items.17.colour", "invalid_input"),
        ({"deadline_s": 10**9}, "items.17.deadline_s", "invalid_input"),
        ({"webhook": {"url": "ftp://x.example/"}}, "items.17.webhook.url", "invalid_webhook"),
        ({"webhook": {"url": "http://10.0.0.1/"}}, "items.17.webhook.url", None),
    ],
)
def test_what_is_wrong_with_an_item_names_it_and_nothing_is_recorded(
    cluster: Cluster, change: dict[str, Any], param: str, code: str | None
) -> None:
    wanted = items(20)
    wanted[17] |= change
    error = refused(cluster, {"items": wanted})
    assert error["param"].removesuffix(".url") == param.removesuffix(".url")
    assert error["message"].startswith("items.17") or "items.17" in error["message"]
    assert code is None or error["code"] == code


def test_what_is_wrong_with_the_batch_itself_is_said(cluster: Cluster) -> None:
    assert refused(cluster, {"items": []})["param"] == "items"
    assert refused(cluster, {})["param"] == "items"
    assert refused(cluster, {"items": items(MAX_ITEMS + 1)})["param"] == "items"
    assert refused(cluster, {"items": items(1), "colour": 1})["param"] == "colour"
    assert refused(cluster, {"items": items(1), "webhook": {"url": "no"}})["param"] == "webhook.url"
    assert refused(cluster, [1])["code"] == "invalid_input"
    many = [
        {"input": "Hello.", "webhook": {"url": f"https://{n}.example/"}}
        for n in range(MAX_WEBHOOKS + 1)
    ]
    assert refused(cluster, {"items": many})["param"] == f"items.{MAX_WEBHOOKS}.webhook"
    deep = "[" * 100_000
    answer = cluster.http.post(
        "/v1/batches", content=deep, headers={"content-type": "application/json"}
    )
    cluster.error(answer, 400)


def test_a_thousand_jobs_are_one_answer_and_other_clients_hardly_wait(cluster: Cluster) -> None:
    wanted = items(MAX_ITEMS)
    began = time.monotonic()
    batch = make(cluster, wanted)
    took_s = time.monotonic() - began
    assert took_s < 20
    assert batch["request_counts"]["total"] == MAX_ITEMS
    assert cluster.redis.zcard("kc:queue:plan") == MAX_ITEMS
    slowest = max(
        (int(row["duration"]) for row in cluster.redis.slowlog_get(128)), default=0
    )  # microseconds
    assert slowest < 500_000
    pages, after = [], None
    while True:
        page = cluster.http.get(
            f"/v1/batches/{batch['id']}/jobs",
            params={"limit": 100, **({"after": after} if after else {})},
        ).json()
        pages += [job["custom_id"] for job in page["data"]]
        after = page["after"]
        if not page["has_more"]:
            break
    assert pages == [f"c{n}" for n in range(MAX_ITEMS)]
    assert cluster.http.post(f"/v1/batches/{batch['id']}/cancel").json()["status"] == "canceled"
    assert cluster.redis.get("kc:queued_jobs") == b"0"


def test_repeating_a_batch_under_its_key_makes_it_once(cluster: Cluster) -> None:
    def post(count: int) -> httpx.Response:
        headers = {"Idempotency-Key": "once"}
        return cluster.http.post("/v1/batches", json={"items": items(count)}, headers=headers)

    first, again = post(2), post(2)
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    assert cluster.redis.get("kc:queued_jobs") == b"2"
    assert cluster.error(post(3), 422)["code"] == "idempotency_conflict"
    # A job of the same key's is another thing.
    job = cluster.http.post("/v1/jobs", json={"input": "Hi."}, headers={"Idempotency-Key": "once"})
    assert job.status_code == 202
    work_off(cluster, 3)
    assert post(2).status_code == 200, "its jobs have ended"


def test_admission_counts_the_sum_and_takes_all_or_none(start: Starter) -> None:
    cluster = start(max_queued_jobs=5, key_rate_per_min=3, key_max_queued_chars=100)
    batch = make(cluster, [{"input": "x" * 10}] * 3)
    assert refused(cluster, {"items": [{"input": "x" * 10}] * 3}, 503)["code"] == "system_full"
    assert refused(cluster, {"items": [{"input": "x" * 71}]}, 429)["code"] == "key_full"
    answer = cluster.http.post("/v1/batches", json={"items": [{"input": "x" * 10}] * 2})
    assert answer.status_code == 202
    # To the rate those were two requests, and the refused ones none.
    cluster.http.post(f"/v1/batches/{batch['id']}/cancel")
    assert cluster.http.post("/v1/jobs", json={"input": "x"}).status_code == 202
    late = cluster.http.post("/v1/batches", json={"items": items(1)})
    assert cluster.error(late, 429)["code"] == "rate_limited"
    assert int(late.headers["retry-after"]) >= 1


def test_a_deleted_batch_takes_its_jobs_and_webhooks_along(cluster: Cluster) -> None:
    batch = make(cluster, items(3, webhook=HOOK), webhook=HOOK)
    url = f"/v1/batches/{batch['id']}"
    assert cluster.error(cluster.http.delete(url), 409)["code"] == "batch_running"
    work_off(cluster, 2)
    cluster.http.post(f"{url}/cancel")
    # One that is deleted by itself is counted all the same.
    (succeeded, *_) = jobs_of(cluster, batch, status="succeeded")
    assert cluster.http.delete(f"/v1/jobs/{succeeded['id']}").status_code == 204
    assert look(cluster, batch)["request_counts"] == counts(total=3, succeeded=2, canceled=1)
    assert len(jobs_of(cluster, batch)) == 2
    assert cluster.http.delete(url).status_code == 204
    assert cluster.error(cluster.http.get(url), 404)["code"] == "batch_not_found"
    for pattern in ("kc:job:*", "kc:batch:*", "kc:batches:*", "kc:delivery:*", "kc:custom:*"):
        assert not cluster.redis.keys(pattern), pattern
    assert not cluster.redis.zcard("kc:due")


def test_a_batch_goes_with_the_last_of_its_jobs(cluster: Cluster) -> None:
    batch = make(cluster, items(2))
    work_off(cluster, 2)
    for job in jobs_of(cluster, batch):
        assert look(cluster, batch)["status"] == "completed"
        assert cluster.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    cluster.error(cluster.http.get(f"/v1/batches/{batch['id']}"), 404)
    assert cluster.http.get("/v1/batches").json()["data"] == []


def test_batches_are_listed_newest_first_page_by_page(cluster: Cluster) -> None:
    made = [make(cluster, items(1))["id"] for _ in range(5)]
    seen: list[str] = []
    after = None
    for _ in range(3):
        params: dict[str, Any] = {"limit": 2, **({"after": after} if after else {})}
        page = cluster.http.get("/v1/batches", params=params).json()
        BatchList.model_validate(page)
        seen += [batch["id"] for batch in page["data"]]
        after = page["after"]
    assert after is None
    assert sorted(seen) == sorted(made)
    dates = [look(cluster, {"id": batch_id})["created_at"] for batch_id in seen]
    assert dates == sorted(dates, reverse=True)
    for bad in ({"after": "x"}, {"limit": 0}, {"limit": 101}):
        cluster.error(cluster.http.get("/v1/batches", params=bad), 422)


def test_a_cluster_without_a_secret_takes_no_batch_with_a_webhook(start: Starter) -> None:
    cluster = start(webhook_secret="")
    error = refused(cluster, {"items": items(1), "webhook": HOOK})
    assert (error["code"], error["param"]) == ("webhooks_not_configured", "webhook")
    assert SECRET not in str(error)
