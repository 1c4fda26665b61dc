"""What became of a job's webhooks, and sending one again."""

from gateway.schemas import Delivery
from shared.ledger.states import DeliveryStatus
from tests.integration.gateway.conftest import Cluster, Starter

HOOK = {"url": "http://public.example/hook", "events": ["job.succeeded"]}


def test_a_delivery_is_listed_with_its_attempts(cluster: Cluster) -> None:
    job = cluster.succeed(webhook=HOOK)
    cluster.deliver(DeliveryStatus.PENDING, next_s=60)
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/deliveries")
    assert answer.status_code == 200
    (delivery,) = answer.json()["data"]
    assert delivery["event"] == "job.succeeded"
    assert delivery["status"] == "pending"
    assert delivery["attempts"] == 1
    assert delivery["next_attempt_at"] > delivery["created_at"]
    assert delivery["log"] == [{"status": 500, "duration_s": 0.1}]


def test_an_exhausted_delivery_is_sent_again_under_the_same_id(cluster: Cluster) -> None:
    job = cluster.succeed(webhook=HOOK)
    cluster.deliver(DeliveryStatus.EXHAUSTED)
    url = f"/v1/jobs/{job['id']}/deliveries"
    (delivery,) = cluster.http.get(url).json()["data"]
    cluster.redis.delete("kc.deliver")
    answer = cluster.http.post(f"{url}/{delivery['id']}/replay")
    assert answer.status_code == 202
    assert answer.json()["id"] == delivery["id"]
    assert answer.json()["status"] == "pending"
    assert cluster.redis.llen("kc.deliver") == 1
    claim = cluster.worker.claim_delivery(host_slots=1)
    assert claim is not None and claim.id == delivery["id"]


def test_a_delivery_that_is_still_tried_cannot_be_replayed(cluster: Cluster) -> None:
    job = cluster.succeed(webhook=HOOK)
    url = f"/v1/jobs/{job['id']}/deliveries"
    (delivery,) = cluster.http.get(url).json()["data"]
    answer = cluster.http.post(f"{url}/{delivery['id']}/replay")
    assert cluster.error(answer, 409)["code"] == "delivery_pending"


def test_a_delivery_of_another_job_is_not_found(cluster: Cluster) -> None:
    one = cluster.succeed(webhook=HOOK)
    cluster.deliver(DeliveryStatus.EXHAUSTED)
    two = cluster.submit()
    (delivery,) = cluster.http.get(f"/v1/jobs/{one['id']}/deliveries").json()["data"]
    answer = cluster.http.post(f"/v1/jobs/{two['id']}/deliveries/{delivery['id']}/replay")
    assert cluster.error(answer, 404)["code"] == "delivery_not_found"


def test_a_canceled_job_tells_its_webhook(cluster: Cluster) -> None:
    job = cluster.submit(webhook={"url": "http://public.example/"})
    cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    (delivery,) = cluster.http.get(f"/v1/jobs/{job['id']}/deliveries").json()["data"]
    assert delivery["event"] == "job.canceled"
    assert cluster.redis.llen("kc.deliver") == 1


def test_deleting_a_job_while_its_webhook_is_sent_frees_the_hosts_slot(cluster: Cluster) -> None:
    job = cluster.succeed(webhook=HOOK)
    assert cluster.worker.claim_delivery(host_slots=1) is not None
    cluster.http.delete(f"/v1/jobs/{job['id']}")
    cluster.succeed("Another text.", webhook=HOOK)
    assert cluster.worker.claim_delivery(host_slots=1) is not None


def test_a_private_network_that_was_opened_may_be_told(start: Starter) -> None:
    cluster = start(webhook_allow_private="127.0.0.0/8", webhook_ports="*")
    cluster.submit(webhook={"url": "http://127.0.0.1:9000/hook"})


def test_a_batchs_deliveries_are_listed_and_sent_again_as_a_jobs_are(cluster: Cluster) -> None:
    hook = {"url": "https://public.example/hook"}
    body = {"items": [{"input": "One."}, {"input": "Two.", "webhook": HOOK}], "webhook": hook}
    batch = cluster.http.post("/v1/batches", json=body).json()
    url = f"/v1/batches/{batch['id']}/deliveries"
    assert cluster.http.get(url).json() == {"object": "list", "data": []}
    cluster.http.post(f"/v1/batches/{batch['id']}/cancel")
    (delivery,) = cluster.http.get(url).json()["data"]
    Delivery.model_validate(delivery)
    assert (delivery["event"], delivery["status"]) == ("batch.canceled", "pending")
    pending = cluster.http.post(f"{url}/{delivery['id']}/replay")
    assert cluster.error(pending, 409)["code"] == "delivery_pending"
    cluster.deliver(DeliveryStatus.EXHAUSTED)
    cluster.redis.delete("kc.deliver")
    again = cluster.http.post(f"{url}/{delivery['id']}/replay")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert cluster.redis.llen("kc.deliver") == 1
    for missing in ("msg_none_0", "x" * 200, "%C3%A4"):
        answer = cluster.http.post(f"{url}/{missing}/replay")
        assert cluster.error(answer, 404)["code"] == "delivery_not_found"
    (other, _) = cluster.http.get(f"/v1/batches/{batch['id']}/jobs").json()["data"]
    answer = cluster.http.post(f"/v1/jobs/{other['id']}/deliveries/{delivery['id']}/replay")
    assert cluster.error(answer, 404)["code"] == "delivery_not_found"
