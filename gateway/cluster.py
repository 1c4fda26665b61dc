"""What the cluster is made of and how its queue stands: voices, workers, the whole."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.errors import NoEngine
from gateway.openapi import problems
from gateway.schemas import ClusterState, VoiceList, WorkerList
from gateway.services import Services, ServicesOf
from shared.job_view import timestamp
from shared.languages import LETTERS
from shared.manifest import EngineManifest

router = APIRouter(tags=["cluster"])

_GENDERS = {"f": "female", "m": "male"}
_TIMES = {"started_at", "heartbeat_at"}


async def _engine(services: Services) -> EngineManifest:
    engine = await services.intake.engine()
    if engine is None:
        raise NoEngine()
    return engine


@router.get("/v1/voices", response_model=VoiceList, responses=problems())
async def list_voices(services: ServicesOf, caller: CallerOf) -> Response:
    """List the voices that are loaded."""
    engine = await _engine(services)
    data = [voice_view(name, engine) for name in sorted(engine.voices)]
    return JSONResponse({"object": "list", "data": data})


@router.get("/v1/workers", response_model=WorkerList, responses=problems())
async def list_workers(services: ServicesOf, caller: CallerOf) -> Response:
    """List the workers heard of in the last seconds."""
    data = [worker_view(state) for state in await services.intake.workers()]
    return JSONResponse({"object": "list", "data": data})


@router.get("/v1/cluster", response_model=ClusterState, responses=problems())
async def look_at_cluster(services: ServicesOf, caller: CallerOf) -> Response:
    """Say how much waits, over all keys, and how fast it goes."""
    intake = services.intake
    backlog = await intake.backlog()
    throughput = await intake.throughput()
    measured = throughput.chars_per_s > 0
    by_status = await intake.jobs_by_status()
    return JSONResponse(
        {
            "object": "cluster",
            "queued_jobs": await intake.queued_jobs(),
            "queued_chars": await intake.queued_chars(),
            "oldest_queued_s": backlog.plan_age_s,
            "audio_s_per_s": round(throughput.audio_s_per_s, 3) if measured else None,
            "chars_per_s": round(throughput.chars_per_s, 3) if measured else None,
            "jobs_by_status": {status.value: number for status, number in by_status.items()},
            "workers": len(await intake.workers()),
        }
    )


def worker_view(state: dict[str, Any]) -> dict[str, Any]:
    """Return what a worker says of itself, its times written as everywhere in the API."""
    times: dict[str, Any] = {name: timestamp(at) for name, at in state.items() if name in _TIMES}
    last = state.get("last_recycle")
    if last:
        times["last_recycle"] = {**last, "at": timestamp(last["at"])}
    return {**state, **times}


def voice_view(name: str, engine: EngineManifest) -> dict[str, Any]:
    """Read a voice's name as Kokoro's convention has it: `bf_emma` is British, female, Emma."""
    prefix, _, given = name.partition("_")
    follows = len(prefix) == 2 and prefix[0] in LETTERS and prefix[1] in _GENDERS and given != ""
    return {
        "id": name,
        "name": given.replace("_", " ").title() if follows else name,
        "language": LETTERS[prefix[0]].value if follows else None,
        "gender": _GENDERS[prefix[1]] if follows else None,
        "stand_in": engine.stand_in,
    }
