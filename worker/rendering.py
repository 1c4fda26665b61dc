"""The synth stage: a batch of segments in, their audio in object storage out."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from shared.errors import ClusterError, PermanentError
from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.messages import RenderedSegment, Rings, SegmentClaim
from shared.voices import parse_voice
from worker.engines.base import Engine, SegmentAudio, SegmentInput
from worker.engines.device import device_memory, release_memory
from worker.engines.plausibility import check_audio
from worker.segment_audio import encode_segment
from worker.stage import Stage

log = structlog.get_logger()

PHONEME_S = 1 / 17
"""Kokoro speaks about 17 phonemes a second at speed 1."""


@dataclass(frozen=True)
class Batch:
    """A rendered batch.

    Attributes:
        done: each member that was rendered, with its audio.
        synthesis_s: seconds the engine took.
    """

    done: list[tuple[SegmentClaim, SegmentAudio]]
    synthesis_s: float


@dataclass(frozen=True)
class StoredBatch:
    """A batch whose audio is in object storage."""

    done: list[RenderedSegment]
    synthesis_s: float


@dataclass
class Rendering(Stage):
    """Renders one batch at a time with the one engine of this process."""

    engine: Engine

    @property
    def batch_most(self) -> int:
        """Segments to claim at a time."""
        return min(self.settings.batch_max, self.engine.batch_most)

    @contextmanager
    def busy(self, claims: Sequence[SegmentClaim]) -> Iterator[None]:
        """Hold a batch for a block; device memory goes back to the driver afterwards."""
        try:
            within_s = self.settings.render_timeout_s * minutes_of_speech(claims)
            with self.note.busy("rendering", within_s=within_s, batch=len(claims)):
                yield
        finally:
            release_memory()
            memory = device_memory()
            if memory is not None:
                self.note.write("idle", device_bytes=memory[0], device_total_bytes=memory[1])

    def render(self, claims: Sequence[SegmentClaim]) -> Batch:
        """Render a batch; members that can't be rendered are given back or fail their job."""
        started = time.monotonic()
        try:
            inputs = [_input(claim) for claim in claims]
            audios = self.engine.forward(inputs)
        except ClusterError as error:
            # Whose fault it was shows when each is tried alone.
            for claim in claims:
                self._fail(claim, error, permanent=len(claims) == 1 and _is_permanent(error))
            return Batch([], time.monotonic() - started)
        synthesis_s = time.monotonic() - started
        done = []
        for claim, segment, audio in zip(claims, inputs, audios, strict=True):
            try:
                check_audio(audio, segment)
            except ClusterError as error:
                self._fail(claim, error, permanent=_is_permanent(error))
            else:
                done.append((claim, audio))
        return Batch(done, synthesis_s)

    def store(self, batch: Batch) -> StoredBatch:
        """Put each member's audio into object storage under a key that holds its token."""
        self.note.write("storing", within_s=self.settings.store_timeout_s + 60)
        done = []
        for claim, audio in batch.done:
            digest = claim.payload.hash
            key = f"segments/{digest[:2]}/{digest}/{claim.token}.wav"
            data = encode_segment(audio)
            self.persist(lambda key=key, data=data: self.storage.put(key, data))  # type: ignore[misc]
            done.append(RenderedSegment(self._as_rendered(claim), key, len(audio.samples)))
        return StoredBatch(done, batch.synthesis_s)

    def _as_rendered(self, claim: SegmentClaim) -> SegmentClaim:
        """Return the claim under the hash of what was really rendered."""
        fingerprint = self.engine.manifest.fingerprint
        if claim.payload.engine == fingerprint:
            return claim
        # Planned for other weights: good for its job, but never to be reused under that hash.
        own = hashlib.sha256(f"{claim.payload.hash}{fingerprint}".encode()).hexdigest()
        return SegmentClaim(
            claim.uid,
            claim.index,
            claim.token,
            type(claim.payload)(**{**vars(claim.payload), "hash": own}),
            claim.attempt,
        )

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
