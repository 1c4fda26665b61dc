"""`/v1/estimate`: what a job would come to, without making it; no device is asked."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.openapi import JOB_BODY, problems
from gateway.requests import read_job_request
from gateway.sampling import stretches
from gateway.schemas import Estimate
from gateway.services import ServicesOf
from gateway.submission import Naming, prepare
from shared.errors import LanguageUnavailable
from shared.ledger.asks import AskKind
from shared.ledger.speech import s_per_phoneme

router = APIRouter(tags=["jobs"])

ANSWER_WITHIN_S = 15.0
"""How long a planner is waited for: loading a language's dictionaries takes some seconds."""


@router.post(
    "/v1/estimate",
    response_model=Estimate,
    responses=problems(400, 408, 413, 415, 422),
    openapi_extra=JOB_BODY,
)
async def estimate(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Say what a job would come to if it were submitted now; nothing is recorded or rendered.

    A long text is sampled. Lexicons and a normalized text are not taken into account.
    """
    job = await prepare(services, caller, await read_job_request(request), Naming())
    texts, sampled = stretches(job.input)
    body = {"texts": texts, "language": job.spec.language}
    found: dict[str, Any] = {"segments": None, "audio_s": None, "wait_s": None, "oov": []}
    problems_found: list[dict[str, str]] = []
    try:
        answer = await services.asks.ask(
            AskKind.ESTIMATE, body, ANSWER_WITHIN_S, owner=caller.owner
        )
    except LanguageUnavailable as error:
        problems_found.append({"code": error.code, "detail": error.message})
    else:
        scale = len(job.input) / sum(map(len, texts))
        measured = await services.intake.speech()
        each_s = s_per_phoneme(measured, job.spec.voice) / job.spec.speed
        wait_s = await services.pace.wait_s(job)
        found = {
            "segments": round(answer["segments"] * scale),
            "audio_s": round((answer["phonemes"] * each_s + answer["pause_s"]) * scale, 1),
            "wait_s": None if wait_s is None else round(wait_s, 1),
            "oov": answer["oov"],
        }
        problems_found += answer["warnings"]
        if answer["degraded"]:
            problems_found.append({"code": "g2p_degraded", "detail": answer["degraded"]})
        if not answer["phonemes"]:
            detail = "Nothing in the input could be pronounced in its language."
            problems_found.append({"code": "nothing_to_speak", "detail": detail})
    return JSONResponse(
        {"object": "estimate", **found, "problems": problems_found, "sampled": sampled}
    )
