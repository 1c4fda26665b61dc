"""Submitting: what is recorded, what a repeat gets, how long an answer is held."""

import threading
import time

import httpx
import pytest

from gateway.preferences import LOOK_EVERY_S
from shared.voices import parse_voice
from tests.integration.gateway.conftest import MANIFEST, Cluster, Starter


def test_a_submission_is_answered_with_the_queued_job_and_where_to_find_it(
    cluster: Cluster,
) -> None:
    answer = cluster.http.post(
        "/v1/jobs", json={"input": "Hello.", "custom_id": "c-1", "metadata": {"a": "b"}}
    )
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == job["urls"]["self"]
    assert answer.headers["retry-after"] == "1"
    assert job["status"] == "queued"
    assert job["input_chars"] == 6
    assert job["custom_id"] == "c-1"
    assert job["metadata"] == {"a": "b"}
    assert job["queue_position"] == 0
    assert job["metrics"]["stand_in"] is True
    assert job["metrics"]["model"] == MANIFEST.model
    assert cluster.http.get(job["urls"]["self"]).json() == job


def test_a_submission_wakes_the_planners(cluster: Cluster) -> None:
    cluster.submit()
    assert cluster.redis.llen("kc.plan") == 1


def test_the_voice_gives_the_language_unless_one_is_named(cluster: Cluster) -> None:
    cluster.submit(voice="bm_george")
    claim = cluster.worker.claim_plan(bytes_most=10**6)
    assert claim is not None and claim.spec.language == "en-gb"
    cluster.submit(voice="custom", language="FR")
    claim = cluster.worker.claim_plan(bytes_most=10**6)
    assert claim is not None and claim.spec.language == "fr"


@pytest.mark.parametrize(
    "voice",
    ["af_bella(2)+af_heart(1)", " af_heart + af_bella(0.3) ", "af_heart(9999)+af_bella(0.0001)"],
)
def test_workers_are_given_the_very_mix_that_was_asked_for(cluster: Cluster, voice: str) -> None:
    cluster.submit(voice=voice)
    claim = cluster.worker.claim_plan(bytes_most=10**6)
    assert claim is not None
    assert claim.spec.mix == parse_voice(voice)
    assert claim.engine.voice == claim.spec.mix.fingerprint(MANIFEST.voices)


def test_mp3_is_made_when_no_format_is_named(cluster: Cluster) -> None:
    cluster.submit()
    claim = cluster.worker.claim_plan(bytes_most=10**6)
    assert claim is not None and claim.spec.outputs == ("mp3",)


def test_an_idempotency_key_gives_the_first_job_again(cluster: Cluster) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = cluster.http.post("/v1/jobs", json={"input": "One."}, headers=headers)
    # The same request with its defaults spelled out means the same.
    again = cluster.http.post("/v1/jobs", json={"speed": 1, "input": "One."}, headers=headers)
    other = cluster.http.post("/v1/jobs", json={"input": "Two."}, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert cluster.error(other, 422)["code"] == "idempotency_conflict"
    assert len(cluster.http.get("/v1/jobs").json()["data"]) == 1


def test_a_repeat_after_the_end_is_answered_200(cluster: Cluster) -> None:
    headers = {"Idempotency-Key": "k-1"}
    cluster.http.post("/v1/jobs", json={"input": "Hello there."}, headers=headers)
    cluster.plan()
    cluster.render()
    cluster.assemble()
    again = cluster.http.post("/v1/jobs", json={"input": "Hello there."}, headers=headers)
    assert again.status_code == 200
    assert again.json()["status"] == "succeeded"


@pytest.mark.parametrize("key", ["", "k" * 256, "naïve"])
def test_a_bad_idempotency_key_is_refused(cluster: Cluster, key: str) -> None:
    answer = cluster.http.post(
        "/v1/jobs", json={"input": "Hi."}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert cluster.error(answer, 400)["param"] == "Idempotency-Key"


def test_a_job_can_be_put_under_an_id_of_ones_own(cluster: Cluster) -> None:
    first = cluster.http.put("/v1/jobs/my-book_1", json={"input": "One."})
    again = cluster.http.put("/v1/jobs/my-book_1", json={"input": "One."})
    other = cluster.http.put("/v1/jobs/my-book_1", json={"input": "Two."})
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"] == "my-book_1"
    assert first.headers["location"].endswith("/v1/jobs/my-book_1")
    assert cluster.http.get("/v1/jobs/my-book_1").json()["input_chars"] == 4
    assert cluster.error(other, 422)["code"] == "idempotency_conflict"


@pytest.mark.parametrize("name", ["ab", "a" * 65, "with.dot", "job_mine", "sp%20ace", "%00%00%00"])
def test_an_id_of_ones_own_has_rules(cluster: Cluster, name: str) -> None:
    answer = cluster.http.put(f"/v1/jobs/{name}", json={"input": "One."})
    assert cluster.error(answer, 422)["param"] == "client_id"


def test_prefer_wait_holds_the_answer_until_the_job_has_ended(cluster: Cluster) -> None:
    def work() -> None:
        while cluster.redis.zcard("kc:queue:plan") == 0:
            time.sleep(0.01)
        cluster.plan()
        cluster.render()
        cluster.assemble()

    thread = threading.Thread(target=work)
    thread.start()
    answer = cluster.http.post(
        "/v1/jobs", json={"input": "Hello."}, headers={"Prefer": "respond-async, wait=20"}
    )
    thread.join()
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["status"] == "succeeded"


def test_a_held_answer_is_given_as_soon_as_the_job_ends_even_after_the_word_was_cut_off(
    cluster: Cluster,
) -> None:
    waits = []

    def end_jobs() -> None:
        for _ in range(3):
            while not cluster.redis.zcard("kc:queue:plan"):
                time.sleep(0.01)
            (job,) = cluster.http.get("/v1/jobs?limit=1").json()["data"]
            time.sleep(0.6)
            cluster.redis.client_kill_filter(_type="pubsub")
            time.sleep(0.9)  # time to subscribe again, none to look once more
            waits.append(time.monotonic())
            cluster.http.post(f"/v1/jobs/{job['id']}/cancel")

    thread = threading.Thread(target=end_jobs)
    thread.start()
    with httpx.Client(base_url=cluster.http.base_url, timeout=30, trust_env=False) as waiting:
        for n in range(3):
            answer = waiting.post(
                "/v1/jobs", json={"input": "Hello."}, headers={"Prefer": "wait=20"}
            )
            waits[n] = time.monotonic() - waits[n]
            assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    thread.join()
    assert min(waits) < 0.3
    assert max(waits) < LOOK_EVERY_S + 0.5


def test_prefer_wait_gives_up_after_its_time(cluster: Cluster) -> None:
    began = time.monotonic()
    answer = cluster.http.post("/v1/jobs", json={"input": "Hi."}, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert 0.9 < time.monotonic() - began < 5


def test_a_held_answer_is_given_when_the_server_stops(start: Starter) -> None:
    cluster = start()
    answers: list[httpx.Response] = []

    def hold() -> None:
        headers = {"Prefer": "wait=60"}
        answers.append(cluster.http.post("/v1/jobs", json={"input": "Hi."}, headers=headers))

    thread = threading.Thread(target=hold)
    thread.start()
    while cluster.redis.zcard("kc:queue:plan") == 0:
        time.sleep(0.01)
    cluster.server.handle_exit(15, None)
    thread.join(10)
    assert [answer.status_code for answer in answers] == [202]


def test_without_an_engine_a_submission_is_told_to_come_back(start: Starter) -> None:
    cluster = start(engine=None)
    answer = cluster.http.post("/v1/jobs", json={"input": "Hi."})
    assert cluster.error(answer, 503)["code"] == "no_engine"
    assert int(answer.headers["retry-after"]) >= 1


def test_the_wait_advised_is_the_queue_over_the_measured_speed(start: Starter) -> None:
    cluster = start()
    now_s, _ = cluster.redis.time()
    bucket = f"kc:rate:{now_s // 10}"
    cluster.redis.hset(bucket, mapping={"chars": 100, "audio_s": 10, "busy_s": 10})
    answer = cluster.http.post("/v1/jobs", json={"input": "a" * 200})
    assert answer.headers["retry-after"] == "20"


def test_the_cap_on_jobs_is_answered_503_and_nothing_is_recorded(start: Starter) -> None:
    cluster = start(max_queued_jobs=1)
    cluster.submit()
    answer = cluster.http.post("/v1/jobs", json={"input": "Hi."})
    assert cluster.error(answer, 503)["code"] == "system_full"
    assert int(answer.headers["retry-after"]) >= 1
    assert len(cluster.http.get("/v1/jobs").json()["data"]) == 1


def test_a_keys_limits_are_answered_429(start: Starter) -> None:
    cluster = start(key_rate_per_min=2, key_max_queued_chars=20)
    cluster.submit("a" * 20)
    answer = cluster.http.post("/v1/jobs", json={"input": "b" * 20})
    assert cluster.error(answer, 429)["code"] == "key_full"
    cluster.http.post(f"/v1/jobs/{cluster.http.get('/v1/jobs').json()['data'][0]['id']}/cancel")
    cluster.submit("c" * 20)
    answer = cluster.http.post("/v1/jobs", json={"input": "d"})
    assert cluster.error(answer, 429)["code"] == "rate_limited"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize("model", ["kokoro", MANIFEST.model, "espeak"])
def test_the_loaded_model_has_several_names(cluster: Cluster, model: str) -> None:
    assert cluster.submit(model=model)["metrics"]["model"] == MANIFEST.model
