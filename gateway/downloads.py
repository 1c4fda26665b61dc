"""`/v1/download/…`: where Kokoro-FastAPI's clients look for the file that they just listened to.

The paths are in the headers `X-Download-Path` and `X-Timing-Path` of an answer. There the file is
written with the stream; here a job makes it, which may take a moment longer: that is waited for.
"""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from gateway.audio import FILE_ANSWERS, Redirect, send_audio
from gateway.callers import Caller, CallerOf
from gateway.captions import captions_file
from gateway.jobs import find_job
from gateway.offload import offload
from gateway.openapi import problems
from gateway.preferences import wait_until_ended
from gateway.services import Services, ServicesOf
from gateway.stored_captions import stored_rows
from shared.formats import SAMPLE_RATE_HZ, AudioFormat, CaptionFormat
from shared.ledger.records import JobRecord, SegmentRecord
from shared.ledger.states import TERMINAL

router = APIRouter(tags=["speech"])

WAIT_S = 60
"""For which a file is waited whose audio is all there."""
SEGMENTS_AT_ONCE = 1000
DECIMALS = 3
"""Of a second."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}$")
MAX_NAME_CHARS = 100

JobId = Annotated[str, Path(description="The job's id, as in `X-Job-Id`.")]

_TIMING_EXAMPLE = {"chunks": [{"text": "Hello world!", "start": 0.0, "end": 0.875}]}


# Before the other one, whose path would take this one's for a name with a dot in it.
@router.get(
    "/v1/download/{job_id}.{format}.json",
    response_class=Response,
    responses={
        200: {
            "description": "The segments in order; a pause has no text.",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": _TIMING_EXAMPLE}
            },
        },
        **problems(404, 409, 410, 422),
    },
)
async def download_timing(
    request: Request, services: ServicesOf, caller: CallerOf, job_id: JobId, format: AudioFormat
) -> Response:
    """Tell when each segment of a job is heard, in seconds of its audio."""
    record = await _made(request, services, caller, job_id)
    document = captions_file(record, CaptionFormat.WORDS)
    sentences: dict[int, list[str]] = {}
    async for row in stored_rows(services.storage, document.key, "sentences"):
        sentences.setdefault(row["segment"], []).append(row["text"])
    segments: list[SegmentRecord] = []
    while len(segments) < record.segments_total:
        more = await services.intake.segments_from(record.uid, len(segments), SEGMENTS_AT_ONCE)
        if not more:
            break
        segments += more
    return await offload(
        document.bytes, lambda: JSONResponse({"chunks": _chunks(segments, sentences)})
    )


@router.get(
    "/v1/download/{job_id}.{format}",
    response_class=Response,
    responses=FILE_ANSWERS,
)
async def download(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    format: AudioFormat,
    *,
    name: Annotated[
        str | None, Query(description="What to save it under; the ending stays.", max_length=1000)
    ] = None,
    redirect: Redirect = True,
) -> Response:
    """Download a job's file. If all its audio is made, the file is waited for."""
    record = await _made(request, services, caller, job_id)
    # A URL of the store's can't be told a name.
    named = _name(name)
    return await send_audio(
        request, services, record, format, redirect=redirect and named is None, name=named
    )


async def _made(request: Request, services: Services, caller: Caller, job_id: str) -> JobRecord:
    """Return a job; if nothing is missing but its files, then once it has ended."""
    record = await find_job(services, caller, job_id)
    done = record.planned and record.segments_done == record.segments_total
    if done and record.status not in TERMINAL:
        await wait_until_ended(services, request, record.uid, timeout_s=WAIT_S)
        record = await find_job(services, caller, job_id)
    return record


def _name(wanted: str | None) -> str | None:
    """Return what is left of a name in characters that mean nothing to anybody's file system."""
    stem = _ENDING.sub("", _NOT_IN_A_NAME.sub("_", wanted or ""))
    return stem.strip("._-")[:MAX_NAME_CHARS].strip("._-") or None


def _chunks(segments: list[SegmentRecord], sentences: dict[int, list[str]]) -> list[dict[str, Any]]:
    chunks, start = [], 0
    for segment in segments:
        end = start + (segment.samples or 0)
        chunks.append(
            {
                "text": " ".join(sentences.get(segment.index, ())),
                "start": round(start / SAMPLE_RATE_HZ, DECIMALS),
                "end": round(end / SAMPLE_RATE_HZ, DECIMALS),
            }
        )
        start = end
    return chunks
