"""`/v1/jobs/{id}/segments/{index}/audio`: what is rendered of a job, a segment at a time."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from gateway.audio import Redirect, StoredFile, serve_file
from gateway.callers import CallerOf
from gateway.errors import AudioGone, SegmentIsPause, SegmentNotFound, SegmentNotReady
from gateway.jobs import JobId, find_job
from gateway.openapi import problems
from gateway.services import ServicesOf
from shared.errors import ObjectMissing
from shared.formats import FORMATS, AudioFormat
from shared.ledger.following import segment_of

router = APIRouter(tags=["jobs"])

MAX_INDEX = 9_999_999
"""More segments than the longest input can have."""

_WAV = FORMATS[AudioFormat.WAV].media_type
_BYTES: dict[str, Any] = {_WAV: {"schema": {"type": "string", "format": "binary"}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The segment, mono 16-bit at 24 kHz.", "content": _BYTES},
    206: {"description": "The part asked for by `Range`.", "content": _BYTES},
    304: {"description": "The client's copy is this file (`If-None-Match`)."},
    307: {"description": "The file is at `Location`, a URL signed by the store."},
    **problems(404, 409, 410, 416, 422),
}


@router.get("/v1/jobs/{job_id}/segments/{index}/audio", response_class=Response, responses=_ANSWERS)
async def get_segment_audio(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    index: Annotated[int, Path(ge=0, le=MAX_INDEX, description="As in `?include=segments`.")],
    *,
    redirect: Redirect = True,
) -> Response:
    """Download one segment's audio, as soon as it is done."""
    record = await find_job(services, caller, job_id)
    segment = await segment_of(services.intake.client, record.uid, index)
    if segment is None:
        raise SegmentNotFound(
            f"The job has no segment {index}; {record.segments_total} are planned."
        )
    if segment.pause:
        seconds = (segment.samples or 0) / 24_000
        raise SegmentIsPause(
            f"Segment {index} is a pause of {seconds:.3f} s: silence that is stored nowhere."
        )
    if segment.key is None:
        raise SegmentNotReady(
            f"Segment {index} is {segment.status}, and the job {record.status}; it has no audio.",
            retry_after_s=1,
        )
    try:
        found = await services.storage.head_async(segment.key)
    except ObjectMissing as error:
        raise AudioGone(f"The audio of segment {index} was deleted.") from error
    # The key names the audio's content and the attempt that made it, but also whose it is.
    tag = hashlib.sha256(segment.key.encode()).hexdigest()
    name = f"{record.id}-{index}.wav"
    file = StoredFile(segment.key, found.size, tag, _WAV, name)
    return await serve_file(request, services, file, redirect=redirect)
