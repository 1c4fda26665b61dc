"""Redis is full, and the bucket slow, while clients go on submitting."""

import re
from collections import Counter

import httpx
import pytest

from tests.faults.cluster import FaultCluster
from tests.faults.rows_redis import begun
from tests.integration.operations.conftest import Begin

pytestmark = pytest.mark.slow

ROOM_BYTES = 600_000


def submit_until_refused(cluster: FaultCluster) -> tuple[list[str], httpx.Response]:
    """Submit until that is answered by anything but 202; return those accepted, and the answer."""
    accepted: list[str] = []
    for _ in range(2000):
        answer = cluster.post({"input": cluster.words(), "response_format": "wav"})
        if not answer.is_success:
            return accepted, answer
        accepted.append(cluster.note_accepted(answer))
    raise AssertionError("never refused")


def test_a_full_redis_refuses_and_is_given_room_and_loses_nothing(begin: Begin) -> None:
    operator = begin()
    cluster = operator.cluster
    cluster.start_all(synth=1, deliver=False)
    old = [cluster.submit(cluster.words()) for _ in range(40)]
    assert {view["status"] for view in cluster.wait_for(old)} == {"succeeded"}
    cluster.supervisor.end(["plan.0"])  # so that what is accepted stays
    used = cluster.ledger.info("memory")["used_memory"]
    cluster.ledger.config_set("maxmemory", used + ROOM_BYTES)
    jobs, refused = submit_until_refused(cluster)
    assert jobs
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "system_full")
    assert int(refused.headers["retry-after"]) > 0
    with operator.situation("Redis is full") as steps:
        said = steps.next()
        assert "maxmemory_policy:noeviction" in said
        assert 'kc_jobs{status="succeeded"} 40.0' in said
        numbers = dict(re.findall(r"^kc_redis_(used|limit)_bytes ([0-9.e+]+)$", said, re.MULTILINE))
        assert float(numbers["used"]) > 0.9 * float(numbers["limit"])

        steps.next()
        assert {cluster.look(job)["status"] for job in old} == {"missing"}
        more, refused = submit_until_refused(cluster)
        assert more, "what was deleted made room"
        assert refused.status_code == 503
        jobs += more

        assert '"redis"' in steps.next()
        assert cluster.ledger.config_get("maxmemory")["maxmemory"] == str(512 * 1024**2)
        jobs.append(cluster.submit(cluster.words(), within_s=5))
    cluster.start_stage("plan")
    assert Counter(view["status"] for view in cluster.wait_for(jobs, 180)) == {
        "succeeded": len(jobs)
    }


def test_a_slow_bucket_is_seen_and_waited_for_and_nothing_is_rendered_twice(begin: Begin) -> None:
    operator = begin(bucket=True)
    cluster = operator.cluster
    proxy = cluster.store_proxy
    assert proxy is not None
    cluster.start_all(synth=1, deliver=False, model="scripted:sleep_s=0.2", batch_max=2)
    before = [cluster.submit(cluster.words()) for _ in range(6)]
    assert {view["status"] for view in cluster.wait_for(before)} == {"succeeded"}
    stored = 'curl -s "$KC_URL/metrics" | grep "^kc_stage_seconds_.*store"'
    fast_s = mean_s(operator.shell(stored))
    proxy.delay_s = 1.0
    jobs = [cluster.submit(cluster.words()) for _ in range(8)]
    cluster.wait(lambda: mean_s(operator.shell(stored)) > 3 * fast_s)
    with operator.situation("The bucket is slow") as steps:
        said = steps.next()
        assert mean_s(said) > 3 * fast_s
        assert 'kc_ready{check="storage"} 1.0' in said, "slow is not away"
        said = steps.next()
        assert re.search(r"took [1-9][0-9.]* s", said), said
        said = steps.next()
        assert '"object":"cluster"' in said.replace(" ", "")
    views = cluster.wait_for(jobs, 120)
    assert {view["status"] for view in views} == {"succeeded"}
    rows = begun(cluster, jobs)
    assert len(rows) == len(set(rows)) == len(jobs), "nothing was rendered again"
    assert not cluster.supervisor.exits
    proxy.delay_s = 0.0


def mean_s(said: str) -> float:
    """Return the seconds a batch took to be stored, from the stage's sum and count."""
    numbers = dict(re.findall(r'_(sum|count)\{stage="store"\} ([0-9.e+-]+)', said))
    return float(numbers["sum"]) / float(numbers["count"])
