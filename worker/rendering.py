"""The synth stage: a batch of segments in, their audio in object storage out."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from itertools import compress
from typing import Any, NoReturn

import structlog

from shared import tracing
from shared.errors import ClusterError, DeviceLost, OutOfDeviceMemory, PermanentError
from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.beginning import Beginning, Lines
from shared.ledger.messages import RenderedSegment, SegmentClaim
from shared.steps import Step, note, reached
from shared.voices import VoiceMix, parse_voice
from worker.context import EXIT_DEVICE
from worker.device_batch import Batch, CheckedBatch, StoredBatch, Work
from worker.engines.base import Engine, SegmentAudio, SegmentInput
from worker.engines.device import release_memory
from worker.engines.plausibility import check_audio
from worker.pipeline import SHIFT_BATCHES, SHIFT_CREW, SHIFT_S, Crew, Pace, Plan, Shift
from worker.segment_audio import encode_segment
from worker.stage import Stage
from worker.traced import Parts

log = structlog.get_logger()

PHONEME_S = 1 / 17
"""Kokoro speaks about 17 phonemes a second at speed 1."""


HALVINGS = 2
"""Times a batch that the device has no room for is halved before its segments are rendered alone.
None of their attempts counts for it."""

LAST_WORDS_S = 1.0
"""How long a process whose device is lost waits for batches rendered before that are being kept.

They are whole, and to render them again costs more than this; a store or a Redis that is away
must not keep a broken process alive. What is not recorded by then is tried again as well.
"""

STORED_AT_ONCE = 8
"""Objects that are on their way to the store at a time: its answers take long, not its bytes."""


@dataclass
class Rendering(Stage):
    """Renders one batch at a time with the one engine of this process.

    Attributes:
        crew: threads that claim ahead and keep.
        storers: threads that put objects into the store, for all batches together.
        busy_s: seconds the engine has rendered.
        shift_s: seconds there was something to render, or time was lost over the next.
    """

    engine: Engine
    pace: Pace = field(default_factory=Pace)
    crew: Crew = field(default_factory=lambda: Crew(SHIFT_CREW))
    storers: Crew = field(default_factory=lambda: Crew(STORED_AT_ONCE))
    busy_s: float = 0.0
    shift_s: float = 0.0

    @property
    def batch_most(self) -> int:
        """Segments to claim at a time."""
        return min(self.settings.batch_max, self.engine.batch_most)

    def claim(self) -> list[SegmentClaim]:
        """Claim a batch that the engine has use for; it counts once it is begun."""
        return self.ledger.claim_segments(
            self.batch_most, phonemes=self.engine.batch_phonemes, ahead=True
        )

    @cached_property
    def lines(self) -> Lines:
        """Connections on which batches are begun."""
        return Lines(self.ledger.client)

    def prepare(self, claims: Sequence[SegmentClaim]) -> Work:
        """Make ready what can be before the device is free."""
        if not claims:
            return Work((), (), None, None)
        reached(Step.SYNTH_CLAIMED, segments=claims)
        inputs: Sequence[SegmentInput] = ()
        failure = None
        try:
            inputs = [_input(claim) for claim in claims]
        except ClusterError as error:
            failure = error
        beginning = Beginning(self.ledger, self.lines, claims)
        size, minutes = padded_phonemes(claims), minutes_of_speech(claims)
        parts = Parts.of(self.ledger.client, claims)
        return Work(claims, inputs, failure, beginning, size, minutes, parts)

    def begin(self, work: Work) -> bool:
        """Say that a batch's rendering begins; its attempts count from here on.

        What Redis says to that is read when the batch is kept (`confirm`), except for a suspect:
        with nothing else under way there is time to ask first, and again where Redis hung up.
        """
        assert work.beginning is not None  # noqa: S101 - only work without members has none
        work.beginning.send()
        reached(Step.SYNTH_BEGUN, segments=work.claims)
        return not work.claims[0].solo or bool(self.persist(work.beginning.ours))

    def give_back(self, work: Work) -> None:
        """Undo a claim that was not begun."""
        if work.beginning is not None:
            work.beginning.drop()
        self.ledger.return_segments(work.claims)

    @contextmanager
    def shift(
        self, claim: Callable[[], Work], keep: Callable[[Batch], None]
    ) -> Iterator[Shift[Work, Batch]]:
        """Work batches off for a block; device memory goes back to the driver afterwards.

        When the device is lost this process ends here.
        """
        plan = Plan(
            claim=claim,
            begin=self.begin,
            give_back=self.give_back,
            size=lambda work: work.size,
            more=lambda work: work.claims[0].more,
            alone=lambda work: work.claims[0].solo,
            keep=keep,
            stopping=lambda: self.note.leaving,
        )
        shift = Shift(plan, self.pace, self.crew, most=SHIFT_BATCHES, within_s=SHIFT_S)
        try:
            with shift:
                try:
                    yield shift
                except DeviceLost as error:
                    self._end_process(shift, error)
        finally:
            if shift.batches:
                self.shift_s += shift.wall_s
                facts: dict[str, Any] = {"busy_s": self.busy_s, "shift_s": self.shift_s}
                release_memory()
                memory = self.engine.device_memory()
                if memory is not None:
                    facts |= {"device_bytes": memory[0], "device_total_bytes": memory[1]}
                self.note.tell(**facts)

    def _end_process(self, shift: Shift[Work, Batch], error: DeviceLost) -> NoReturn:
        """End without a word to the device, which would answer nothing but its error.

        The parent gives back what is held, as of any child that died in the middle of its work.
        """
        log.critical("device lost", action="synth", code=error.code, error=error.message[:300])
        self.note.end(lost=error.message)
        note("cut", how="device lost")
        shift.settle(LAST_WORDS_S)
        tracing.stop()
        os._exit(EXIT_DEVICE)

    def render(self, work: Work) -> Batch:
        """Render a batch, and do nothing else: the device waits meanwhile.

        Raises:
            DeviceLost: this process can render nothing more.
        """
        within_s = self.settings.render_timeout_s * work.minutes
        self.note.begin("rendering", within_s=within_s, batch=len(work.claims))
        if work.parts is not None:
            work.parts.begin()
        started = time.monotonic()
        audios: Sequence[SegmentAudio] = ()
        failure = work.error
        if failure is None:
            try:
                audios = self._forward(work.inputs, HALVINGS)
            except DeviceLost as error:
                if work.parts is not None:
                    work.parts.take(work.claims)
                    work.parts.end(error.code)
                raise
            except ClusterError as error:
                failure = error
        took_s = time.monotonic() - started
        self.busy_s += took_s
        self.note.done()
        if failure is None:
            reached(Step.SYNTH_RENDERED, segments=work.claims)
        return Batch(work.claims, audios, took_s, failure, work.beginning, work.parts)

    def _forward(self, inputs: Sequence[SegmentInput], halvings: int) -> list[SegmentAudio]:
        """Render; what the device has no room for at once is halved, and at last rendered alone."""
        try:
            return self.engine.forward(inputs)
        except OutOfDeviceMemory as error:
            if len(inputs) == 1:
                raise
            reason = error.message[:300]
        # Outside of the handler: the traceback holds on to what the batch had allocated.
        log.warning("out of device memory", action="synth", batch=len(inputs), error=reason)
        release_memory()
        if not halvings:
            return [audio for one in inputs for audio in self.engine.forward([one])]
        half = len(inputs) // 2
        return [
            *self._forward(inputs[:half], halvings - 1),
            *self._forward(inputs[half:], halvings - 1),
        ]

    @contextmanager
    def keeping(self, batch: Batch) -> Iterator[None]:
        """Store and record a batch for a block, beside the rendering of another."""
        spans = nullcontext() if batch.parts is None else batch.parts.kept()
        with self.note.beside("storing", within_s=self.settings.store_timeout_s + 60), spans:
            yield

    def confirm(self, batch: Batch) -> Batch:
        """Return what of a batch was this process's to render; the rest is dropped.

        It was given to somebody else, or its job has ended, between claim and beginning.
        """
        if batch.beginning is None:
            return batch
        batch = self._confirm(batch, batch.beginning)
        if batch.parts is not None:
            batch.parts.take(batch.claims)
        return batch

    def _confirm(self, batch: Batch, beginning: Beginning) -> Batch:
        ours = {claim.token for claim in self.persist(beginning.ours)}
        if len(ours) == len(batch.claims):
            return batch
        mine = [claim.token in ours for claim in batch.claims]
        return replace(
            batch,
            claims=list(compress(batch.claims, mine)),
            audios=list(compress(batch.audios, mine)),
        )

    def check(self, batch: Batch) -> CheckedBatch:
        """Return the good audio; members without are given back or fail their job."""
        if batch.error is not None:
            # Whose fault it was shows when each is tried alone.
            permanent = len(batch.claims) == 1 and _is_permanent(batch.error)
            for claim in batch.claims:
                self._fail(claim, batch.error, permanent=permanent, parts=batch.parts)
            return CheckedBatch([], batch.synthesis_s)
        done = []
        for claim, audio in zip(batch.claims, batch.audios, strict=True):
            try:
                check_audio(audio, _input(claim))
            except ClusterError as error:
                self._fail(claim, error, permanent=_is_permanent(error), parts=batch.parts)
            else:
                if batch.parts is not None:
                    batch.parts.heard(claim, len(audio.samples))
                done.append((claim, audio))
        return CheckedBatch(done, batch.synthesis_s)

    def store(self, batch: CheckedBatch) -> StoredBatch:
        """Put each member's audio into object storage under a key that holds its token."""
        started = time.monotonic()
        stored = self.storers.together([partial(self._store_one, *item) for item in batch.done])
        took_s = time.monotonic() - started
        reached(Step.SYNTH_STORED, segments=[item.claim for item in stored])
        return StoredBatch(stored, batch.synthesis_s, took_s)

    def _store_one(self, claim: SegmentClaim, audio: SegmentAudio) -> RenderedSegment:
        digest = claim.payload.hash
        key = f"segments/{digest[:2]}/{digest}/{claim.token}.wav"
        data = encode_segment(audio)
        self.persist(lambda: self.storage.put(key, data))
        return RenderedSegment(self._as_rendered(claim), key, len(audio.samples))

    def _as_rendered(self, claim: SegmentClaim) -> SegmentClaim:
        """Return the claim under the hash of what was really rendered."""
        fingerprint = self.engine.manifest.fingerprint
        if claim.payload.engine == fingerprint:
            return claim
        # Planned for other weights: good for its job, but never to be reused under that hash.
        own = hashlib.sha256(f"{claim.payload.hash}{fingerprint}".encode()).hexdigest()
        return replace(claim, payload=replace(claim.payload, hash=own))

    def record(self, batch: StoredBatch) -> None:
        """Write a stored batch into the ledger; audio that nobody will use is deleted."""
        if not batch.done:
            return
        garbage = self.persist(
            lambda: self.ledger.finish_segments(
                batch.done,
                synthesis_s=batch.synthesis_s,
                engine=self.engine.manifest,
                store_s=batch.store_s,
            )
        )
        reached(Step.SYNTH_RECORDED, segments=[item.claim for item in batch.done])
        self.note.count_finished(len(batch.done))
        if garbage:
            self.storage.delete(garbage)
        for item in batch.done:
            log.info(
                "rendered",
                action="synth",
                job_id=item.claim.uid,
                segment=item.claim.index,
                attempt=item.claim.attempt,
                batch=len(batch.done),
                audio_s=round(item.samples / SAMPLE_RATE_HZ, 3),
                synthesis_s=round(batch.synthesis_s, 3),
            )

    def _fail(
        self, claim: SegmentClaim, error: ClusterError, *, permanent: bool, parts: Parts | None
    ) -> None:
        if parts is not None:
            parts.fail(claim, error.code)
        log.warning(
            "segment failed",
            action="synth",
            job_id=claim.uid,
            segment=claim.index,
            attempt=claim.attempt,
            code=error.code,
            error=error.message[:300],
        )
        self.give_up(
            lambda: self.ledger.fail_segment(
                claim, code=error.code, message=error.message, permanent=permanent
            )
        )
        reached(Step.SYNTH_FAILED, segments=[claim])


def minutes_of_speech(claims: Sequence[SegmentClaim]) -> float:
    """Return about how many minutes of audio a batch makes, at least 1."""
    seconds = sum(len(c.payload.phonemes) * PHONEME_S / c.payload.speed for c in claims)
    return max(1.0, seconds / 60)


def padded_phonemes(claims: Sequence[SegmentClaim]) -> float:
    """Return what a batch's time grows with: members times the longest, at speed 1."""
    return len(claims) * max(len(c.payload.phonemes) / c.payload.speed for c in claims)


def _is_permanent(error: ClusterError) -> bool:
    return isinstance(error, PermanentError)


@lru_cache(maxsize=256)
def _voice(text: str) -> VoiceMix:
    return parse_voice(text)


def _input(claim: SegmentClaim) -> SegmentInput:
    payload = claim.payload
    return SegmentInput(
        phonemes=payload.phonemes,
        text=payload.text,
        language=payload.language,
        voice=_voice(payload.voice),
        speed=payload.speed,
        seed=payload.seed,
    )
