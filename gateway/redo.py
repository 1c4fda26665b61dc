"""`/v1/jobs/{id}/segments/{index}/redo`: one segment of a finished job said anew, the rest kept.

request ─▶ what the segment was like ─▶ audio to be kept is there ─▶ a new job
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from gateway.audio import check_finished
from gateway.callers import Caller, CallerOf
from gateway.errors import AudioGone, NoEngine, SegmentIsPause, SegmentNotFound, WordsGone
from gateway.job_ids import new_uid
from gateway.jobs import CREATED, IDEMPOTENCY_KEY, PREFER, JobId, answer_submission, find_job
from gateway.offload import offload
from gateway.openapi import json_body, problems
from gateway.preferences import idempotency_key
from gateway.redo_requests import RedoRequest, read_redo_request
from gateway.schemas import Job
from gateway.segments import MAX_INDEX
from gateway.services import Services, ServicesOf
from gateway.submission import Naming, check_webhook, mark_voices, record, sha256
from shared.errors import InvalidMarkup, ObjectMissing, UnknownLanguage
from shared.languages import Language, language_of_voice, parse_language
from shared.ledger.records import JobRecord, NewJob
from shared.ledger.redo import KeptSegment, Redo, Said, Source, how_said
from shared.manifest import EngineManifest, EngineStamp
from shared.markup import Contents, check_input
from shared.spoken import SpokenRow, file_key, read_file
from shared.voices import VoiceMix, parse_voice

router = APIRouter(tags=["jobs"])


@dataclass(frozen=True)
class Place:
    """The segment whose place a new text takes."""

    job: JobRecord
    index: int
    segment: KeptSegment


@router.post(
    "/v1/jobs/{job_id}/segments/{index}/redo",
    status_code=202,
    response_model=Job,
    responses={**CREATED, **problems(400, 404, 408, 409, 410, 413, 415, 422, 429)},
    openapi_extra={**json_body(RedoRequest), "parameters": IDEMPOTENCY_KEY + PREFER},
)
async def redo_segment(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    index: Annotated[int, Path(ge=0, le=MAX_INDEX, description="As in `?include=segments`.")],
) -> Response:
    """Say one segment of a finished job anew, as a new job that keeps all others.

    Only the new text is rendered. Everything else is put together again: audio, chapters, captions.
    The job that it is made from stays as it is.
    """
    wanted = await read_redo_request(request)
    job = await find_job(services, caller, job_id)
    check_finished(job)
    place = Place(job, index, await _segment(services, job, index))
    naming = Naming(idempotency_key=idempotency_key(request))
    new = await _prepare(services, caller, place, wanted, naming)
    gone = await services.intake.keep_segments(job.uid, job.segments_total, but=index)
    if gone is not None:
        raise AudioGone(f"The audio of segment {gone} was deleted; make the job again.")
    accepted = await record(services, caller, new)
    return await answer_submission(request, services, caller, accepted)


async def _segment(services: Services, job: JobRecord, index: int) -> KeptSegment:
    segment = await services.intake.kept_segment(job.uid, index)
    if segment is None:
        if index < job.segments_total:
            raise AudioGone()
        raise SegmentNotFound(f"The job has no segment {index}; it has {job.segments_total}.")
    if segment.hash is None:
        raise SegmentIsPause(
            f"Segment {index} is a pause, in which nothing is said; redo the one before it, with a "
            "[pause:…] at its end."
        )
    return segment


async def _prepare(
    services: Services, caller: Caller, place: Place, wanted: RedoRequest, naming: Naming
) -> NewJob:
    """Return the new job, wholly checked; nothing is recorded."""
    job, segment = place.job, place.segment
    settings, key = services.settings, naming.idempotency_key
    wanted.check_bounds(settings)
    contents = _read_text(wanted.input)
    engine = await services.engine.get()
    if engine is None:
        raise NoEngine()
    voice = segment.voice if wanted.voice is None else wanted.voice.strip()
    said, follows = _how_said(job, segment, wanted)
    others = mark_voices(contents, engine, own_languages=follows, param="input")
    stamp = _stamp(job.spec.voice, voice, others, engine)
    webhook = wanted.webhook
    webhook_host = await check_webhook(services, webhook.url, {}) if webhook else None
    redo = Redo(
        job=job.id,
        uid=job.uid,
        segment=place.index,
        total=job.segments_total,
        start=segment.start,
        end=segment.end,
        voice=voice,
        said=said,
        follow_voice=follows,
        lexicons=job.redo.lexicons if job.redo else job.lexicons,
    )
    return NewJob(
        uid=new_uid(),
        owner=caller.owner,
        spec=replace(job.spec, metadata=wanted.metadata, model=engine.model, quick_start=False),
        input=wanted.input,
        engine=stamp,
        payload=sha256(wanted.canonical(job.uid, place.index)),
        lane=wanted.priority,
        deadline_s=wanted.deadline_s or settings.job_deadline_s,
        ttl_s=wanted.ttl_s or settings.job_ttl_s,
        share=caller.share,
        idempotency=key and sha256(key.encode()),
        custom_id=wanted.custom_id,
        webhook_url=webhook.url if webhook else None,
        webhook_host=webhook_host,
        webhook_events=" ".join(webhook.events) if webhook else None,
        stand_in=engine.stand_in,
        lexicons=said.lexicons,
        warnings=_warnings(engine, await services.intake.engine_of(job.uid)),
        source=Source(redo, await _words(services, job)),
    )


def _read_text(text: str) -> Contents:
    contents = check_input(text)
    if contents.chapters:
        raise InvalidMarkup(
            "Chapters stay as they are when a segment is redone: leave [chapter:…] out.",
            param="input",
        )
    return contents


def _how_said(job: JobRecord, segment: KeptSegment, wanted: RedoRequest) -> tuple[Said, bool]:
    """Return how the new text is spoken, and whether voices that it names speak their own."""
    if wanted.voice is not None:
        parse_voice(wanted.voice)
    before = how_said(job, segment)
    language, follows = before.language, False
    if wanted.language is not None:
        language = parse_language(wanted.language)
    elif before.language is _own_language(segment.voice or job.spec.voice):
        follows = True
        if wanted.voice is not None:
            language = _own_language(wanted.voice) or before.language
            follows = _own_language(wanted.voice) is not None
    said = Said(
        language=language,
        speed=before.speed if wanted.speed is None else wanted.speed,
        normalize=before.normalize if wanted.normalize is None else wanted.normalize,
        lexicons=before.lexicons if wanted.lexicons is None else tuple(wanted.lexicons),
    )
    return said, follows


def _own_language(voice: str) -> Language | None:
    try:
        return language_of_voice(parse_voice(voice).main)
    except UnknownLanguage:
        return None


def _stamp(
    own: str, voice: str, others: Mapping[str, VoiceMix], engine: EngineManifest
) -> EngineStamp:
    """Return what the new text is rendered with.

    Args:
        own: the job's voice, which may not be loaded any more if another speaks the text.
        voice: that speaks it; empty for the job's own.
        others: that marks in it name.
        engine: that is to speak.

    Raises:
        UnknownVoice: one that is needed is not loaded.
    """
    mix = parse_voice(own)
    if not voice:
        return engine.stamp(mix, others)
    speaker = parse_voice(voice)
    speaker.check(engine.voices)
    loaded = all(name in engine.voices for name, _ in mix.parts)
    return engine.stamp(mix if loaded else speaker, {**others, voice: speaker})


def _warnings(engine: EngineManifest, before: EngineStamp | None) -> tuple[dict[str, Any], ...]:
    if before is None or before.fingerprint == engine.fingerprint:
        return ()
    detail = "The engine is not the one that rendered the rest: the new text may sound different."
    return ({"code": "engine_changed", "segment": None, "detail": detail},)


async def _words(services: Services, job: JobRecord) -> tuple[SpokenRow, ...]:
    """Return what the job's segments say, where captions are made of it."""
    if not job.spec.captions:
        return ()
    try:
        data = await services.storage.get_async(file_key(job.outputs[0].key))
        return await offload(len(data), lambda: read_file(data))
    except (ObjectMissing, ValueError) as error:
        raise WordsGone() from error
