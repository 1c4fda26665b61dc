"""`/v1/estimate`: what a job would come to, without making it; no device is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.offload import offload
from gateway.openapi import JOB_BODY, problems
from gateway.sampling import Sample, sample
from gateway.schemas import Estimate
from gateway.services import ServicesOf
from gateway.submission import Naming, prepare
from gateway.upload_requests import read_submission
from shared.errors import LanguageUnavailable, UnknownLexicon
from shared.ledger.asks import AskKind
from shared.ledger.lexicons import Lexicons, LexiconVersion
from shared.ledger.records import NewJob
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

    It takes what POST /v1/jobs takes, a document too, and refuses what that refuses. The text is
    planned as the job's would be: normalized or not, with its lexicons, voices and chapters; of one
    longer than 20,000 characters, stretches stand for all of it. Audio that exists already is not
    looked for.
    """
    wanted, source = await read_submission(request, services, caller.owner)
    job = await prepare(services, caller, wanted, Naming(), source=source)
    lexicons = await _versions(services.lexicons, job)
    sampled = await offload(len(job.input), lambda: sample(job.input))
    body = {
        "texts": sampled.texts,
        "voices": sampled.voices,
        "language": job.spec.language,
        "normalize": job.spec.normalize,
        "follow_voice": job.spec.follow_voice,
        "chapter_pause_s": job.spec.chapter_pause_s,
        "lexicons": [version.digest for version in lexicons.values()],
    }
    text_field = wanted.text_field if source is None else "file"
    found: dict[str, Any] = {"segments": None, "audio_s": None, "wait_s": None, "oov": []}
    told = [_problem(w["code"], w["detail"], "file") for w in job.warnings]
    try:
        answer = await services.asks.ask(
            AskKind.ESTIMATE, body, ANSWER_WITHIN_S, owner=caller.owner
        )
    except LanguageUnavailable as error:
        field = "voice" if wanted.language is None else "language"
        told.append(_problem(error.code, error.message, field))
    else:
        whole = _whole(job, sampled, answer)
        wait_s = await services.pace.wait_s(job, whole.phonemes)
        audio_s = whole.audio_s(job, await services.intake.speech())
        found = {
            "segments": whole.segments,
            "audio_s": round(audio_s, 1),
            "wait_s": None if wait_s is None else round(wait_s, 1),
            "oov": answer["oov"],
        }
        told += [_problem(w["code"], w["detail"], text_field) for w in answer["warnings"]]
        degraded = [answer["degraded"], *answer.get("degraded_others", ())]
        told += [_problem("g2p_degraded", why, None) for why in degraded if why]
        if not whole.phonemes:
            detail = "Nothing in the input could be pronounced in its language."
            told.append(_problem("nothing_to_speak", detail, text_field))
    return JSONResponse(
        {
            "object": "estimate",
            **found,
            "problems": told,
            "sampled": not sampled.whole,
            "input_chars": len(job.input),
            "chapters": sampled.chapters,
            "lexicons": [f"{name}@{version.version}" for name, version in lexicons.items()],
            "title": job.spec.title or None,
            "author": job.spec.author or None,
        }
    )


@dataclass(frozen=True)
class _Whole:
    """What planning all of a text would come to.

    Attributes:
        segments: pauses too.
        phonemes: of all of them.
        spoken: the same by voice; "" is the job's own.
        pause_s: seconds of silence.
    """

    segments: int
    phonemes: float
    spoken: Mapping[str, float]
    pause_s: float

    def audio_s(self, job: NewJob, measured: Mapping[str, str]) -> float:
        """Return seconds of audio by what was measured of each voice."""
        said_s = sum(
            phonemes * s_per_phoneme(measured, voice or job.spec.voice)
            for voice, phonemes in self.spoken.items()
        )
        return said_s / job.spec.speed + self.pause_s


def _whole(job: NewJob, sampled: Sample, answer: dict[str, Any]) -> _Whole:
    """Return what all of the text comes to, by what its stretches do. Marks need no estimate."""
    scale = len(job.input) / max(1, sum(map(len, sampled.texts)))
    # A planner of the release before tells voices not apart, and pauses not from segments.
    spoken: dict[str, float] = answer.get("spoken", {"": answer["phonemes"]})
    if sampled.whole:
        return _Whole(answer["segments"], answer["phonemes"], spoken, answer["pause_s"])
    chapter_pauses = sampled.chapters if job.spec.chapter_pause_s > 0 else 0
    speech = answer["segments"] - answer.get("pauses", 0)
    return _Whole(
        round(speech * scale) + sampled.pauses + chapter_pauses,
        answer["phonemes"] * scale,
        {voice: phonemes * scale for voice, phonemes in spoken.items()},
        sampled.pause_s + chapter_pauses * job.spec.chapter_pause_s,
    )


async def _versions(lexicons: Lexicons, job: NewJob) -> dict[str, LexiconVersion]:
    """Return the versions that a job's lexicons now stand for, by name, in its order.

    Raises:
        UnknownLexicon: there is none of that name or version.
    """
    found: dict[str, LexiconVersion] = {}
    for reference in job.lexicons:
        name, _, version = reference.partition("@")
        record = await lexicons.get(job.owner, name)
        kept = None
        if record is not None:
            kept = record.at(int(version)) if version else record.newest
        if kept is None:
            raise UnknownLexicon(
                f"You have no lexicon {reference!r}; GET /v1/lexicons lists yours.",
                param="lexicons",
            )
        found[name] = kept
    return found


def _problem(code: str, detail: str, param: str | None) -> dict[str, str | None]:
    return {"code": code, "detail": detail, "param": param}
