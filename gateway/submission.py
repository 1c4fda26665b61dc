"""The way of a submission, on a page: validate, admit, record."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gateway.callers import Caller
from gateway.errors import (
    AudioGone,
    IdempotencyConflict,
    KeyFull,
    NoEngine,
    RateLimited,
    SystemFull,
    UnknownModel,
    WebhooksNotConfigured,
)
from gateway.job_ids import new_uid
from gateway.offload import offload
from gateway.requests import JobRequest
from gateway.services import Services
from shared import tracing
from shared.addresses import check_url
from shared.errors import InvalidInput, UnknownLexicon, UnknownVoice
from shared.languages import Language, language_of_voice, parse_language
from shared.ledger.intake import Submission, Verdict
from shared.ledger.records import JobRecord, JobSpec, NewJob
from shared.lookup import resolve_async
from shared.manifest import EngineManifest
from shared.markup import Contents, check_input
from shared.steps import Step, reached
from shared.voices import VoiceMix, parse_voice

log = structlog.get_logger()

MAX_CHAPTER_FILES = 2000
"""Of one job that is split by its chapters."""


@dataclass(frozen=True)
class Naming:
    """What a client calls its submission, so that repeating it is safe.

    Attributes:
        idempotency_key: of the header.
        client_id: of the path, with PUT.
    """

    idempotency_key: str | None = None
    client_id: str | None = None


@dataclass(frozen=True)
class Source:
    """What a submission's text came from, if that was an uploaded document.

    Attributes:
        payload: 64 hex digits over the document and all that was asked with it.
        language: as the document says itself; empty if it does not.
        warnings: about it, for the job.
    """

    payload: str
    language: str = ""
    warnings: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Accepted:
    """The job that a submission made or repeats.

    Attributes:
        queue_position: how many jobs are planned before it; None once planning has begun.
    """

    record: JobRecord
    queue_position: int | None


async def submit(
    services: Services,
    caller: Caller,
    request: JobRequest,
    naming: Naming,
    *,
    quick_start: bool = False,
    source: Source | None = None,
) -> Accepted:
    """Accept a job, or find the one that this submission repeats.

    Args:
        services: of the gateway.
        caller: whose job it becomes.
        request: what is wanted.
        naming: what the client calls it.
        quick_start: whether somebody listens while it is made; see `JobSpec`.
        source: the document that its text came from, if any.

    Raises:
        InvalidInput: the request can't be spoken as it is; nothing was recorded.
        ClusterError: it was refused for another reason, see `gateway.errors`.
        RedisError: Redis is away; repeat with the same idempotency key to learn what became of it.
    """
    job = await prepare(services, caller, request, naming, quick_start=quick_start, source=source)
    return await record(services, caller, job)


async def record(services: Services, caller: Caller, job: NewJob) -> Accepted:
    """Have the ledger accept a job that is checked, or find the one that it repeats.

    Raises:
        ClusterError: it was refused, see `gateway.errors`.
        RedisError: as `submit`.
    """
    reached(Step.SUBMIT_CHECKED, job=job.uid)
    facts = {"kc.lane": job.lane.value, "kc.chars": len(job.input)}
    with tracing.span("accept", tracing.Kind.PRODUCER, facts):
        if tracing.is_on():
            job = replace(job, traceparent=tracing.traceparent())
        submission = await services.intake.create(job, caller.limits)
        tracing.note({"kc.job.id": submission.uid or "", "kc.verdict": submission.verdict.value})
        reached(Step.SUBMIT_RECORDED, job=submission.uid, verdict=submission.verdict)
        if submission.verdict is Verdict.CREATED:
            log.info("job accepted", action="submit", job_id=submission.uid, owner=caller.owner)
        return await _accepted(services, submission)


async def prepare(
    services: Services,
    caller: Caller,
    request: JobRequest,
    naming: Naming,
    *,
    quick_start: bool = False,
    source: Source | None = None,
    known_hosts: dict[str, str] | None = None,
) -> NewJob:
    """Return the job that a request asks for, wholly checked; nothing is recorded.

    Args:
        services: of the gateway.
        caller: whose job it will be.
        request: what it asks for.
        naming: what the client calls it.
        quick_start: whether its first segment should be a short one.
        source: of a segment that is made anew; None for a text of its own.
        known_hosts: webhooks' addresses that were checked a moment ago, with their hosts; what is
            checked here is put to them.

    Raises:
        InvalidInput: the request can't be spoken as it is.
        ClusterError: it is refused for another reason, see `gateway.errors`.
        RedisError: Redis is away.
    """
    request.check_bounds(services.settings)
    engine = await services.engine.get()
    if engine is None:
        raise NoEngine()
    text, contents = await offload(request.text_chars, lambda: _read_text(request))
    mix = parse_voice(request.voice)
    mix.check(engine.voices)
    own_languages = request.language is None
    others = mark_voices(contents, engine, own_languages=own_languages, param=request.text_field)
    language = parse_language(request.language) if request.language else language_of_voice(mix.main)
    spec = JobSpec(
        # As the client wrote it: a mix's canonical text rounds its weights, and what is rendered
        # has to be the mix that the stamp was made of.
        voice=request.voice.strip(),
        language=language,
        speed=request.speed,
        outputs=request.formats,
        model=_model(request.model, engine),
        metadata=request.metadata,
        normalize=request.normalize,
        follow_voice=bool(others) and own_languages,
        chapter_pause_s=request.chapter_pause_s if contents.chapters else 0.0,
        quick_start=quick_start,
        title=request.title or "",
        author=request.author or "",
        split=_splits(request, contents),
        loudness_lufs=request.loudness_lufs,
        captions=request.captions,
    )
    webhook_host = None
    if request.webhook is not None:
        known = {} if known_hosts is None else known_hosts
        webhook_host = await check_webhook(services, request.webhook.url, known)
    return NewJob(
        uid=new_uid(),
        owner=caller.owner,
        spec=spec,
        input=text,
        engine=engine.stamp(mix, others),
        payload=source.payload if source else await _payload(request),
        lane=request.priority,
        deadline_s=request.deadline_s or services.settings.job_deadline_s,
        ttl_s=request.ttl_s or services.settings.job_ttl_s,
        share=caller.share,
        idempotency=naming.idempotency_key and sha256(naming.idempotency_key.encode()),
        client_id=naming.client_id,
        custom_id=request.custom_id,
        webhook_url=request.webhook.url if request.webhook else None,
        webhook_host=webhook_host,
        webhook_events=" ".join(request.webhook.events) if request.webhook else None,
        stand_in=engine.stand_in,
        lexicons=tuple(request.lexicons),
        warnings=_warnings(source, language) if source else (),
    )


async def _payload(request: JobRequest) -> str:
    return await offload(request.text_chars, lambda: sha256(request.canonical()))


def _warnings(source: Source, spoken: Language) -> tuple[dict[str, Any], ...]:
    if not source.language or source.language[:2].lower() == spoken[:2]:
        return source.warnings
    said = f"The document says that it is in {source.language!r}; it is spoken as {spoken!r}."
    return (*source.warnings, {"code": "document_language", "segment": None, "detail": said})


async def _accepted(services: Services, submission: Submission) -> Accepted:
    """Return the job, or raise what the ledger's verdict means to a client."""
    await raise_refusal(
        services,
        submission.verdict,
        retry_after_s=submission.retry_after_s,
        missing=submission.missing,
    )
    if submission.record is None:
        raise RuntimeError(f"the ledger {submission.verdict} a job and did not show it")
    return Accepted(submission.record, submission.queue_position)


async def raise_refusal(
    services: Services, verdict: Verdict, *, retry_after_s: int = 0, missing: str | None = None
) -> None:
    """Raise what the ledger's verdict means to a client, if it is a refusal."""
    match verdict:
        case Verdict.CONFLICT:
            raise IdempotencyConflict()
        case Verdict.SOURCE_GONE:
            raise AudioGone("The job was deleted meanwhile, or its time to live is over.")
        case Verdict.UNKNOWN_LEXICON:
            raise UnknownLexicon(
                f"You have no lexicon {missing!r}; GET /v1/lexicons lists yours.", param="lexicons"
            )
        case Verdict.RATE_LIMITED:
            raise RateLimited(retry_after_s=max(1, retry_after_s))
        case Verdict.KEY_FULL:
            raise KeyFull(retry_after_s=await services.pace.retry_after_s())
        case Verdict.FULL:
            raise SystemFull(retry_after_s=await services.pace.retry_after_s())


def _read_text(request: JobRequest) -> tuple[str, Contents]:
    text = request.text()
    try:
        return text, check_input(text)
    except InvalidInput as error:
        error.param = request.text_field
        raise


def mark_voices(
    contents: Contents, engine: EngineManifest, *, own_languages: bool, param: str
) -> dict[str, VoiceMix]:
    """Return the voices that marks in a text name.

    Args:
        contents: of the text.
        engine: that is to know them all.
        own_languages: whether each is to speak its own language, and so to have one.
        param: the field that holds the text.

    Raises:
        UnknownVoice: one is not loaded, or has no language.
    """
    mixes = {name: parse_voice(name) for name in contents.voices}
    for mix in mixes.values():
        try:
            mix.check(engine.voices)
            if own_languages:
                language_of_voice(mix.main)
        except UnknownVoice as error:
            raise UnknownVoice(error.message, param=param) from error
    return mixes


def _splits(request: JobRequest, contents: Contents) -> bool:
    """Return whether each chapter gets files of its own."""
    if request.split is None:
        return False
    if contents.chapters == 0:
        raise InvalidInput("There are no chapters in the text to split it by.", param="split")
    # What is heard before the first chapter is one more.
    if (contents.chapters + 1) * len(request.formats) > MAX_CHAPTER_FILES:
        raise InvalidInput(
            f"{contents.chapters} chapters in {len(request.formats)} formats are too many files; "
            f"{MAX_CHAPTER_FILES} are allowed.",
            param="split",
        )
    return True


def _model(name: str | None, engine: EngineManifest) -> str:
    if name is None or name in {engine.model, engine.engine, "kokoro"}:
        return engine.model
    raise UnknownModel(
        f"This cluster speaks with {engine.model!r}; leave `model` out or name that.", param="model"
    )


async def check_webhook(services: Services, url: str, known: dict[str, str]) -> str:
    """Return the host that a webhook's deliveries queue under, and put it to those known."""
    if not services.settings.webhook_secret:
        raise WebhooksNotConfigured(param="webhook")
    if url not in known:
        target = check_url(url, services.rules)
        await resolve_async(target, services.rules, services.resolver)
        known[url] = target.host
    return known[url]


def sha256(data: bytes) -> str:
    """Return 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
