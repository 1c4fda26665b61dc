"""The gateway's own counts of its requests, in a registry of one application."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class HttpMeters:
    """Requests by method, route template and status, and how long they took."""

    def __init__(self) -> None:
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
