"""The gateway's own counts of its requests, in a registry of one application."""

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class HttpMeters:
    """Requests by method, route template and status, and how long they took."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as many series, which nobody reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "kc_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "kc_http_request_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

        self._streams = Gauge(
            "kc_live_streams", "Streams of audio that is being made.", registry=self.registry
        )
        self._first_byte = Histogram(
            "kc_live_first_byte_seconds",
            "Seconds from a request for audio that is being made to its first byte.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

        self._ready = Gauge(
            "kc_ready",
            "1 when this gateway finds what accepting a job hangs on: redis, engine, storage.",
            ["check"],
            registry=self.registry,
        )
        self._warnings = Gauge(
            "kc_ledger_warnings",
            "Settings of Redis that may lose accepted jobs, and losses this gateway has seen.",
            registry=self.registry,
        )

    def show_readiness(
        self, checks: Callable[[], Mapping[str, str]], warnings: Callable[[], list[str]]
    ) -> None:
        """Show what `/health/ready` says, asked for at each scrape."""
        for check in checks():
            self._ready.labels(check).set_function(partial(_is_ok, checks, check))
        self._warnings.set_function(lambda: len(warnings()))

    def count_streams(self, active: Callable[[], float]) -> None:
        """Show how many streams there are, asked for at each scrape."""
        self._streams.set_function(active)

    def observe_first_byte(self, route: str, duration_s: float) -> None:
        """Count a stream that has begun."""
        self._first_byte.labels(route).observe(duration_s)

    def observe(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one request."""
        # A client can make up methods, and each would be a series for ever.
        method = method if method in _METHODS else "OTHER"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(duration_s)


def _is_ok(checks: Callable[[], Mapping[str, str]], check: str) -> float:
    return float(checks()[check] == "ok")
