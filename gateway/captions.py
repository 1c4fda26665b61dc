"""`/v1/jobs/{id}/captions.…`: when each word is heard, of a finished job or of its beginning."""

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from gateway.audio import StoredFile, check_finished, serve_file
from gateway.callers import CallerOf
from gateway.errors import AudioGone, CaptionsNotMade
from gateway.jobs import JobId, find_job
from gateway.offload import offload
from gateway.openapi import CAPTIONS_EXAMPLE, CAPTIONS_SCHEMA, problems
from gateway.services import Services, ServicesOf
from shared.captions import head, sentence_row, word_rows
from shared.formats import CAPTIONS, SAMPLE_RATE_HZ, CaptionFormat
from shared.languages import Language
from shared.ledger.records import CaptionFile, JobRecord, SegmentRecord
from shared.ledger.states import TERMINAL, SegmentStatus
from shared.spoken import PAUSE, decode
from shared.timings import time_segment
from shared.wav_comment import HEAD_BYTES, read_durations

PART_SEGMENTS = 64
"""Segments that one answer with `partial` tells of: some quarter of an hour of speech."""

READ_AT_ONCE = 16
"""Of those, whose beginnings are on their way from the store at a time."""

router = APIRouter(tags=["jobs"])


class PartQuery(BaseModel):
    """How much of the words."""

    partial: bool = Field(
        False, description="While the job runs: what is finished from the beginning on."
    )
    after: str = Field(
        "0-0",
        description="With `partial`: `after` of the part before; only what is new is sent.",
        pattern=r"^[0-9]{1,6}-[0-9]{1,12}$",
    )


def _answers(name: CaptionFormat) -> dict[int | str, dict[str, Any]]:
    media_type = CAPTIONS[name].media_type.partition(";")[0]
    content: dict[str, Any] = {media_type: {"schema": {"type": "string"}}}
    if name is CaptionFormat.WORDS:
        content = {media_type: {"schema": CAPTIONS_SCHEMA, "example": CAPTIONS_EXAMPLE}}
    return {
        200: {"description": "The whole file.", "content": content},
        206: {"description": "The part asked for by `Range`.", "content": content},
        304: {"description": "The client's copy is this file (`If-None-Match`)."},
        **problems(404, 409, 410, 416, 422),
    }


@router.get(
    "/v1/jobs/{job_id}/captions.srt",
    response_class=Response,
    responses=_answers(CaptionFormat.SRT),
)
async def get_srt(
    request: Request, services: ServicesOf, caller: CallerOf, job_id: JobId
) -> Response:
    """Download a finished job's captions as SubRip."""
    record = await find_job(services, caller, job_id)
    return await _send(request, services, record, CaptionFormat.SRT)


@router.get(
    "/v1/jobs/{job_id}/captions.vtt",
    response_class=Response,
    responses=_answers(CaptionFormat.VTT),
)
async def get_vtt(
    request: Request, services: ServicesOf, caller: CallerOf, job_id: JobId
) -> Response:
    """Download a finished job's captions as WebVTT."""
    record = await find_job(services, caller, job_id)
    return await _send(request, services, record, CaptionFormat.VTT)


@router.get(
    "/v1/jobs/{job_id}/captions.json",
    response_class=Response,
    responses=_answers(CaptionFormat.WORDS),
)
async def get_words(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    wanted: Annotated[PartQuery, Query()],
) -> Response:
    """Tell when each word and each sentence of a job is heard.

    With `partial` an answer that is not `complete` goes on at its `after`, at once or when more is
    rendered. Once the job has succeeded the answer is `complete` and holds everything.
    """
    record = await find_job(services, caller, job_id)
    made = CaptionFormat.WORDS in record.spec.captions
    if wanted.partial and made and record.status not in TERMINAL:
        first, _, samples = wanted.after.partition("-")
        part = await _beginning(services, record, int(first), int(samples))
        if part is not None:
            return JSONResponse(part, headers={"Cache-Control": "no-store"})
        record = await find_job(services, caller, job_id)  # it has ended meanwhile
    return await _send(request, services, record, CaptionFormat.WORDS)


async def _send(
    request: Request, services: Services, record: JobRecord, wanted: CaptionFormat
) -> Response:
    file = captions_file(record, wanted)
    info = CAPTIONS[wanted]
    name = f"{record.id}.{info.extension}"
    stored = StoredFile(file.key, file.bytes, file.sha256, info.media_type, name)
    # Not by way of the store: a page may show captions of its own origin only.
    return await serve_file(request, services, stored, redirect=False)


def captions_file(record: JobRecord, wanted: CaptionFormat) -> CaptionFile:
    """Return a finished job's captions.

    Raises:
        ApiError: it was made without these, or has not finished, or they are gone.
    """
    if wanted not in record.spec.captions:
        raise CaptionsNotMade(
            f"The job was made without {wanted} captions: create it with `timestamps: true`, or "
            f"with `{wanted}` among `outputs`."
        )
    check_finished(record)
    for file in record.captions:
        if file.format is wanted:
            return file
    raise AudioGone()


async def _beginning(
    services: Services, record: JobRecord, first: int, samples: int
) -> dict[str, Any] | None:
    """Return what is known of the segments from `first` on, before which `samples` are.

    None if the job has ended.
    """
    segments = await services.intake.segments_from(record.uid, first, PART_SEGMENTS)
    done = list(takewhile(lambda segment: segment.status is SegmentStatus.DONE, segments))
    stop = first + len(done)
    slices = await services.intake.spoken(record.uid, first, stop) if done else []
    if slices is None:
        return None
    durations = await read_durations_of(services, done)

    def timed() -> dict[str, Any]:
        return _part(record.spec.language, slices, done, durations, first=first, samples=samples)

    return await offload(sum(len(row) for _, row in slices), timed)


def _part(
    language: Language,
    slices: Sequence[tuple[int, str]],
    done: Sequence[SegmentRecord],
    durations: Sequence[list[int] | None],
    *,
    first: int,
    samples: int,
) -> dict[str, Any]:
    spoken = {index: said for begin, row in slices for index, said in enumerate(decode(row), begin)}
    sentences: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    exact = True
    for segment, frames in zip(done, durations, strict=True):
        for sentence in time_segment(
            spoken.get(segment.index, PAUSE),
            index=segment.index,
            start_samples=samples,
            samples=segment.samples or 0,
            durations=frames,
        ):
            exact = exact and sentence.exact
            words += word_rows(sentence, len(sentences))
            sentences.append(sentence_row(sentence))
        samples += segment.samples or 0
    return {
        **head(language, samples / SAMPLE_RATE_HZ, exact=exact, complete=False),
        "after": f"{first + len(done)}-{samples}",
        "sentences": sentences,
        "words": words,
    }


async def read_durations_of(
    services: Services, segments: Sequence[SegmentRecord]
) -> list[list[int] | None]:
    """Return the durations that each segment was stored with; None where it has none.

    Raises:
        ClusterError: the store is away, or has a segment no more.
    """
    slots = asyncio.Semaphore(READ_AT_ONCE)

    async def durations(segment: SegmentRecord) -> list[int] | None:
        if segment.key is None:
            return None
        most = min(HEAD_BYTES, 2 * (segment.samples or 0))
        async with slots:
            start = await services.storage.get_start_async(segment.key, most)
        try:
            return read_durations(start)
        except ValueError:  # the assembler will find it damaged, and say so
            return None

    return list(await asyncio.gather(*map(durations, segments)))
