"""The metrics of a real cluster: those documented, no other, and as Prometheus wants them."""

import re
import time
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from shared.ledger.leases import Leases
from shared.ledger.meters import waiting_audio_s
from shared.ledger.states import DeliveryStatus
from shared.ledger.upkeep import Upkeep
from tests.integration.gateway.conftest import Cluster, Starter
from tests.promtool import promtool

PAGE = Path("docs/metrics.md")
WORKER = {
    "id": "synth.0",
    "role": "synth",
    "state": "rendering",
    "busy_s": 9.5,
    "shift_s": 10.0,
    "device_bytes": 1_000,
    "device_total_bytes": 8_000,
    "resident_bytes": 2_000,
    "started_at": 1_769_860_800.5,
}


def families(cluster: Cluster) -> dict[str, Metric]:
    """Scrape; return each metric by the name it is documented under."""
    answer = cluster.http.get("/metrics")
    assert answer.status_code == 200
    found = text_string_to_metric_families(answer.text)
    return {f.name + ("_total" if f.type == "counter" else ""): f for f in found}


def value(cluster: Cluster, name: str, **labels: str) -> float:
    """Return one sample's value."""
    found = families(cluster)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in found.values()
        for sample in family.samples
    }
    return samples[name, tuple(sorted(labels.items()))]


@pytest.fixture
def busy(start: Starter) -> Cluster:
    """A cluster in which everything that is measured has happened once."""
    cluster = start(metrics_keys=5)
    cluster.succeed(webhook={"url": "https://hooks.example/"})
    cluster.deliver(DeliveryStatus.DELIVERED)
    cluster.fail()
    Upkeep(cluster.redis).expire_jobs()
    Leases(cluster.redis, lease_s=5).announce("synth.0", WORKER)
    return cluster


def test_every_metric_is_documented_with_its_type_labels_and_meaning(busy: Cluster) -> None:
    shown = {}
    for name, family in families(busy).items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert family.samples or name == "kc_live_first_byte_seconds", f"{name} has no sample"
        if not name.startswith("process_"):
            shown[name] = (family.type, labels, family.documentation)
    shown["kc_live_first_byte_seconds"][1].add("route")  # no stream was begun here
    rows = re.findall(
        r"^\| `(kc_\w+)` \| (\w+) \| ([\w]+) \| (.*?) ?\| (.*) \|$", PAGE.read_text(), re.MULTILINE
    )
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, _, labels, meaning in rows
    }
    assert documented == shown


def test_prometheus_finds_nothing_to_object_to(busy: Cluster) -> None:
    promtool("check", "metrics", text=busy.http.get("/metrics").text)


def test_no_metric_names_a_job_or_what_it_says(busy: Cluster) -> None:
    job = busy.submit("A text that nobody else must see.", custom_id="my-own-number")
    scrape = busy.http.get("/metrics").text
    for secret in (job["id"], "nobody else", "my-own-number", "af_heart"):
        assert secret not in scrape


def test_ends_of_jobs_are_counted_by_status_and_failures_by_code(busy: Cluster) -> None:
    busy.http.post(f"/v1/jobs/{busy.submit()['id']}/cancel")
    ended = {
        status: value(busy, "kc_ended_jobs_total", status=status)
        for status in ("succeeded", "failed", "canceled", "expired")
    }
    assert ended == {"succeeded": 1, "failed": 1, "canceled": 1, "expired": 0}
    assert value(busy, "kc_failed_jobs_total", code="poison") == 1
    # Prometheus sees no increase of a series that begins at 1.
    assert value(busy, "kc_failed_jobs_total", code="engine_failed") == 0


def test_each_step_of_a_jobs_way_is_timed(busy: Cluster) -> None:
    assert value(busy, "kc_job_seconds_count", lane="interactive") == 1
    assert value(busy, "kc_job_seconds_count", lane="batch") == 0
    assert value(busy, "kc_job_start_seconds_count", lane="interactive") == 2
    for stage in ("plan", "synth", "assemble", "deliver"):
        assert value(busy, "kc_stage_seconds_count", stage=stage) == 1, stage
    assert value(busy, "kc_stage_seconds_sum", stage="synth") == 0.5
    assert value(busy, "kc_stage_seconds_bucket", stage="synth", le="0.25") == 0
    assert value(busy, "kc_stage_seconds_bucket", stage="synth", le="0.5") == 1
    assert value(busy, "kc_stage_seconds_bucket", stage="synth", le="+Inf") == 1


def test_what_was_rendered_is_counted_in_characters_and_in_phonemes_with_padding(
    busy: Cluster,
) -> None:
    assert value(busy, "kc_planned_chars_total") == 12
    assert value(busy, "kc_rendered_chars_total") == 6
    assert value(busy, "kc_rendered_phonemes_total") == 5
    assert value(busy, "kc_padded_phonemes_total") == 5, "one segment has no padding"


def test_audio_that_waits_is_told_before_and_after_a_text_is_planned(cluster: Cluster) -> None:
    assert value(cluster, "kc_waiting_audio_seconds") == 0
    cluster.submit("word " * 300)
    assert value(cluster, "kc_waiting_audio_seconds") == pytest.approx(100), "15 characters each"
    assert value(cluster, "kc_waiting_audio_seconds_per_worker") == pytest.approx(100)
    for name in ("synth.0", "synth.1"):
        Leases(cluster.redis, lease_s=5).announce(name, {"id": name, "role": "synth"})
    assert value(cluster, "kc_synth_workers") == 2
    assert value(cluster, "kc_waiting_audio_seconds_per_worker") == pytest.approx(50)
    cluster.plan()
    assert value(cluster, "kc_waiting_audio_seconds") == pytest.approx(5 / 15), "five phonemes"
    cluster.render()
    assert value(cluster, "kc_waiting_audio_seconds") == 0


def test_waiting_audio_goes_by_what_the_cluster_has_measured() -> None:
    pace = {"phonemes": 2_000.0, "chars": 1_000.0, "audio_s": 100.0}
    ahead = {"interactive.left": 200.0, "batch.left": 20.0, "batch.unplanned": 50.0}
    assert waiting_audio_s(ahead, pace) == pytest.approx((220 + 50 * 2) / 20)
    assert waiting_audio_s({"batch.left": -5.0}, pace) == 0, "never below nothing"


def test_a_reconciler_that_never_was_is_told_from_one_that_is(cluster: Cluster) -> None:
    cluster.redis.delete("kc:reconciled")
    assert value(cluster, "kc_reconciled_age_seconds") == float("inf")
    Upkeep(cluster.redis).expire_jobs()
    assert value(cluster, "kc_reconciled_age_seconds") < 5


def test_redis_shows_its_memory_and_its_limit(cluster: Cluster) -> None:
    cluster.redis.config_set("maxmemory", 500_000_000)
    try:
        assert value(cluster, "kc_redis_limit_bytes") == 500_000_000
        assert 0 < value(cluster, "kc_redis_used_bytes") < 500_000_000
        assert value(cluster, "kc_redis_clients") >= 1
        assert value(cluster, "kc_redis_start_time_seconds") == pytest.approx(
            time.time() - cluster.redis.info("server")["uptime_in_seconds"], abs=2
        )
    finally:
        cluster.redis.config_set("maxmemory", 0)


def test_readiness_is_shown_as_the_probe_tells_it(cluster: Cluster) -> None:
    assert value(cluster, "kc_ready", check="redis") == 1
    assert value(cluster, "kc_ready", check="engine") == 1
    assert value(cluster, "kc_ready", check="storage") == 1
    assert value(cluster, "kc_engine_info", model="espeak-ng", precision="exact", stand_in="true")
