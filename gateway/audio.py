"""`/v1/jobs/{id}/audio`: a job's files, from where they are stored to the client."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from gateway.callers import CallerOf
from gateway.errors import AudioGone, JobNotReady
from gateway.jobs import JobId, find_job
from gateway.live_audio import NO_AUDIO, live_audio, no_audio
from gateway.live_response import LiveResponse, begun
from gateway.openapi import problems
from gateway.ranges import not_modified, wanted_range
from gateway.services import Services, ServicesOf
from shared.errors import InvalidInput
from shared.formats import FORMATS, STREAMABLE, AudioFormat
from shared.ledger.chapters import chapter_file
from shared.ledger.records import JobRecord, OutputFile
from shared.ledger.states import TERMINAL, JobStatus
from shared.markup import MAX_CHAPTERS
from shared.storage import Storage

router = APIRouter(tags=["jobs"])

_BYTES: dict[str, Any] = {
    info.media_type: {"schema": {"type": "string", "format": "binary"}} for info in FORMATS.values()
}

FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole file.",
        "content": _BYTES,
        "headers": {
            "X-Loudness": {
                "description": "`as-rendered`: with `partial`, before the job's `loudness_lufs`.",
                "schema": {"type": "string"},
            }
        },
    },
    206: {"description": "The part asked for by `Range`.", "content": _BYTES},
    304: {"description": "The client's copy is this file (`If-None-Match`)."},
    307: {"description": "The file is at `Location`, a URL signed by the store."},
    **problems(404, 409, 410, 416, 422),
}

Format = Annotated[AudioFormat | None, Query(description="Default: the job's main output.")]
Chapter = Annotated[
    int | None,
    Query(ge=1, le=MAX_CHAPTERS + 1, description="Of a job with `split`; 1 for the first."),
]
Redirect = Annotated[
    bool,
    Query(
        description="`false`: the bytes, also where the store signs URLs. For scripts in browsers, "
        "which may not follow to another origin."
    ),
]
Partial = Annotated[
    bool,
    Query(
        description="Don't wait for the job to end: stream the audio from its beginning, as it is"
        " made, until its end. A connection that ends before is closed without the answer's end. "
        "Of a job with `loudness_lufs` it is as loud as it was rendered, and `X-Loudness` says so: "
        "what to multiply it with is known when all of it has been measured, for the file."
    ),
]


@router.get(
    "/v1/jobs/{job_id}/audio", response_class=Response, responses=FILE_ANSWERS, name="get_audio"
)
@router.head(
    "/v1/jobs/{job_id}/audio",
    response_class=Response,
    responses=FILE_ANSWERS,
    operation_id="head_audio",
)
async def get_audio(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    *,
    format: Format = None,
    redirect: Redirect = True,
    partial: Partial = False,
    chapter: Chapter = None,
) -> Response:
    """Download a file of a finished job, or with `partial` follow the audio of any."""
    record = await find_job(services, caller, job_id)
    if partial and chapter is not None:
        raise InvalidInput(
            "Only the whole job can be followed, no single chapter.", param="chapter"
        )
    if partial and not _has(record, format):
        return await _partial(request, services, record, format or record.spec.outputs[0])
    return await send_audio(request, services, record, format, redirect=redirect, chapter=chapter)


async def send_audio(
    request: Request,
    services: Services,
    record: JobRecord,
    wanted: AudioFormat | None,
    *,
    redirect: bool,
    chapter: int | None = None,
    name: str | None = None,
) -> Response:
    """Answer with a file of a finished job.

    Args:
        request: whose headers count.
        services: of the gateway.
        record: the job.
        wanted: which of its files; by default the main one.
        redirect: whether the client may be sent to the store.
        chapter: of which there is a file of its own; by default that of the whole.
        name: to save it under, without the ending; by default the job's id.

    Raises:
        ClusterError: there is no such file, or the store is away.
    """
    output = _output(record, wanted)
    if chapter is not None:
        output = await _chapter(services, record, chapter, output.format)
    info = FORMATS[output.format]
    file = StoredFile(
        output.key,
        output.bytes,
        output.sha256,
        info.media_type,
        f"{name or _name(record, output)}.{info.extension}",
    )
    return await serve_file(request, services, file, redirect=redirect)


@dataclass(frozen=True)
class StoredFile:
    """An object that never changes, as it is handed out.

    Attributes:
        key: in object storage.
        bytes: its size.
        tag: what tells it from every other, for its `ETag`.
        name: what a browser saves it under.
    """

    key: str
    bytes: int
    tag: str
    media_type: str
    name: str


async def serve_file(
    request: Request, services: Services, file: StoredFile, *, redirect: bool
) -> Response:
    """Answer with a file, a part of it, where it is (if `redirect`), or that the client has it.

    Args:
        request: whose headers count.
        services: where the file is stored.
        file: which one.
        redirect: whether the client may be sent to the store, which is another origin.

    Raises:
        ClusterError: the store is away, or the file or that part of it is not there.
    """
    etag = f'"{file.tag}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if not_modified(request.headers, etag):
        return Response(status_code=304, headers=headers)
    if redirect and request.method != "HEAD":
        # A URL signed for GET is of no use for HEAD, which needs no byte of the file anyway.
        url = await services.storage.sign_get_async(
            file.key, expires_s=services.settings.presign_ttl_s
        )
        if url is not None:
            return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
    headers |= {
        "Accept-Ranges": "bytes",
        "Content-Type": file.media_type,
        "Content-Disposition": f'attachment; filename="{file.name}"',
    }
    if request.method == "HEAD":  # it knows no ranges: RFC 9110, section 14.2
        return Response(headers={**headers, "Content-Length": str(file.bytes)})
    part = wanted_range(request.headers, file.bytes, etag)
    start, end = (part.start, part.end) if part else (0, file.bytes)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = part.content_range(file.bytes)
    status = 206 if part else 200
    chunks = await begun_file(services.storage, file.key, start, end)
    return StreamingResponse(chunks, status, headers)


def _has(record: JobRecord, wanted: AudioFormat | None) -> bool:
    """Say whether the job's files, made or deleted since, are what is wanted."""
    made = [output.format for output in record.outputs]
    return record.status is JobStatus.SUCCEEDED and (wanted in {None, *made} or record.purged)


async def _partial(
    request: Request, services: Services, record: JobRecord, wanted: AudioFormat
) -> Response:
    if record.status in NO_AUDIO:
        raise no_audio(record)
    if wanted not in STREAMABLE:
        known = ", ".join(sorted(STREAMABLE))
        raise InvalidInput(f"{wanted} can't be streamed; choose one of {known}.", param="format")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if record.spec.loudness_lufs is not None:
        headers["X-Loudness"] = "as-rendered"
    media_type = FORMATS[wanted].media_type
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Type": media_type})
    chunks = await begun(request, live_audio(services, record.uid, wanted))
    return LiveResponse(chunks, headers=headers, media_type=media_type)


def _output(record: JobRecord, wanted: AudioFormat | None) -> OutputFile:
    """Return the file that is wanted, or raise why there is none."""
    check_finished(record)
    for output in record.outputs:
        if wanted in {None, output.format}:
            return output
    made = ", ".join(output.format for output in record.outputs)
    raise InvalidInput(f"The job made no {wanted} file; it made: {made}.", param="format")


def check_finished(record: JobRecord) -> None:
    """Raise why a job has no files, if it has none."""
    if record.status is not JobStatus.SUCCEEDED:
        if record.status in TERMINAL:
            raise no_audio(record)
        raise JobNotReady(
            f"The job is {record.status}; poll it until it has succeeded.", retry_after_s=1
        )
    if record.purged:
        raise AudioGone()


async def _chapter(
    services: Services, record: JobRecord, chapter: int, audio_format: AudioFormat
) -> OutputFile:
    """Return a chapter's file, or raise why there is none."""
    if not record.spec.split:
        raise InvalidInput("The job was not split by its chapters.", param="chapter")
    found = await chapter_file(services.intake.client, record.uid, chapter, audio_format)
    if found is None:
        raise InvalidInput(
            f"There is no file of chapter {chapter}: the job has {record.chapters_total} chapters, "
            "and only those that are heard have files.",
            param="chapter",
        )
    return found


def _name(record: JobRecord, output: OutputFile) -> str:
    return record.id if output.chapter is None else f"{record.id}-chapter-{output.chapter:04}"


async def begun_file(storage: Storage, key: str, start: int, end: int) -> AsyncIterator[bytes]:
    """Return the chunks of a file's part, the first one read: so a store away is still an error.

    Raises:
        ClusterError: it is away, or there is no such object.
    """
    chunks = storage.stream_async(key, start, end)
    first = await anext(chunks, b"")

    async def all_chunks() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_chunks()
