"""Traces of jobs through all processes, by OpenTelemetry: the one door to it.

Off unless the standard variables name an endpoint for OTLP. Then nothing here imports
OpenTelemetry, nothing more is written to the ledger, and each call is one comparison. On, a job's
record carries the context of the span that accepted it (`traceparent`, as W3C writes it), and what
every stage does for the job becomes a span beneath that one. `shared.exporting` has the rest.

A span holds ids, counts, seconds and codes, and never a text, a key or what an exception says.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from enum import StrEnum
from importlib.util import find_spec
from typing import Protocol

from structlog.typing import EventDict, WrappedLogger

from shared.errors import ClusterError, InvalidSettings

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Any of these being set turns tracing on."""

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

FLUSH_WITHIN_S = 0.5
"""How long a process that ends in its time waits for its last spans to be taken."""

Facts = Mapping[str, str | int | float | bool]
"""Attributes of a span."""


class Kind(StrEnum):
    """What a span is to the one above it."""

    SERVER = "server"
    """A request that came in."""
    PRODUCER = "producer"
    """Work was written down for others."""
    CONSUMER = "consumer"
    """Work that was written down is done."""
    CLIENT = "client"
    """A request that goes out."""


class Tracer(Protocol):
    """What this module needs of `shared.exporting`."""

    def span(
        self, name: str, kind: Kind, parent: str | None, facts: Facts
    ) -> AbstractContextManager[None]:
        """Have a span around a block, beneath the parent or else what is current."""

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
        """Have a span of something that ends now."""

    def note(self, facts: Facts) -> None:
        """Add to the current span."""

    def rename(self, name: str) -> None:
        """Name the current span."""

    def fail(self, code: str) -> None:
        """Say that what the current span tells of has failed."""

    def traceparent(self) -> str | None:
        """Return the current context."""

    def stop(self, within_s: float) -> None:
        """Send what is left, for so long at most."""


class _Here:
    tracer: Tracer | None = None


_trace_ids: ContextVar[Mapping[str, str]] = ContextVar("trace_ids")


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the environment asks for traces."""
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return (
        any(environment.get(name, "").strip() for name in ENDPOINTS)
        and environment.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and "otlp" in exporters.split(",")
    )


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse what is wanted and can't be had.

    Raises:
        InvalidSettings: the packages are missing, or another protocol is asked for.
    """
    if not wanted(environment):
        return
    endpoint = next(name for name in ENDPOINTS if environment.get(name, "").strip())
    for name in PROTOCOLS:
        said = environment.get(name, "").strip()
        if said and said != PROTOCOL:
            raise InvalidSettings(
                f"{name}={said} can't be had: traces are sent by {PROTOCOL} only. Leave it unset "
                "and give the collector's port for HTTP (4318 by default), or unset "
                f"{endpoint} to have no traces."
            )
        if said:
            break
    try:
        there = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec(
            "opentelemetry.sdk"
        )
    except ModuleNotFoundError:
        there = None
    if there is None:
        raise InvalidSettings(
            f"{endpoint} is set, and OpenTelemetry is not installed: "
            "pip install 'kokoro-cluster[otel]', or unset it to have no traces."
        )


def start(process: str) -> None:
    """Trace what this process does from now on, if the environment asks for it.

    To be called in the process that does the work, once; it starts a thread.

    Args:
        process: `gateway`, `synth.0`, …

    Raises:
        InvalidSettings: as `check`, or the SDK can't be set up as its variables say.
    """
    check()
    if wanted() and _Here.tracer is None:
        from shared.exporting import Exporting  # noqa: PLC0415 - only where traces are wanted

        try:
            _Here.tracer = Exporting(process)
        except ValueError as error:
            raise InvalidSettings(f"Bad setting of OpenTelemetry's: {error}") from error


def stop(within_s: float = FLUSH_WITHIN_S) -> None:
    """Send what is left, for so long at most, and trace no more."""
    tracer, _Here.tracer = _Here.tracer, None
    if tracer is not None:
        tracer.stop(within_s)


def is_on() -> bool:
    """Return whether this process traces."""
    return _Here.tracer is not None


def span(
    name: str, kind: Kind, facts: Facts, *, parent: str | None = None
) -> AbstractContextManager[None]:
    """Have a span around a block, which is the current one in it; what it raises fails it.

    Args:
        name: of few values.
        kind: what it is to its parent.
        facts: attributes.
        parent: a `traceparent`; without one, or with one that is none, what is current.
    """
    tracer = _Here.tracer
    return nullcontext() if tracer is None else tracer.span(name, kind, parent, facts)


def past(
    name: str, kind: Kind, facts: Facts, *, parent: str, began_ns: int, error: str | None = None
) -> None:
    """Have a span of something that began at a time (ns since 1970) and ends now."""
    if _Here.tracer is not None:
        _Here.tracer.past(name, kind, parent, facts, began_ns=began_ns, error=error)


def note(facts: Facts) -> None:
    """Add attributes to the current span."""
    if _Here.tracer is not None:
        _Here.tracer.note(facts)


def rename(name: str) -> None:
    """Name the current span, now that it is known what it is."""
    if _Here.tracer is not None:
        _Here.tracer.rename(name)


def fail(code: str) -> None:
    """Say that what the current span tells of has failed."""
    if _Here.tracer is not None:
        _Here.tracer.fail(code)


def traceparent() -> str | None:
    """Return the current context as W3C writes it; None when there is none."""
    return None if _Here.tracer is None else _Here.tracer.traceparent()


def headers() -> dict[str, str]:
    """Return what a request that goes out says of the current context."""
    context = traceparent()
    return {} if context is None else {"traceparent": context}


def code_of(error: BaseException) -> str:
    """Return what a span says of an error: a code or a type, and nothing it may quote."""
    return error.code if isinstance(error, ClusterError) else type(error).__name__


# Logs


@contextmanager
def logged_as(traceparents: Mapping[str, str]) -> Iterator[None]:
    """Have lines about these jobs (by uid) say their traces' ids for a block."""
    token = _trace_ids.set({uid: _trace_id(context) for uid, context in traceparents.items()})
    try:
        yield
    finally:
        _trace_ids.reset(token)


def add_trace_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put the trace's id into a line of the log that has a trace."""
    tracer = _Here.tracer
    if tracer is None or "trace_id" in event:
        return event
    found = _trace_ids.get({}).get(str(event.get("job_id")))
    if found is None and (context := tracer.traceparent()) is not None:
        found = _trace_id(context)
    return event if found is None else {**event, "trace_id": found}


def _trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]
