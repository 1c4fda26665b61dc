"""When traces are made, and what is said where they can't be."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared import tracing
from shared.errors import InvalidSettings
from shared.exporting import Seldom
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
HERE = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": HERE}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{HERE}/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": HERE}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_SDK_DISABLED": "false"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_an_endpoint_turns_traces_on_and_the_standard_switches_off(
    environment: Mapping[str, str], on: bool
) -> None:
    assert tracing.wanted(environment) is on
    tracing.check(environment)


def test_a_protocol_that_cannot_be_had_is_refused_by_name() -> None:
    wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(InvalidSettings, match="OTEL_EXPORTER_OTLP_PROTOCOL=grpc"):
        tracing.check(wanted)
    tracing.check({**wanted, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"})
    tracing.check({**wanted, "OTEL_SDK_DISABLED": "true"})


@pytest.mark.parametrize("command", [["gateway"], ["worker", "plan"]])
def test_an_endpoint_without_the_packages_ends_a_process_with_what_to_install(
    tmp_path: Path, command: list[str]
) -> None:
    program = (
        "import sys; sys.modules['opentelemetry.sdk'] = None; "
        "from deploy.cli import main; sys.exit(main())"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KC_")}
    ended = subprocess.run(
        [sys.executable, "-c", program, *command],
        env={
            **clean,
            "PYTHONPATH": str(ROOT),
            "KC_DATA_DIR": str(tmp_path),
            "KC_PORT": str(free_port()),
            "OTEL_EXPORTER_OTLP_ENDPOINT": HERE,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("kokoro-cluster: OTEL_EXPORTER_OTLP_ENDPOINT is set"), ended.stderr
    assert "pip install 'kokoro-cluster[otel]'" in last


def test_without_traces_every_call_does_nothing() -> None:
    assert not tracing.is_on()
    with tracing.span("accept", tracing.Kind.PRODUCER, {}, parent="anything"):
        tracing.note({"kc.lane": "batch"})
        tracing.rename("other")
        tracing.fail("poison")
        assert tracing.traceparent() is None
        assert tracing.headers() == {}
    tracing.past("synth", tracing.Kind.CONSUMER, {}, parent="anything", began_ns=1)
    event = {"event": "planned", "job_id": "job_1"}
    assert tracing.add_trace_id(None, "info", dict(event)) == event


def test_a_span_says_of_an_error_nothing_that_it_may_quote() -> None:
    assert tracing.code_of(ValueError("a private text")) == "ValueError"
    assert tracing.code_of(InvalidSettings("a private text")) == InvalidSettings.code


def test_the_log_says_now_and_then_that_spans_cannot_be_sent() -> None:
    record = logging.makeLogRecord({"msg": "Failed to export"})
    seldom = Seldom(every_s=60)
    assert [seldom.filter(record) for _ in range(3)] == [True, False, False]
    always = Seldom(every_s=0)
    assert all(always.filter(record) for _ in range(3))
