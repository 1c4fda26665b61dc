"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP. Imported only where traces are wanted.

Spans wait in a bounded queue and are sent in batches by a thread of their own. A collector that is
down or hangs costs the spans that find no room, and a line of the log now and then: nobody who
works ever waits for it. The SDK reads its standard variables by itself.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from threading import Thread

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.tracing import Facts, Kind, code_of

COMPLAIN_EVERY_S = 60.0
"""How often the log says that spans can't be sent."""

COMPLAINING = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""Loggers of the SDK that would write a line for each batch that can't be sent."""

_W3C = TraceContextTextMapPropagator()


class Seldom(logging.Filter):
    """Lets one record through, and then none for a while."""

    def __init__(self, every_s: float = COMPLAIN_EVERY_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every_s
        return True


class Exporting:
    """Makes spans and has them sent.

    Args:
        process: whose they are: `gateway`, `synth.0`, …
    """

    def __init__(self, process: str) -> None:
        for name in COMPLAINING:
            logger = logging.getLogger(name)
            if not any(isinstance(one, Seldom) for one in logger.filters):
                logger.addFilter(Seldom())
        self._provider = TracerProvider(
            resource=_resource(process),
            # Its own end would wait for a collector that is away; `stop` is bounded.
            shutdown_on_exit=False,
        )
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("kokoro-cluster", _version())

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str | None, facts: Facts) -> Iterator[None]:
        """Have a span around a block, which is the current one in it; what it raises fails it."""
        above = context.get_current() if parent is None else _read(parent)
        made = self._tracer.start_span(name, above, SpanKind[kind.name], dict(facts))
        token = context.attach(trace.set_span_in_context(made, above))
        try:
            yield
        except BaseException as error:
            # Not as the SDK records exceptions: what they say may quote a text.
            _fail(made, code_of(error))
            raise
        finally:
            context.detach(token)
            made.end()

    def past(
        self,
        name: str,
        kind: Kind,
        parent: str,
        facts: Facts,
        *,
        began_ns: int,
        error: str | None,
    ) -> None:
        """Have a span of something that began then and ends now."""
        made = self._tracer.start_span(
            name, _read(parent), SpanKind[kind.name], dict(facts), start_time=began_ns
        )
        if error is not None:
            _fail(made, error)
        made.end()

    def note(self, facts: Facts) -> None:
        """Add attributes to the current span."""
        trace.get_current_span().set_attributes(dict(facts))

    def rename(self, name: str) -> None:
        """Name the current span."""
        trace.get_current_span().update_name(name)

    def fail(self, code: str) -> None:
        """Say that what the current span tells of has failed."""
        _fail(trace.get_current_span(), code)

    def traceparent(self) -> str | None:
        """Return the current context as W3C writes it; None when there is none."""
        here = trace.get_current_span().get_span_context()
        if not here.is_valid:
            return None
        return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"

    def stop(self, within_s: float) -> None:
        """Send what is left, for so long at most."""
        # In a thread: the SDK waits for half a minute, and nobody here may.
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(within_s)


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def _read(traceparent: str) -> Context:
    """Return the context that a caller or a record named; an empty one if that is none."""
    return _W3C.extract({"traceparent": traceparent}, Context())


def _resource(process: str) -> Resource:
    """Return who speaks; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before ours."""
    host, pid = os.uname().nodename, os.getpid()
    found = Resource.create(
        {
            "service.version": _version(),
            "service.instance.id": f"{host}/{process}/{pid}",
            "host.name": host,
            "process.pid": pid,
        }
    )
    if str(found.attributes["service.name"]).startswith("unknown_service"):  # nobody named it
        role = process.partition(".")[0]
        return found.merge(Resource({"service.name": f"kokoro-{role}"}))
    return found


def _version() -> str:
    try:
        return version("kokoro-cluster")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
