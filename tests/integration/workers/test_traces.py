"""One job's trace, through real processes to a real receiver of OTLP."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import free_port
from tests.integration.workers.collector import NO_SPAN, Collector, Span, collecting
from tests.integration.workers.conftest import Cluster

MARK = "Quorvexil"
TEXT = f"The {MARK} of a private sentence numbered 40213. Another one of it."
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
SECRET = "whsec_cHJpdmF0ZS1zaWduaW5nLXNlY3JldC0wMDAwMDAwMQ=="
STAGES = ("plan", "synth", "assemble", "deliver", "reconciler")
WORK = ("plan", "synth", "assemble", "deliver")

pytestmark = pytest.mark.slow


@contextmanager
def running(whole: Cluster, **settings: Any) -> Iterator[httpx.Client]:
    """Run every process of a cluster for a block; yield a client of its gateway."""
    port = free_port()
    allowed: dict[str, Any] = {
        "webhook_secret": SECRET,
        "webhook_allow_private": "127.0.0.0/8",
        "webhook_ports": "*",
        "webhook_schedule_s": "0.1",
        **settings,
    }
    whole.start("gateway", port=port, **allowed)
    for stage in STAGES:
        whole.start(stage, **allowed)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
        whole.wait(lambda: is_ready(http), 90)
        yield http
    whole.group.stop()


def is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").is_success
    except httpx.TransportError:
        return False


@contextmanager
def receiving(status: int = 204) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Receive webhooks for a block; yield the address, and the headers that came."""
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?key={MARK}", got
    server.shutdown()
    server.server_close()
    thread.join(10)


def submit(http: httpx.Client, text: str, *, traced: bool = False, **more: Any) -> dict[str, Any]:
    body = {"input": text, "response_format": "wav", **more}
    answer = http.post("/v1/jobs", json=body, headers=TRACEPARENT if traced else {})
    return dict(answer.raise_for_status().json())


def ended(whole: Cluster, http: httpx.Client, uid: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(f"/v1/jobs/{uid}").raise_for_status().json()
        return job if job["status"] not in {"queued", "processing"} else None

    return dict(whole.wait(look, 90))


def by_name(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


def spans_of(whole: Cluster, collector: Collector, uid: str, names: set[str]) -> list[Span]:
    """Return a job's spans once there is one of each name."""

    def look() -> list[Span]:
        spans = collector.of_job(uid)
        return spans if {span.name for span in spans} >= names else []

    return list(whole.wait(look, 30))


def test_one_trace_follows_a_job_from_its_caller_to_its_webhook(whole: Cluster) -> None:
    with collecting() as collector, receiving() as (url, hooks):
        # FastAPI's own telemetry, which quotes what it was sent, stays off.
        whole.environment = collector.environment | {"FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
        with running(whole) as http:
            uid = submit(http, TEXT, traced=True, webhook={"url": url})["id"]
            assert http.post("/v1/jobs", json={"input": [MARK]}).status_code == 422
            assert ended(whole, http, uid)["status"] == "succeeded"
            spans_of(whole, collector, uid, {"accept", *WORK})
            whole.wait(lambda: len(collector.of(TRACE)) >= 6)
        spans = collector.of(TRACE)
    assert sorted(span.name for span in spans) == sorted(
        ["POST /v1/jobs", "accept", "plan", "synth", "assemble", "deliver"]
    )
    request, accept = by_name(spans, "POST /v1/jobs"), by_name(spans, "accept")
    assert request.parent == CALLER
    assert accept.parent == request.span_id
    assert request.facts["http.response.status_code"] == 202
    assert request.facts["http.route"] == "/v1/jobs"
    work = [by_name(spans, name) for name in WORK]
    assert {span.parent for span in work} == {accept.span_id}
    assert [span.service for span in work] == [f"kokoro-{name}" for name in WORK]
    assert len({span.resource["process.pid"] for span in spans}) == 5
    for span in work:
        assert span.facts["kc.job.id"] == uid
        assert span.facts["kc.lane"] == "interactive"
        assert span.facts["kc.attempt"] == 1
        assert not span.failed
        assert 0 <= span.took_s < 30
    plan, synth, assemble, deliver = work
    assert plan.facts["kc.chars"] == len(TEXT)
    assert plan.facts["kc.segments"] == synth.facts["kc.segments"] == 1
    assert synth.facts["kc.audio_s"] == pytest.approx(assemble.facts["kc.audio_s"], abs=0.01)
    assert plan.began_s <= synth.began_s <= assemble.began_s <= deliver.began_s
    assert deliver.facts["http.response.status_code"] == 204
    assert deliver.facts["server.address"] == "127.0.0.1"
    (hook,) = hooks
    assert hook["traceparent"] == f"00-{TRACE}-{deliver.span_id}-01"
    assert collector.paths == {"/v1/traces"}
    sent = b"".join(collector.raw).lower()
    for private in (MARK, "private sentence", "40213", SECRET[6:], "key="):
        assert private.lower().encode() not in sent, private
    for name in ("gateway", *WORK):
        said = whole.log(f"{name}.0").splitlines()
        lines = [json.loads(line) for line in said if line.startswith("{")]
        of_job = [line for line in lines if line.get("job_id") == uid]
        assert TRACE in {line.get("trace_id") for line in of_job}, name


def test_jobs_without_a_caller_have_traces_of_their_own_and_polls_have_none(
    whole: Cluster,
) -> None:
    with collecting() as collector:
        whole.environment = {
            **collector.environment,
            "OTEL_SERVICE_NAME": "speech",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        }
        with running(whole) as http:
            bad = {"traceparent": f"00-{MARK}-{MARK}-01"}
            first = submit(http, "One of two.")["id"]
            second = http.post("/v1/jobs", json={"input": "Two of two."}, headers=bad).json()["id"]
            for uid in (first, second):
                assert ended(whole, http, uid)["status"] == "succeeded"
                spans_of(whole, collector, uid, {"accept", "plan", "synth", "assemble"})
            whole.wait(lambda: sum(span.name == "POST /v1/jobs" for span in collector.spans) == 2)
        spans = collector.spans
    assert {span.name for span in spans} == {
        "POST /v1/jobs",
        "accept",
        "plan",
        "synth",
        "assemble",
    }
    assert {span.service for span in spans} == {"speech"}
    traces = [{span.trace_id for span in collector.of_job(uid)} for uid in (first, second)]
    assert [len(one) for one in traces] == [1, 1]
    assert traces[0] != traces[1]
    roots = [span for span in spans if span.parent == NO_SPAN]
    assert {span.name for span in roots} == {"POST /v1/jobs"}


def test_attempts_that_fail_are_spans_with_an_error_and_those_killed_show_by_the_next(
    whole: Cluster,
) -> None:
    with collecting() as collector, receiving(500) as (url, hooks):
        whole.environment = collector.environment
        with running(whole) as http:
            raised = submit(http, "KC-FAULT-RAISE", webhook={"url": url})["id"]
            assert ended(whole, http, raised)["status"] == "failed"
            # A process that is killed takes with it what it has not sent yet.
            whole.wait(lambda: sum(one.name == "synth" for one in collector.of_job(raised)) == 3)
            killed = submit(http, "KC-FAULT-KILL")["id"]
            good = submit(http, "A good one.")["id"]
            assert ended(whole, http, killed)["status"] == "failed"
            assert ended(whole, http, good)["status"] == "succeeded"
            spans_of(whole, collector, good, {"assemble"})
            whole.wait(lambda: sum(one.name == "deliver" for one in collector.of_job(raised)) == 2)
        spans = collector.of_job(raised)
        of_killed = collector.of_job(killed)
    tries = [span for span in spans if span.name == "synth"]
    assert [span.facts["kc.attempt"] for span in tries] == [1, 2, 3]
    assert all(span.failed and span.facts["error.type"] for span in tries)
    sends = [span for span in spans if span.name == "deliver"]
    assert [span.facts["kc.attempt"] for span in sends] == [1, 2]
    assert all(span.failed and span.facts["error.type"] == "500" for span in sends)
    assert [hook["traceparent"].split("-")[2] for hook in hooks] == [s.span_id for s in sends]
    assert {span.trace_id for span in spans} == {spans[0].trace_id}
    assert {span.name for span in of_killed} == {"accept", "plan"}, "its synth child was killed"
    assert not any(span.events for span in collector.spans), "what is raised may quote a text"


def test_a_job_whose_worker_was_killed_goes_on_in_its_trace(whole: Cluster) -> None:
    with collecting() as collector:
        whole.environment = collector.environment
        with running(whole, crash_at="synth.stored") as http:
            uid = submit(http, TEXT, traced=True)["id"]
            assert ended(whole, http, uid)["status"] == "succeeded"
            spans_of(whole, collector, uid, {"accept", "plan", "synth", "assemble"})
        tries = [span for span in collector.of(TRACE) if span.name == "synth"]
    assert {span.facts["kc.attempt"] for span in tries} == {2}


def test_a_batch_on_the_device_is_a_span_of_each_job_in_it(whole: Cluster) -> None:
    with collecting() as collector, receiving() as (url, hooks):
        whole.environment = collector.environment
        with running(whole, batch_max=64) as http:
            items = [{"input": f"Item number {n} of them."} for n in range(12)]
            body = {"items": items, "webhook": {"url": url}}
            batch = http.post("/v1/batches", json=body, headers=TRACEPARENT).json()
            whole.wait(
                lambda: http.get(f"/v1/batches/{batch['id']}").json()["status"] == "completed"
            )
            whole.wait(lambda: sum(span.name == "assemble" for span in collector.of(TRACE)) == 12)
            whole.wait(lambda: any(span.name == "deliver" for span in collector.of(TRACE)))
        spans = collector.of(TRACE)
    (accept,) = [span for span in spans if span.name == "accept"]
    assert accept.facts["kc.batch.id"] == batch["id"]
    deliver = by_name(spans, "deliver")
    assert deliver.parent == accept.span_id
    assert deliver.facts["kc.batch.id"] == batch["id"]
    assert [hook["traceparent"] for hook in hooks] == [f"00-{TRACE}-{deliver.span_id}-01"]
    parts = [span for span in spans if span.name == "synth"]
    assert len({span.facts["kc.job.id"] for span in parts}) == 12
    assert {span.parent for span in parts} == {accept.span_id}
    sizes: dict[str, int] = {}
    for span in parts:
        key = span.facts["kc.device_batch.id"]
        sizes[key] = sizes.get(key, 0) + span.facts["kc.segments"]
        assert span.facts["kc.device_batch.segments"] <= 64
    for span in parts:
        assert sizes[span.facts["kc.device_batch.id"]] == span.facts["kc.device_batch.segments"]
    assert len(sizes) < 12, "no batch was shared"


def test_streamed_speech_is_one_trace_with_the_job_it_streams(whole: Cluster) -> None:
    with collecting() as collector:
        whole.environment = collector.environment
        with running(whole) as http:
            answer = http.post(
                "/v1/audio/speech",
                json={"input": TEXT, "voice": "af_heart", "model": "kokoro"},
                headers=TRACEPARENT,
            )
            assert answer.is_success
            uid = answer.headers["x-job-id"]
            spans_of(whole, collector, uid, {"accept", "plan", "synth", "assemble"})
            whole.wait(lambda: len(collector.of(TRACE)) >= 5)
        spans = collector.of(TRACE)
    request = by_name(spans, "POST /v1/audio/speech")
    assert request.parent == CALLER
    assert request.facts["http.response.status_code"] == 200
    for synth in (span for span in spans if span.name == "synth"):
        assert request.began_s < synth.began_s < request.began_s + request.took_s


def speak_some(whole: Cluster, http: httpx.Client) -> float:
    """Return the seconds that five jobs took, one after another."""
    began = time.monotonic()
    for n in range(5):
        answer = http.post(
            "/v1/jobs",
            json={"input": f"{n}. {TEXT}", "response_format": "wav"},
            headers={"Prefer": "wait=30"},
        )
        assert answer.json()["status"] == "succeeded"
    return time.monotonic() - began


@pytest.mark.parametrize("collector_is", ["down", "hanging"])
def test_a_collector_that_is_away_delays_no_job_and_no_end(
    whole: Cluster, collector_is: str
) -> None:
    with collecting(hangs=True) as collector:
        whole.environment = dict(collector.environment)
        if collector_is == "down":
            nobody = f"http://127.0.0.1:{free_port()}"
            whole.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = nobody
        # Room for next to nothing: what finds none is dropped, and nobody waits.
        whole.environment["OTEL_BSP_MAX_QUEUE_SIZE"] = "4"
        whole.environment["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "2"
        with running(whole, recycle_after_jobs=3) as http:
            speak_some(whole, http)  # what is loaded at first use
            took_s = speak_some(whole, http)
            if collector_is == "hanging":
                assert collector.requests > 0
            began = time.monotonic()
            whole.group.stop()
            stopped_s = time.monotonic() - began
    assert took_s < 5, "an export that hangs takes ten seconds"
    assert stopped_s < 7, "processes were killed because they did not end"
    for name in ("gateway", "synth", "plan", "assemble"):
        told = [
            line
            for line in whole.log(f"{name}.0").splitlines()
            if "exporting" in line or "Queue full" in line or "export" in line
        ]
        assert len(told) < 20, told


def test_without_an_endpoint_nothing_of_it_is_imported_or_recorded(
    whole: Cluster, tmp_path: Path
) -> None:
    # FastAPI and redis-py import what there is of the rest by themselves.
    sprung = tmp_path / "sprung"
    for part in ("exporter", "proto"):
        trap = tmp_path / "trap" / "opentelemetry" / part
        trap.mkdir(parents=True)
        (trap / "__init__.py").write_text(
            f"import pathlib\npathlib.Path({str(sprung)!r}).touch()\nraise ImportError('trap')\n"
        )
    root = str(Path(__file__).parents[3])
    whole.environment = {"PYTHONPATH": f"{tmp_path / 'trap'}:{root}"}
    with receiving() as (url, hooks), running(whole) as http:
        uid = submit(http, TEXT, traced=True, webhook={"url": url})["id"]
        assert ended(whole, http, uid)["status"] == "succeeded"
        whole.wait(lambda: hooks)
        record = whole.client.hgetall(f"kc:job:{uid}")
        assert b"traceparent" not in record
        assert "traceparent" not in hooks[0]
    assert not sprung.exists()
    for name in ("gateway", *WORK):
        assert "trace_id" not in whole.log(f"{name}.0")


def test_a_value_that_the_sdk_refuses_ends_a_worker_with_the_reason(whole: Cluster) -> None:
    whole.environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_MAX_QUEUE_SIZE": "2",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
    }
    process = whole.start("plan").process
    assert process is not None
    assert process.wait(60) == os.EX_CONFIG
    last = json.loads(whole.log("plan.0").splitlines()[-1])
    assert last["error"].startswith("Bad setting of OpenTelemetry's: ")


def test_a_job_of_a_gateway_that_traces_nothing_is_done_by_workers_that_do(
    whole: Cluster,
) -> None:
    with collecting() as collector:
        whole.environment = collector.environment
        with running(whole) as http:
            silent = whole.submit("Accepted with no trace.")
            assert whole.finished(silent).status == "succeeded"
            uid = submit(http, "Accepted with one.")["id"]
            ended(whole, http, uid)
            spans_of(whole, collector, uid, {"accept", "plan", "synth", "assemble"})
        assert collector.of_job(silent) == []
