"""The synth stage: a batch of segments in, their audio in object storage out."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from shared.errors import ClusterError, PermanentError
from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.messages import RenderedSegment, Rings, SegmentClaim
from shared.voices import parse_voice
from worker.engines.base import Engine, SegmentAudio, SegmentInput
from worker.engines.device import device_memory, release_memory
from worker.engines.plausibility import check_audio
from worker.pipeline import SHIFT_BATCHES, SHIFT_S, Pace, Plan, Shift, together
from worker.segment_audio import encode_segment
from worker.stage import Stage

log = structlog.get_logger()

PHONEME_S = 1 / 17
"""Kokoro speaks about 17 phonemes a second at speed 1."""


STORED_AT_ONCE = 8
"""Objects of a batch that are on their way to the store at a time: its answers take long, not its
bytes."""


@dataclass(frozen=True)
class Batch:
    """What came of a batch on the device.

    Attributes:
        claims: its members.
        audios: of each member; none when it failed.
        synthesis_s: seconds the engine took.
        error: why it failed, if it did.
    """

    claims: Sequence[SegmentClaim]
    audios: Sequence[SegmentAudio]
    synthesis_s: float
    error: ClusterError | None = None


@dataclass(frozen=True)
class CheckedBatch:
    """The members of a batch whose audio can be speech for their phonemes."""

    done: list[tuple[SegmentClaim, SegmentAudio]]
    synthesis_s: float


@dataclass(frozen=True)
class StoredBatch:
    """A batch whose audio is in object storage."""

    done: list[RenderedSegment]
    synthesis_s: float


@dataclass
class Rendering(Stage):
    """Renders one batch at a time with the one engine of this process.

    Attributes:
        busy_s: seconds the engine has rendered.
        shift_s: seconds there was something to render, or time was lost over the next.
    """

    engine: Engine
    pace: Pace = field(default_factory=Pace)
    busy_s: float = 0.0
    shift_s: float = 0.0

    @property
    def batch_most(self) -> int:
        """Segments to claim at a time."""
        return min(self.settings.batch_max, self.engine.batch_most)

    def claim(self) -> tuple[list[SegmentClaim], Rings]:
        """Claim a batch that the engine has use for; it counts once it is begun."""
        return self.ledger.claim_segments(
            self.batch_most, phonemes=self.engine.batch_phonemes, ahead=True
        )

    @contextmanager
    def shift(
        self, claim: Callable[[], Sequence[SegmentClaim]], keep: Callable[[Batch], None]
    ) -> Iterator[Shift[SegmentClaim, Batch]]:
        """Work batches off for a block; device memory goes back to the driver afterwards."""
        plan = Plan(
            claim=claim,
            begin=self.ledger.begin_segments,
            give_back=lambda claims: self.bell.ring(self.ledger.return_segments(claims)),
            size=padded_phonemes,
            alone=lambda claims: claims[0].solo,
            keep=keep,
            stopping=lambda: self.note.leaving,
        )
        shift = Shift(plan, self.pace, most=SHIFT_BATCHES, within_s=SHIFT_S)
        try:
            with shift:
                yield shift
        finally:
            self.note.done()
            if shift.batches:
                self.shift_s += shift.wall_s
                facts: dict[str, Any] = {"busy_s": self.busy_s, "shift_s": self.shift_s}
                release_memory()
                memory = device_memory()
                if memory is not None:
                    facts |= {"device_bytes": memory[0], "device_total_bytes": memory[1]}
                self.note.write("idle", **facts)

    def render(self, claims: Sequence[SegmentClaim]) -> Batch:
        """Render a batch, and do nothing else: the device waits meanwhile.

        The note says so until `keeping` has written what is under way then.
        """
        within_s = self.settings.render_timeout_s * minutes_of_speech(claims)
        self.note.write("rendering", within_s=within_s, batch=len(claims))
        started = time.monotonic()
        audios: Sequence[SegmentAudio] = ()
        failure = None
        try:
            audios = self.engine.forward([_input(claim) for claim in claims])
        except ClusterError as error:
            failure = error
        took_s = time.monotonic() - started
        self.busy_s += took_s
        self.note.done()
        return Batch(claims, audios, took_s, failure)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Store and record a batch for a block, beside the rendering of another."""
        with self.note.beside("storing", within_s=self.settings.store_timeout_s + 60):
            yield

    def check(self, batch: Batch) -> CheckedBatch:
        """Return the good audio; members without are given back or fail their job."""
        if batch.error is not None:
            # Whose fault it was shows when each is tried alone.
            permanent = len(batch.claims) == 1 and _is_permanent(batch.error)
            for claim in batch.claims:
                self._fail(claim, batch.error, permanent=permanent)
            return CheckedBatch([], batch.synthesis_s)
        done = []
        for claim, audio in zip(batch.claims, batch.audios, strict=True):
            try:
                check_audio(audio, _input(claim))
            except ClusterError as error:
                self._fail(claim, error, permanent=_is_permanent(error))
            else:
                done.append((claim, audio))
        return CheckedBatch(done, batch.synthesis_s)

    def store(self, batch: CheckedBatch) -> StoredBatch:
        """Put each member's audio into object storage under a key that holds its token."""
        stored = together([partial(self._store_one, *item) for item in batch.done], STORED_AT_ONCE)
        return StoredBatch(stored, batch.synthesis_s)

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

    def record(self, batch: StoredBatch) -> Rings:
        """Write a stored batch into the ledger; audio that nobody will use is deleted."""
        if not batch.done:
            return Rings()
        garbage, rings = self.persist(
            lambda: self.ledger.finish_segments(
                batch.done, synthesis_s=batch.synthesis_s, engine=self.engine.manifest
            )
        )
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
        return rings

    def _fail(self, claim: SegmentClaim, error: ClusterError, *, permanent: bool) -> None:
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


def minutes_of_speech(claims: Sequence[SegmentClaim]) -> float:
    """Return about how many minutes of audio a batch makes, at least 1."""
    seconds = sum(len(c.payload.phonemes) * PHONEME_S / c.payload.speed for c in claims)
    return max(1.0, seconds / 60)


def padded_phonemes(claims: Sequence[SegmentClaim]) -> float:
    """Return what a batch's time grows with: members times the longest, at speed 1."""
    return len(claims) * max(len(c.payload.phonemes) / c.payload.speed for c in claims)


def _is_permanent(error: ClusterError) -> bool:
    return isinstance(error, PermanentError)


def _input(claim: SegmentClaim) -> SegmentInput:
    payload = claim.payload
    return SegmentInput(
        phonemes=payload.phonemes,
        text=payload.text,
        language=payload.language,
        voice=parse_voice(payload.voice),
        speed=payload.speed,
        seed=payload.seed,
    )
