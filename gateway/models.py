"""`/v1/models` and `/v1/audio/voices`: what can be named, in the shapes that clients know."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.errors import ModelNotFound, NoEngine
from gateway.offload import offload
from gateway.openapi import problems
from gateway.requests import parse_json, read_json_body
from gateway.schemas import AudioVoiceList, CombinedVoice, Model, ModelList
from gateway.services import Services, ServicesOf
from gateway.speech_names import MODELS, voice_here
from shared.errors import InvalidInput
from shared.manifest import EngineManifest
from shared.voices import MAX_MIX, parse_voice

router = APIRouter(tags=["speech"])

CREATED = 1_737_936_000
"""2025-01-27, when Kokoro-82M 1.0 was published; OpenAI's clients want a time with each model."""

_COMBINE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"type": "string", "minLength": 1, "maxLength": 1000},
                        {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1},
                            "minItems": 1,
                            "maxItems": MAX_MIX,
                        },
                    ]
                },
                "example": "af_bella(2)+af_sky(1)",
            }
        },
    }
}


async def _engine(services: Services) -> EngineManifest:
    engine = await services.engine.get()
    if engine is None:
        raise NoEngine()
    return engine


def model_views(engine: EngineManifest) -> list[dict[str, Any]]:
    """Return the loaded model under its own name, then under those that clients have built in."""
    names = dict.fromkeys((engine.model, *MODELS))
    return [
        {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": engine.engine.value,
            "stand_in": engine.stand_in,
            "precision": engine.precision,
        }
        for name in names
    ]


@router.get("/v1/models", response_model=ModelList, responses=problems())
async def list_models(services: ServicesOf, caller: CallerOf) -> Response:
    """List the model that is loaded, and the other names it answers to; a stand-in says so."""
    return JSONResponse({"object": "list", "data": model_views(await _engine(services))})


@router.get("/v1/models/{model_id:path}", response_model=Model, responses=problems(404))
async def get_model(
    services: ServicesOf,
    caller: CallerOf,
    model_id: Annotated[str, Path(description="As listed.")],
) -> Response:
    """Look at a model."""
    for view in model_views(await _engine(services)):
        if view["id"] == model_id:
            return JSONResponse(view)
    raise ModelNotFound()


@router.get("/v1/audio/voices", response_model=AudioVoiceList, responses=problems(422))
async def list_audio_voices(
    services: ServicesOf,
    caller: CallerOf,
    legacy: Annotated[
        bool, Query(description="Names only, as Kokoro-FastAPI before 0.3 gave them.")
    ] = False,
) -> Response:
    """List the voices as Open WebUI and others read them; `/v1/voices` says more."""
    names = sorted((await _engine(services)).voices)
    voices = names if legacy else [{"id": name, "name": name} for name in names]
    return JSONResponse({"voices": voices})


@router.post(
    "/v1/audio/voices/combine",
    response_model=CombinedVoice,
    responses=problems(400, 408, 413, 415, 422),
    openapi_extra=_COMBINE_BODY,
)
async def combine_voices(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Check a mix and say what to name it in a request.

    There is no file of the new voice, as Kokoro-FastAPI answers with: the mix itself is its name,
    and every worker makes it from the voices it has.
    """
    body = await read_json_body(request)
    wanted = await offload(len(body), lambda: parse_json(body))
    parts = [wanted] if isinstance(wanted, str) else wanted
    if not (
        isinstance(parts, list) and parts and all(isinstance(p, str) and p.strip() for p in parts)
    ):
        raise InvalidInput('Send a mix such as "af_bella+af_sky", or a list of voices.')
    if len(parts) > MAX_MIX:
        raise InvalidInput(f"A mix has 1 to {MAX_MIX} voices.")
    engine = await _engine(services)
    name = voice_here("+".join(part.strip() for part in parts), engine)
    mix = parse_voice(name)
    mix.check(engine.voices)
    voices = [{"id": voice, "weight": round(weight, 6)} for voice, weight in mix.parts]
    return JSONResponse({"object": "voice", "id": name, "name": name, "voices": voices})
