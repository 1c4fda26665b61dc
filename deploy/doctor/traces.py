"""Whether traces can be sent, where an endpoint for them is set."""

import os
from collections.abc import Mapping

import httpx

from deploy.doctor.finding import Finding, Verdict
from shared import tracing
from shared.errors import InvalidSettings

PROBE_TIMEOUT_S = 3.0


def examine_traces(environment: Mapping[str, str] = os.environ) -> Finding:
    """Look for the packages and for a collector; it is sent a request without spans."""
    try:
        tracing.check(environment)
    except InvalidSettings as error:
        return Finding("settings", "traces", Verdict.ERROR, error.message, "Correct it as it says.")
    try:
        status = httpx.post(
            _url(environment),
            content=b"",
            headers={"Content-Type": "application/x-protobuf"},
            timeout=PROBE_TIMEOUT_S,
        ).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not what it says: an address may hold a password.
        detail = f"No collector answers at the endpoint for traces ({type(error).__name__})."
        remedy = "Start it, or correct OTEL_EXPORTER_OTLP_ENDPOINT. Jobs are done all the same."
        return Finding("settings", "traces", Verdict.WARNING, detail, remedy)
    # Without the headers it may ask for: that it answers is all there is to know here.
    return Finding("settings", "traces", Verdict.OK, f"A collector answers ({status}).")


def _url(environment: Mapping[str, str]) -> str:
    """Return where spans are sent, as OpenTelemetry's SDK makes it of its variables."""
    whole, base = (environment.get(name, "").strip() for name in tracing.ENDPOINTS)
    return whole or f"{base.rstrip('/')}/v1/traces"
