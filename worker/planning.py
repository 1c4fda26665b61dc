"""The plan stage: a window of text in, segments in the ledger out."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import structlog

from shared import tracing
from shared.bell import Stage as StageName
from shared.errors import LostLease, PermanentError, UnknownLexicon
from shared.formats import SAMPLE_RATE_HZ
from shared.languages import Language
from shared.ledger.asks import Answers
from shared.ledger.messages import NewSegment, PlanClaim, PlanState, SegmentPayload
from shared.ledger.records import ChapterRecord
from shared.lexicon import Lexicon
from shared.steps import Step, reached
from worker.answering import answer
from worker.plan.lexicon import WordBook
from worker.plan.normalize import Normalizer
from worker.plan.planner import Planner
from worker.plan.rewriting import Rewrite
from worker.plan.segment import PlannedSegment, PlannedSlice, SegmentKind
from worker.redoing import as_said, chapters_of, how_said, in_place, read_kept
from worker.stage import Stage
from worker.traced import attempt

log = structlog.get_logger()

UTF8_MOST_BYTES = 4
ASKS_A_TURN = 4
"""Questions that may be answered before a slice of a job is planned."""

ANSWER_WITHIN_S = 30.0
"""For one question, the loading of a language's dictionaries included; then the child is ended."""

BOOKS_AT_HAND = 8
"""Jobs whose lexicons a planner keeps ready, the last ones: they take up to megabytes each."""

HASH_VERSION = "1"
"""Raise it when the same segment would have to sound different."""


_Reader: TypeAlias = Callable[[str], Lexicon]
"""Digest → the lexicon."""


@dataclass(frozen=True)
class Window:
    """A stretch of a job's input.

    Attributes:
        text: the stretch.
        final: whether the input ends with it.
    """

    text: str
    final: bool


def segment_hash(
    claim: PlanClaim, phonemes: str, text: str, *, voice: str = "", language: Language | None = None
) -> str:
    """Return 64 hex digits over all that determines a segment's audio.

    The owner is among it: one key must not learn from `segments_reused` what another has said.

    Args:
        claim: of its job.
        phonemes: of the segment.
        text: of the segment; counts only for engines that read it.
        voice: that a mark named; empty for the job's own. Its fingerprint counts, not its name, so
            that it is the same segment in a job whose own voice it is.
        language: of the segment, where that is not the job's.
    """
    spec, engine = claim.spec, claim.engine
    parts = [
        HASH_VERSION,
        claim.owner,
        engine.fingerprint,
        engine.of(voice),
        repr(spec.speed),
        phonemes,
    ]
    if engine.uses_text:
        parts += [language or spec.language, text]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


@dataclass
class Planning(Stage):
    """Plans one slice of one job at a time."""

    planner: Planner
    _books: dict[tuple[str, ...], WordBook] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._answers = Answers(self.ledger.client)

    def answer_asks(self) -> bool:
        """Answer a few of the questions that wait; return whether there may be more."""
        for _ in range(ASKS_A_TURN):
            ask = self._answers.take()
            if ask is None:
                return False
            with self.note.busy("answering", within_s=ANSWER_WITHIN_S):
                try:
                    self._answers.give(ask, answer(self.planner, ask, self._asked_rewrites))
                except PermanentError as error:
                    self._answers.refuse(ask, error)
        return True

    @contextmanager
    def busy(self, claim: PlanClaim) -> Iterator[None]:
        """Hold the claim for a block; what the block raises is recorded for the job."""
        bound = log.bind(job_id=claim.uid, action="plan")
        reached(Step.PLAN_CLAIMED, job=claim.uid)
        with attempt(self.ledger.client, StageName.PLAN, claim.uid, {}):
            try:
                with self.note.busy("planning", within_s=self.settings.plan_timeout_s):
                    yield
            except LostLease as error:
                tracing.fail(error.code)
                bound.info("lease lost")
            except PermanentError as error:
                tracing.fail(error.code)
                bound.warning("job failed", code=error.code)
                code, message = error.code, error.message
                self.give_up(
                    lambda: self.ledger.fail_stage(
                        claim, code=code, message=message, permanent=True
                    )
                )

    @property
    def window_bytes(self) -> int:
        """Bytes of a job's input that hold `plan_slice_chars` characters and one more."""
        return (self.settings.plan_slice_chars + 1) * UTF8_MOST_BYTES

    def window(self, claim: PlanClaim) -> Window:
        """Return the next `plan_slice_chars` characters of the input; all of a segment's anew."""
        if claim.redo is not None:
            return Window(claim.text.decode(), True)
        most = self.settings.plan_slice_chars
        # A character cut in two at the end is left for the next window.
        text = claim.text.decode(errors="ignore")
        final = len(claim.text) < self.window_bytes and len(text) <= most
        return Window(text[:most], final)

    def split_into_segments(self, claim: PlanClaim, window: Window) -> PlannedSlice:
        """Plan a window."""
        claim = as_said(claim)
        sliced = self.planner.plan_slice(
            window.text,
            language=claim.spec.language,
            offset=claim.chars_done,
            final=window.final,
            rewrites=lambda language: self._rewrites(
                claim.lexicons, claim.spec.normalize, language, self._lexicon
            ),
            voice=claim.state.voice,
            follow_voice=claim.spec.follow_voice,
            chapter_pause_s=claim.spec.chapter_pause_s,
            quick_start=claim.spec.quick_start and claim.chars_done == 0,
        )
        return sliced if claim.redo is None else in_place(sliced, claim.redo)

    def keep(self, claim: PlanClaim) -> None:
        """Write segments that another job has too into the ledger."""
        redo, state = claim.redo, claim.state
        if redo is None:
            raise ValueError("a job of its own keeps no other's segments")
        kept = self.persist(lambda: read_kept(self.ledger.client, claim, redo))
        reached(Step.PLAN_SPLIT, job=claim.uid)
        self.note.begin("planning", within_s=self.settings.store_timeout_s + 60)
        self.persist(
            lambda: self.ledger.add_segments(
                claim,
                kept.segments,
                bytes_done=claim.bytes_done,
                chars_done=claim.chars_done,
                final=kept.final,
                chapters=kept.chapters,
                state=replace(state, at=kept.stop),
                spoken=kept.spoken,
                # Only with the last slice: a job that lacks some is never taken for a whole one.
                speech=kept.final and state.speaks,
            )
        )
        reached(Step.PLAN_RECORDED, job=claim.uid, final=kept.final)
        tracing.note({"kc.segments": len(kept.segments)})
        log.info("kept", action="plan", job_id=claim.uid, segments=len(kept.segments))

    def _rewrites(
        self, lexicons: Sequence[str], normalize: bool, language: Language, read: _Reader
    ) -> list[Rewrite]:
        # What a lexicon says of a word stands, also of one that would be written out.
        books: list[Rewrite] = [self._word_book(lexicons, language, read)] if lexicons else []
        return [*books, Normalizer(language)] if normalize else books

    def _word_book(self, lexicons: Sequence[str], language: Language, read: _Reader) -> WordBook:
        """Return lexicons, ready to be applied to text of a language."""
        key = (language, *lexicons)
        book = self._books.pop(key, None)
        if book is None:
            book = WordBook([read(digest) for digest in lexicons], language)
            while len(self._books) >= BOOKS_AT_HAND:
                del self._books[next(iter(self._books))]
        self._books[key] = book
        return book

    def _lexicon(self, digest: str) -> Lexicon:
        body = self.persist(lambda: self.ledger.lexicon(digest))
        if body is None:
            # It is kept for as long as the job has not ended.
            raise LostLease("The job's lexicon is gone, and so is the job.")
        return Lexicon.from_json(body)

    def _asked_rewrites(
        self, lexicons: Sequence[str], normalize: bool, language: Language
    ) -> list[Rewrite]:
        return self._rewrites(lexicons, normalize, language, self._asked_lexicon)

    def _asked_lexicon(self, digest: str) -> Lexicon:
        # Nothing is held for a question: whoever asks while Redis is away asks again.
        body = self.ledger.lexicon(digest)
        if body is None:
            raise UnknownLexicon("The lexicon has just been deleted.", param="lexicons")
        return Lexicon.from_json(body)

    def record(self, claim: PlanClaim, window: Window, sliced: PlannedSlice) -> None:
        """Write a planned slice into the ledger."""
        claim = as_said(claim)
        segments = [_new_segment(claim, planned) for planned in sliced.segments]
        segments = how_said(claim, sliced, segments)
        others = _other_languages(claim, sliced)
        speaks = any(segment.payload is not None for segment in segments)
        chapters = [
            ChapterRecord(chapter.title, claim.segments_total + chapter.segment)
            for chapter in sliced.chapters
        ]
        state, final = PlanState(sliced.voice, claim.state.languages + others), window.final
        if (redo := claim.redo) is not None:
            stop = redo.segment + 1
            final = stop == redo.total
            state = PlanState("", state.languages, stop, speaks)
            chapters = self.persist(
                lambda: chapters_of(
                    self.ledger.client,
                    claim,
                    redo.segment,
                    stop,
                    segments=len(segments),
                    final=final,
                )
            )
        reached(Step.PLAN_SPLIT, job=claim.uid)
        # From here on it is Redis that may be slow, and waiting for it is no reason to be killed.
        self.note.begin("planning", within_s=self.settings.store_timeout_s + 60)
        self.persist(
            lambda: self.ledger.add_segments(
                claim,
                segments,
                bytes_done=claim.bytes_done + len(window.text[: sliced.consumed].encode()),
                chars_done=claim.chars_done + sliced.consumed,
                final=final,
                warnings=self._warnings(claim, sliced, others),
                spoken=[s.spoken for s in sliced.segments] if claim.spec.captions else (),
                chapters=chapters,
                state=state,
                speech=speaks and (claim.redo is None or final),
            )
        )
        reached(Step.PLAN_RECORDED, job=claim.uid, final=final)
        tracing.note({"kc.segments": len(segments), "kc.chars": sliced.consumed})
        log.info(
            "planned",
            action="plan",
            job_id=claim.uid,
            segments=len(segments),
            chars=sliced.consumed,
            final=final,
        )

    def _warnings(
        self, claim: PlanClaim, sliced: PlannedSlice, others: tuple[Language, ...]
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        first = (claim.spec.language,) if claim.chars_done == 0 else ()
        for language in (*first, *others):
            degraded = self.planner.degraded(language)
            if degraded is not None:
                found.append({"code": "g2p_degraded", "segment": None, "detail": degraded})
        for index, planned in enumerate(sliced.segments, claim.segments_total):
            found += [
                {"code": warning.code, "segment": index, "detail": warning.detail}
                for warning in planned.warnings
            ]
        found += [
            {"code": warning.code, "segment": None, "detail": warning.detail}
            for warning in sliced.warnings
        ]
        return found


def _other_languages(claim: PlanClaim, sliced: PlannedSlice) -> tuple[Language, ...]:
    """Return the languages that are spoken for the first time in this job, beside its own."""
    spoken = dict.fromkeys(s.language for s in sliced.segments if s.language is not None)
    return tuple(language for language in spoken if language not in claim.state.languages)


def _new_segment(claim: PlanClaim, planned: PlannedSegment) -> NewSegment:
    """Raises `UnknownVoice` for a voice that the job's input did not have when it was checked."""
    if planned.kind is SegmentKind.PAUSE:
        samples = round(planned.pause_s * SAMPLE_RATE_HZ)
        return NewSegment(planned.start, planned.end, samples=samples)
    digest = segment_hash(
        claim, planned.phonemes, planned.text, voice=planned.voice, language=planned.language
    )
    payload = SegmentPayload(
        phonemes=planned.phonemes,
        text=planned.text,
        language=planned.language or claim.spec.language,
        voice=planned.voice or claim.spec.voice,
        speed=claim.spec.speed,
        # Equal segments get equal noise, so that their audio is equal too.
        seed=int(digest[:8], 16),
        hash=digest,
        engine=claim.engine.fingerprint,
    )
    return NewSegment(planned.start, planned.end, payload=payload, voice=planned.voice)
