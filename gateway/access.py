"""The outermost layer: one log line and one measurement a request, and no traceback to a client."""

import time

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.error_handlers import internal_error_response
from gateway.http_meters import HttpMeters
from shared import tracing

log = structlog.get_logger()

CLIENT_GONE = 499
"""Logged when the client left before its answer; nginx's number for it."""

QUIET_ROUTES = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Asked every few seconds by machines: logged only when they fail."""

LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of requests that make no work, and come by the second from whoever polls."""

METHODS = LOOKING | {"POST", "PUT", "PATCH", "DELETE"}


class Access:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, meters: HttpMeters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif tracing.is_on() and _is_traced(scope):
            facts = {"http.request.method": _method(scope), "url.scheme": scope["scheme"]}
            with tracing.span("request", tracing.Kind.SERVER, facts, parent=_parent(scope)):
                await self._serve(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = CLIENT_GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception as error:
            if status != CLIENT_GONE:
                # The answer has begun: to end it cleanly would be a lie, so break the connection.
                raise
            answer = internal_error_response(error, route=_route(scope))
            await answer(scope, receive, watched)
        finally:
            self._record(scope, status, time.perf_counter() - began)

    def _record(self, scope: Scope, status: int, duration_s: float) -> None:
        route = _route(scope)
        if tracing.is_on():
            _tell_trace(scope, route, status)
        self._meters.observe(scope["method"], route, status, duration_s)
        if route in QUIET_ROUTES and status < 500:
            return
        fields = {
            "method": scope["method"][:16],
            "route": route,
            "status": status,
            "duration_ms": round(duration_s * 1000, 1),
        }
        job_id = scope.get("kc.job_id") or scope.get("path_params", {}).get("job_id")
        if job_id:
            fields["job_id"] = job_id[:64]
        log.info("request", action="request", **fields)


def _is_traced(scope: Scope) -> bool:
    """Return whether a request has a span: one that may make work, or whose caller is traced."""
    if scope["path"] in QUIET_ROUTES:
        return False
    return scope["method"] not in LOOKING or _parent(scope) is not None


def _parent(scope: Scope) -> str | None:
    """Return the caller's context, as it came."""
    found = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
    return None if found is None else found.decode("latin-1")


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else "_OTHER"


def _tell_trace(scope: Scope, route: str, status: int) -> None:
    tracing.rename(f"{_method(scope)} {route}")
    tracing.note({"http.route": route, "http.response.status_code": status})
    if status >= 500:
        tracing.fail(str(status))


def _route(scope: Scope) -> str:
    """Return the template of the route, never the path: that is the client's to make up."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
