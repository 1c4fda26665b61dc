"""The assemble stage: a job's segments in, its finished files in object storage out."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from shared.errors import (
    DamagedSegment,
    LostLease,
    ObjectMissing,
    PermanentError,
    TransientError,
)
from shared.formats import FORMATS, SAMPLE_RATE_HZ
from shared.ledger.messages import AssemblyClaim
from shared.ledger.records import OutputFile, SegmentRecord
from shared.steps import Step, reached
from worker.assemble.assembler import AssemblyItem, EncodedFile, Pause, assemble
from worker.stage import Stage

log = structlog.get_logger()

PAGE = 500
"""Segments read from the ledger at a time."""


@dataclass
class Assembling(Stage):
    """Assembles one job at a time."""

    long_most: int
    """Long jobs this worker may have in hand at a time, over all its processes."""
    started: float = field(default=0.0, init=False)
    reading: str | None = field(default=None, init=False)

    @contextmanager
    def busy(self, claim: AssemblyClaim) -> Iterator[None]:
        """Hold the claim for a block; what lies in this process's folder is gone after it."""
        bound = log.bind(job_id=claim.uid, action="assemble")
        reached(Step.ASSEMBLE_CLAIMED, job=claim.uid)
        self.started = time.monotonic()
        self.reading = None
        try:
            with self.note.busy("assembling", within_s=self.settings.assemble_timeout_s):
                yield
        except LostLease:
            bound.info("lease lost")
        except (PermanentError, TransientError) as error:
            bound.warning("assembly failed", code=error.code, error=error.message[:300])
            if isinstance(error, ObjectMissing | DamagedSegment) and self.reading is not None:
                # Else every later job with the same sentence would fail of it too.
                key = self.reading
                self.persist(lambda: self.ledger.doubt_audio(key))
            code, message = error.code, error.message
            permanent = isinstance(error, PermanentError)
            self.give_up(
                lambda: self.ledger.fail_stage(
                    claim, code=code, message=message, permanent=permanent
                )
            )
        finally:
            self._clear_folder()

    def _clear_folder(self) -> None:
        # One for all jobs: making and removing a folder can take as long as a sentence's encoding.
        for path in self.note.scratch.glob("*"):
            path.unlink(missing_ok=True)

    def encode(self, claim: AssemblyClaim) -> list[EncodedFile]:
        """Encode every format in one pass over the segments, one of them in memory at a time."""
        # A full disk is waited for, as a store that is away is: the audio is all there.
        files = self.persist(lambda: self._encode(claim))
        reached(Step.ASSEMBLE_ENCODED, job=claim.uid)
        return files

    def _encode(self, claim: AssemblyClaim) -> list[EncodedFile]:
        records: Iterable[SegmentRecord] = self._records(claim)
        if claim.segments_total <= PAGE:
            records = list(records)  # most jobs: asked for once and not twice
            total = sum(record.samples or 0 for record in records)
        else:
            total = sum(record.samples or 0 for record in records)
            records = self._records(claim)
        return assemble(
            (self._item(record) for record in records),
            claim.spec.outputs,
            self.note.scratch,
            total_samples=total,
        )

    def _records(self, claim: AssemblyClaim) -> Iterator[SegmentRecord]:
        for start in range(0, claim.segments_total, PAGE):
            # Between two pages: stop when the job was canceled.
            if start and not self.persist(lambda: self.ledger.is_open(claim.uid)):
                raise LostLease("The job has ended.")
            stop = min(start + PAGE, claim.segments_total)
            yield from self.persist(
                lambda start=start, stop=stop: self.ledger.segments(claim.uid, start, stop)  # type: ignore[misc]
            )

    def _item(self, record: SegmentRecord) -> AssemblyItem:
        if record.key is None:
            return Pause((record.samples or 0) / SAMPLE_RATE_HZ)
        self.reading = key = record.key
        return self.persist(lambda: self.storage.get(key))

    def store(self, claim: AssemblyClaim, files: list[EncodedFile]) -> list[OutputFile]:
        """Put the files into object storage under keys that hold the token."""
        outputs = []
        for file in files:
            info = FORMATS[file.format]
            key = f"jobs/{claim.uid}/{claim.token}/audio.{info.extension}"
            self.persist(
                lambda file=file, key=key, info=info: self.storage.put_file(  # type: ignore[misc]
                    key,
                    file.path,
                    media_type=info.media_type,
                    filename=f"{claim.id}.{info.extension}",
                )
            )
            outputs.append(OutputFile(file.format, key, file.bytes, file.audio_s, file.sha256))
        reached(Step.ASSEMBLE_STORED, job=claim.uid)
        return outputs

    def record(self, claim: AssemblyClaim, outputs: list[OutputFile]) -> None:
        """End the job; if somebody else did, these files are deleted."""
        encode_s = time.monotonic() - self.started
        try:
            self.persist(lambda: self.ledger.finish_job(claim, outputs, encode_s=encode_s))
        except LostLease:
            self.storage.delete([output.key for output in outputs])
            raise
        sums = [output.sha256 for output in outputs]
        reached(Step.ASSEMBLE_RECORDED, job=claim.uid, sha256=sums)
        log.info(
            "succeeded",
            action="assemble",
            job_id=claim.uid,
            audio_s=round(outputs[0].audio_s, 3),
            encode_s=round(encode_s, 3),
        )
