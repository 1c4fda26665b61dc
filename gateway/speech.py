"""`/v1/audio/speech`: a text spoken while one listens, as OpenAI's clients expect it."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from fastapi import APIRouter, Request
from redis.exceptions import RedisError
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gateway.audio import begun_file
from gateway.callers import Caller, CallerOf
from gateway.errors import (
    JobExpired,
    JobFailed,
    JobNotFound,
    NoEngine,
    SpeechFailed,
    StreamBroken,
)
from gateway.following import follow
from gateway.live_audio import live_audio, no_audio
from gateway.live_response import LiveResponse, begun, unless_gone
from gateway.offload import offload
from gateway.openapi import json_body, problems
from gateway.services import Services, ServicesOf
from gateway.speech_request import SpeechRequest, read_speech_request
from gateway.submission import Naming, submit
from shared import errors
from shared.formats import FORMATS, STREAMABLE
from shared.ledger.records import JobRecord
from shared.ledger.states import TERMINAL, JobStatus

log = structlog.get_logger()

router = APIRouter(tags=["speech"])

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
SPEECH_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, each segment as soon as it is rendered. A connection that is "
        "closed without the answer's end is of audio that could not be completed.",
        "headers": {
            "X-Job-Id": {
                "description": "The job underneath, to be looked at as any other.",
                "schema": {"type": "string"},
            },
            "X-Download-Path": {
                "description": "With `return_download_link`: the file, below `/v1`, once made.",
                "schema": {"type": "string"},
            },
            "X-Timing-Path": {
                "description": "With `return_timing` too: when each segment is heard, below `/v1`.",
                "schema": {"type": "string"},
            },
        },
        "content": {
            **{FORMATS[name].media_type: _BINARY for name in sorted(STREAMABLE)},
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'data: {"type": "speech.audio.delta", "audio": "SUQzBAAA…"}\n\n',
            },
        },
    },
    **problems(400, 408, 409, 413, 415, 422, 429, 502),
}

_OF_THE_TEXT: dict[str, type[errors.ClusterError]] = {
    kind.code: kind
    for kind in (
        errors.NothingToSpeak,
        errors.InvalidMarkup,
        errors.UnknownVoice,
        errors.LanguageUnavailable,
    )
}
"""Codes of failed jobs for which another text or another field is the remedy."""


W = TypeVar("W", bound=SpeechRequest)


@dataclass(frozen=True)
class Body:
    """What an answer consists of, once it has begun.

    Attributes:
        chunks: its bytes.
        headers: that tell of them.
    """

    chunks: AsyncIterator[bytes]
    media_type: str
    headers: dict[str, str]


@router.post(
    "/v1/audio/speech",
    response_class=Response,
    responses=SPEECH_ANSWERS,
    openapi_extra=json_body(SpeechRequest),
)
async def create_speech(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Speak a text. Who hangs up wants no more of it: the job is canceled."""
    wish = await read_speech_request(request, SpeechRequest)
    return await speak(request, services, caller, wish, audio_body)


async def speak(
    request: Request,
    services: Services,
    caller: Caller,
    wish: W,
    body: Callable[[Request, Services, W, JobRecord], Awaitable[Body]],
) -> Response:
    """Return the answer to a wish for speech once it has begun.

    Args:
        request: whose body has been read.
        services: of the gateway.
        caller: whose job it becomes.
        wish: what is to be spoken.
        body: makes the answer of the job; it returns once that has begun.

    Raises:
        ClusterError: it can't be spoken; no job of it goes on.
        ClientDisconnect: the client left first; its job is canceled.
    """
    engine = await services.engine.get()
    if engine is None:
        raise NoEngine()
    wish = await offload(len(wish.input), lambda: wish.resolved(engine))
    accepted = await submit(services, caller, wish.job(engine), Naming(), quick_start=True)
    record = accepted.record
    request.scope["kc.job_id"] = record.uid
    try:
        made = await body(request, services, wish, record)
    except (errors.ClusterError, ClientDisconnect) as error:
        await _cancel(services, record.uid)
        if isinstance(error, JobFailed | JobExpired):
            raise await _failure(services, caller.owner, record.uid) from error
        raise
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", "X-Job-Id": record.id}
    if wish.return_download_link:
        headers["X-Download-Path"] = f"/download/{record.id}.{wish.file_format}"
    if wish.timing:
        headers["X-Timing-Path"] = f"/download/{record.id}.{wish.file_format}.json"
    return LiveResponse(
        made.chunks,
        headers={**headers, **made.headers},
        media_type=made.media_type,
        on_incomplete=partial(_cancel, services, record.uid),
    )


async def audio_body(
    request: Request, services: Services, wish: SpeechRequest, record: JobRecord
) -> Body:
    """Return the audio itself, or OpenAI's events with it."""
    length = None
    if wish.stream:
        chunks = live_audio(services, record.uid, wish.response_format, volume=wish.volume)
        chunks = await begun(request, chunks)
    else:
        chunks, length = await whole_audio(request, services, wish, record)
    if wish.stream_format == "sse":
        return Body(_as_events(chunks, len(wish.input)), "text/event-stream", {})
    info = FORMATS[wish.response_format]
    headers = {"Content-Disposition": f'attachment; filename="speech.{info.extension}"'}
    if length is not None:
        headers["Content-Length"] = str(length)
    return Body(chunks, info.media_type, headers)


async def whole_audio(
    request: Request, services: Services, wish: SpeechRequest, record: JobRecord
) -> tuple[AsyncIterator[bytes], int | None]:
    """Return the bytes of all audio once the job has succeeded, and how many, if that is known.

    Raises:
        ClusterError: it can't be had.
        ClientDisconnect: the client left first.
    """
    ended = await unless_gone(request, _ended(services, record.uid))
    if wish.volume == 1.0:
        file = next(o for o in ended.outputs if o.format is wish.response_format)
        return await begun_file(services.storage, file.key, 0, file.bytes), file.bytes
    chunks = live_audio(services, record.uid, wish.response_format, volume=wish.volume)
    return await begun(request, chunks), None


async def _ended(services: Services, uid: str) -> JobRecord:
    """Wait until a job has succeeded.

    Raises:
        ApiError: it ended otherwise, or the gateway stops.
    """
    try:
        async for seen in follow(services, uid):
            if seen is None or seen.more:
                continue
            if seen.job is None:
                raise JobNotFound()
            if seen.job.status is JobStatus.SUCCEEDED:
                return seen.job
            if seen.job.status in TERMINAL:
                raise no_audio(seen.job)
    except (RedisError, OSError) as error:
        raise StreamBroken("The ledger does not answer.") from error
    raise StreamBroken("The gateway is being stopped.")


async def _failure(services: Services, owner: str, uid: str) -> errors.ClusterError:
    """Return what to say of a job that came to nothing."""
    record = await services.intake.get(owner, uid)
    if record is None:
        return JobNotFound()
    kind = _OF_THE_TEXT.get(record.error_code or "")
    if kind is not None:
        return kind(record.error_message, param="input")
    reason = record.error_message or f"The job is {record.status}."
    # OpenAI's clients would try again, and the cluster has tried often enough.
    return SpeechFailed(f"{reason} ({record.error_code})", headers={"x-should-retry": "false"})


async def _cancel(services: Services, uid: str) -> None:
    """End a job that nobody listens to any more; if it can't be told, it ends by itself."""
    try:
        before = await services.intake.cancel(uid)
    except (RedisError, OSError) as error:
        log.warning("job not canceled", action="cancel", job_id=uid, error=str(error)[:200])
        return
    if before is not None and before not in TERMINAL:
        log.info("job canceled", action="cancel", job_id=uid, reason="nobody listens")


async def _as_events(chunks: AsyncIterator[bytes], input_chars: int) -> AsyncIterator[bytes]:
    """Yield the same audio as OpenAI's events.

    Its `usage` counts tokens of a model that is not here: characters of the input stand for them.
    """
    async for chunk in chunks:
        if chunk:
            audio = base64.b64encode(chunk).decode()
            yield _event({"type": "speech.audio.delta", "audio": audio})
    usage = {"input_tokens": input_chars, "output_tokens": 0, "total_tokens": input_chars}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
