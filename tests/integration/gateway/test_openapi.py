"""The gateway does what its OpenAPI document says, whatever it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.schemas import ClusterState, Delivery, Job, JobList, Ready, UsageReport
from shared.errors import NothingToSpeak
from shared.ledger.asks import Answers
from tests.integration.gateway.conftest import Cluster

ANSWERED_BY_WORKERS = {
    "/v1/estimate",
    "/v1/audio/speech",
    "/dev/captioned_speech",
    "/dev/dialogue",
    "/dev/generate_from_phonemes",
    "/dev/phonemize",
}
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    allow_header_conformance,
]


@contextmanager
def nothing_can_be_spoken(cluster: Cluster) -> Iterator[None]:
    """Fail every job and question within the block: whoever waits gets an error then."""
    done = threading.Event()

    def fail() -> None:
        while not done.wait(0.01):
            claim = cluster.worker.claim_plan(bytes_most=10**6)
            if claim is not None:
                cluster.worker.fail_stage(
                    claim, code="nothing_to_speak", message="Nothing.", permanent=True
                )
            answers = Answers(cluster.redis)
            while (ask := answers.take()) is not None:
                answers.refuse(ask, NothingToSpeak())

    thread = threading.Thread(target=fail)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def document(cluster: Cluster) -> dict[str, Any]:
    return dict(cluster.http.get("/openapi.json").json())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_the_document_declares(cluster: Cluster, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(document(cluster))
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
            continue  # without a body or a query nothing can be got wrong

        @hypothesis.settings(
            max_examples=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def attempt(case: Any) -> None:
            # A wait would be granted, and there are no workers.
            case.headers.pop("Prefer", None)
            case.call_and_validate(
                base_url=str(cluster.http.base_url).rstrip("/"), checks=CHECKS, timeout=20
            )

        with (
            nothing_can_be_spoken(cluster)
            if operation.path in ANSWERED_BY_WORKERS
            else nullcontext()
        ):
            attempt()
        tried += 1
    assert tried >= 3


def test_answers_have_exactly_the_fields_of_their_schemas(cluster: Cluster) -> None:
    hook = {"url": "http://public.example/"}
    done = cluster.succeed(outputs=["wav", "mp3"], webhook=hook)
    url = f"/v1/jobs/{done['id']}"
    Job.model_validate(done)
    Job.model_validate(cluster.http.get(f"{url}?include=segments").json())
    Job.model_validate(cluster.fail())
    JobList.model_validate(cluster.http.get("/v1/jobs").json())
    for delivery in cluster.http.get(f"{url}/deliveries").json()["data"]:
        Delivery.model_validate(delivery)
    ClusterState.model_validate(cluster.http.get("/v1/cluster").json())
    Ready.model_validate(cluster.http.get("/health/ready").json())


def test_the_example_of_usage_is_what_the_server_could_answer(cluster: Cluster) -> None:
    schemas = document(cluster)["components"]["schemas"]
    example = UsageReport.model_validate(schemas["UsageReport"]["example"])
    cluster.succeed()
    answer = cluster.http.get("/v1/usage").json()
    shown = example.model_dump(by_alias=True)
    assert shown.keys() == answer.keys()
    assert shown["total"].keys() == answer["total"].keys()
    assert shown["total"]["jobs"].keys() == answer["total"]["jobs"].keys()
    assert [day.keys() for day in shown["data"]] == [day.keys() for day in answer["data"]]


def test_every_error_in_the_document_has_the_one_body_and_an_example(cluster: Cluster) -> None:
    paths = document(cluster)["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) < 400 or path == "/health/ready":
                    continue
                content = answer["content"]["application/json"]
                assert content["schema"]["$ref"].endswith("/Error"), (path, method, status)
                assert content["example"]["error"]["code"]


def test_the_document_names_the_fields_of_a_request(cluster: Cluster) -> None:
    schemas = document(cluster)["components"]["schemas"]
    request = schemas["JobRequest"]
    assert request["oneOf"] == [
        {"required": [field]} for field in ("input", "segments", "chapters")
    ]
    assert request["additionalProperties"] is False
    assert "HTTPValidationError" not in schemas
