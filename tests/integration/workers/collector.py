"""A real OTLP/HTTP receiver: what an OpenTelemetry collector would be sent, decoded."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

NO_SPAN = ""
"""The parent of a root."""


@dataclass(frozen=True)
class Span:
    """A span as it came."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: int
    took_s: float
    began_s: float
    failed: bool
    events: int
    facts: dict[str, Any]
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])


@dataclass
class Collector:
    """What a receiver has got so far.

    Attributes:
        port: where it listens.
        raw: each request's body.
        paths: that were asked for.
        let_go: set when requests that hang are answered.
    """

    port: int
    raw: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    requests: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """What has a process send its spans here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order they began."""
        found = []
        for body in list(self.raw):
            request = ExportTraceServiceRequest.FromString(body)
            for group in request.resource_spans:
                resource = _facts(group.resource.attributes)
                for scope in group.scope_spans:
                    found += [_span(one, resource) for one in scope.spans]
        return sorted(found, key=lambda span: span.began_s)

    def of(self, trace_id: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def of_job(self, uid: str) -> list[Span]:
        """The spans that name a job."""
        return [span for span in self.spans if span.facts.get("kc.job.id") == uid]


def _facts(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        kind = pair.value.WhichOneof("value")
        return None if kind is None else getattr(pair.value, kind)

    return {pair.key: value(pair) for pair in pairs}


def _span(one: Any, resource: dict[str, Any]) -> Span:
    return Span(
        name=one.name,
        trace_id=one.trace_id.hex(),
        span_id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        kind=one.kind,
        took_s=(one.end_time_unix_nano - one.start_time_unix_nano) / 1e9,
        began_s=one.start_time_unix_nano / 1e9,
        failed=one.status.code == Status.STATUS_CODE_ERROR,
        events=len(one.events),
        facts=_facts(one.attributes),
        resource=resource,
    )


@contextmanager
def collecting(*, hangs: bool = False) -> Iterator[Collector]:
    """Receive for a block.

    Args:
        hangs: takes what it is sent, and answers only when the block ends.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.requests += 1
            if hangs:
                collector.let_go.wait(60)
            collector.paths.add(self.path)
            assert self.headers["content-type"] == "application/x-protobuf"
            collector.raw.append(
                gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
            )
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever hung up meanwhile."""

    server = Server(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
