"""What the doctor says of traces."""

from deploy.doctor.finding import Verdict
from deploy.doctor.traces import examine_traces
from tests.conftest import free_port
from tests.integration.workers.collector import collecting


def test_the_doctor_says_whether_a_collector_answers() -> None:
    with collecting() as collector:
        there = examine_traces(collector.environment)
        assert collector.paths == {"/v1/traces"}
    assert there.verdict is Verdict.OK
    away = examine_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://u:pass@127.0.0.1:{free_port()}"})
    assert away.verdict is Verdict.WARNING
    assert "pass" not in away.detail
    grpc = {**collector.environment, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert examine_traces(grpc).verdict is Verdict.ERROR
