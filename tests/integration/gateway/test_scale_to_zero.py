"""What a gateway does while no synth worker is there at all, as after scaling to zero."""

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.gateway.conftest import Cluster, Starter


def waiting_s(cluster: Cluster) -> float:
    """Return what the scaler asks for."""
    families = text_string_to_metric_families(cluster.http.get("/metrics").text)
    (family,) = [f for f in families if f.name == "kc_waiting_audio_seconds"]
    return float(family.samples[0].value)


def test_a_job_is_accepted_with_no_worker_left_and_its_seconds_call_for_one(
    start: Starter,
) -> None:
    cluster = start()
    workers = cluster.http.get("/v1/workers").json()["data"]
    assert not [worker for worker in workers if worker["role"] == "synth"]
    assert cluster.http.get("/health/ready").status_code == 200, "it knows what was spoken with"
    assert waiting_s(cluster) == 0, "nothing calls for a worker"
    answer = cluster.http.post("/v1/jobs", json={"input": "Is anybody there?"})
    assert answer.status_code == 202
    assert waiting_s(cluster) > 0
