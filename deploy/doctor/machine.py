"""This machine's part: the gateway's settings and port, the data folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import httpx

from deploy.doctor.finding import Finding, Verdict
from deploy.doctor.traces import examine_traces
from shared import tracing
from shared.errors import ClusterError
from shared.settings import Settings

LITTLE_BYTES = 500 * 2**20
PROBE_TIMEOUT_S = 3.0


def examine_settings(settings: Settings) -> Iterator[Finding]:
    """Look at what a gateway would refuse to start with, and at where traces go."""
    if tracing.wanted():
        yield examine_traces()
    try:
        from gateway.app import create_app
        from gateway.serve import check_exposure
    except ModuleNotFoundError as error:
        detail = f"The package {error.name!r} is not installed: this machine can run no gateway."
        remedy = "If it is to run one: pip install 'kokoro-cluster[gateway]'."
        yield Finding("settings", "gateway", Verdict.SKIPPED, detail, remedy)
        return
    for check, call in (("access", check_exposure), ("gateway", create_app)):
        try:
            call(settings)
        except (ClusterError, OSError) as error:
            detail = error.message if isinstance(error, ClusterError) else str(error)
            yield Finding("settings", check, Verdict.ERROR, detail, "Correct it as it says.")
        else:
            said = {"access": _access(settings), "gateway": "A gateway accepts its settings."}
            yield Finding("settings", check, Verdict.OK, said[check])
    if not settings.webhook_secret:
        detail = "KC_WEBHOOK_SECRET is not set."
        remedy = "Set it on gateways and deliverers if jobs are to have webhooks (`up` makes one)."
        yield Finding("settings", "webhooks", Verdict.WARNING, detail, remedy)
    else:
        yield Finding("settings", "webhooks", Verdict.OK, "There is a secret to sign with.")


def _access(settings: Settings) -> str:
    if settings.api_keys_file is not None:
        return f"Keys are asked for, of {settings.api_keys_file}."
    return "No keys are asked for: whoever reaches the gateway may use it."


def examine_machine(settings: Settings) -> Iterator[Finding]:
    """Look at the data folder and at the gateway's port."""
    yield from _folder(settings)
    yield _port(settings)


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = f"Let uid {os.getuid()} write to it, or set KC_DATA_DIR to a folder it may write."
        yield Finding("machine", "data folder", Verdict.ERROR, f"{folder}: {error}", remedy)
        return
    detail = f"{folder.resolve()} can be written to, {free / 2**30:,.1f} GiB are free."
    if free < LITTLE_BYTES:
        remedy = "Make room: encoders write there what a job's files come to."
        yield Finding("machine", "data folder", Verdict.WARNING, detail, remedy)
    else:
        yield Finding("machine", "data folder", Verdict.OK, detail)


def _port(settings: Settings) -> Finding:
    from gateway.serve import bind

    at = f"{settings.host}:{settings.port}"
    try:
        bind(settings).close()
    except ClusterError as error:
        refusal = error.message
    else:
        return Finding("machine", "port", Verdict.OK, f"{at} is free for a gateway.")
    if _is_gateway(settings):
        return Finding("machine", "port", Verdict.OK, f"A gateway serves {at}.")
    return Finding("machine", "port", Verdict.ERROR, refusal, "Set KC_PORT to a free one.")


def _is_gateway(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    try:
        url = f"http://{shown}:{settings.port}/health/live"
        answer = httpx.get(url, timeout=PROBE_TIMEOUT_S, trust_env=False)
        return bool(answer.json() == {"status": "live"})
    except (httpx.HTTPError, ValueError):
        return False
