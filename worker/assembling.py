"""The assemble stage: a job's segments in, its finished files in object storage out."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import structlog
from redis.exceptions import RedisError

from shared import tracing
from shared.bell import Stage as StageName
from shared.errors import (
    DamagedSegment,
    LostLease,
    ObjectMissing,
    PermanentError,
    StorageUnavailable,
    TransientError,
)
from shared.formats import CAPTIONS, FORMATS, SAMPLE_RATE_HZ, FormatInfo
from shared.ledger.encoding import LOUDNESS, EncodingCost
from shared.ledger.messages import AssemblyClaim
from shared.ledger.records import CaptionFile, ChapterRecord, JobSpec, OutputFile, SegmentRecord
from shared.spoken import FILE_NAME, SpokenSegment, decode, file_key, file_line
from shared.steps import Step, reached
from worker.assemble.assembler import (
    AssemblyItem,
    EncodedFile,
    Part,
    Pause,
    assemble,
    file_errors,
    item_blocks,
)
from worker.assemble.captioning import Captioning
from worker.assemble.captions import CaptionWriter, MadeCaptions
from worker.assemble.chapters import place_chapters
from worker.assemble.loudness import Gain, gain_to, measure
from worker.assemble.m4b import ChapterMark, Tags
from worker.stage import Stage
from worker.traced import attempt

log = structlog.get_logger()

PAGE = 500
"""Segments read from the ledger at a time."""

TELL_EVERY_S = 2.0
"""How often the ledger hears how far an encoding is."""

ESTIMATED: dict[str, Any] = {
    "code": "timings_estimated",
    "segment": None,
    "detail": "The engine does not say when it says what: word times are shared out by length.",
}


@dataclass(frozen=True)
class Assembled:
    """What was made of a job's segments, in this process's folder."""

    audio: list[EncodedFile]
    captions: list[MadeCaptions]
    spoken: Path | None = None
    """What the job says, where captions are made; see `shared.spoken`."""


@dataclass(frozen=True)
class Stored:
    """The same in object storage."""

    audio: list[OutputFile]
    captions: list[CaptionFile]
    spoken: str | None = None


@dataclass
class Assembling(Stage):
    """Assembles one job at a time."""

    long_most: int
    """Long jobs this worker may have in hand at a time, over all its processes."""
    started: float = field(default=0.0, init=False)
    reading: str | None = field(default=None, init=False)
    chapters: list[ChapterRecord] = field(default_factory=list, init=False)
    chapter_files: list[OutputFile] = field(default_factory=list, init=False)
    warnings: list[dict[str, Any]] = field(default_factory=list, init=False)
    costs: dict[str, EncodingCost] = field(default_factory=dict, init=False)
    told_at: float = field(default=0.0, init=False)

    @contextmanager
    def busy(self, claim: AssemblyClaim) -> Iterator[None]:
        """Hold the claim for a block; what lies in this process's folder is gone after it."""
        bound = log.bind(job_id=claim.uid, action="assemble")
        reached(Step.ASSEMBLE_CLAIMED, job=claim.uid)
        self.started = self.told_at = time.monotonic()
        self.reading = None
        self.chapters, self.chapter_files, self.warnings = [], [], []
        facts = {"kc.segments": claim.segments_total}
        with attempt(self.ledger.client, StageName.ASSEMBLE, claim.uid, facts):
            try:
                with self.note.busy("assembling", within_s=self.settings.assemble_timeout_s):
                    yield
            except LostLease as error:
                tracing.fail(error.code)
                bound.info("lease lost")
                self._drop_chapter_files()
            except (PermanentError, TransientError) as error:
                tracing.fail(error.code)
                bound.warning("assembly failed", code=error.code, error=error.message[:300])
                self._give_back(claim, error)
            finally:
                self._clear_folder()

    def _give_back(self, claim: AssemblyClaim, error: PermanentError | TransientError) -> None:
        self._drop_chapter_files()
        if isinstance(error, ObjectMissing | DamagedSegment) and self.reading is not None:
            # Else every later job with the same sentence would fail of it too.
            key = self.reading
            self.persist(lambda: self.ledger.doubt_audio(key))
        code, message = error.code, error.message
        permanent = isinstance(error, PermanentError)
        self.give_up(
            lambda: self.ledger.fail_stage(claim, code=code, message=message, permanent=permanent)
        )

    def _clear_folder(self) -> None:
        # One for all jobs: making and removing a folder can take as long as a sentence's encoding.
        for path in self.note.scratch.glob("*"):
            path.unlink(missing_ok=True)

    def encode(self, claim: AssemblyClaim) -> Assembled:
        """Make every file in one pass over the segments, one of them in memory at a time."""
        # A full disk is waited for, as a store that is away is: the audio is all there.
        files = self.persist(lambda: self._encode(claim))
        reached(Step.ASSEMBLE_ENCODED, job=claim.uid)
        return files

    def _encode(self, claim: AssemblyClaim) -> Assembled:
        records: Callable[[], Iterable[SegmentRecord]] = partial(self._records, claim)
        if claim.segments_total <= PAGE:
            kept = list(records())  # most jobs: asked for once and not twice
            records = partial(iter, kept)
        planned = (
            self.persist(lambda: self.ledger.chapters(claim.uid)) if claim.chapters_total else []
        )
        self.chapters, total = place_chapters(planned, (r.samples or 0 for r in records()))
        self.chapter_files, self.warnings, self.costs = [], [], {}
        spec, folder = claim.spec, self.note.scratch
        gain = self._gain(spec, records)
        folder.mkdir(parents=True, exist_ok=True)
        spoken = folder / FILE_NAME if spec.captions else None
        with (
            file_errors(folder),
            CaptionWriter(spec.captions, folder, spec.language) as writer,
            spoken.open("w", encoding="ascii") if spoken else nullcontext() as said,
        ):
            captioning = Captioning(writer, self._spoken(claim, said)) if said else None
            audio = assemble(
                self._items(claim, records(), captioning, total),
                spec.outputs,
                folder,
                total_samples=total,
                tags=_tags(spec, self.chapters),
                gain=gain,
                parts=_parts(spec, self.chapters) if spec.split else (),
                on_part=partial(self._store_chapter, claim),
            )
            captions = writer.close(total / SAMPLE_RATE_HZ)
        self._count_costs(audio)
        if not writer.exact:
            self.warnings.append(ESTIMATED)
        return Assembled(audio, captions, spoken)

    def _spoken(self, claim: AssemblyClaim, kept: IO[str]) -> Iterator[SpokenSegment]:
        for first in self.persist(lambda: self.ledger.spoken_slices(claim.uid)):
            row = self.persist(
                lambda first=first: self.ledger.spoken(claim.uid, first)  # type: ignore[misc]
            )
            kept.write(file_line(row))
            yield from decode(row.row)

    def _gain(self, spec: JobSpec, records: Callable[[], Iterable[SegmentRecord]]) -> float:
        """Return what makes the job as loud as was asked for: one pass more over its segments."""
        if spec.loudness_lufs is None:
            return 1.0
        items = (self._item(record, None) for record in records())
        cost = self.costs[LOUDNESS] = EncodingCost()
        gain = gain_to(
            spec.loudness_lufs,
            measure((b for item in items for b in item_blocks(item)), cost),
        )
        self.warnings = _loudness_warnings(spec.loudness_lufs, gain)
        return gain.factor

    def _store_chapter(self, claim: AssemblyClaim, part: Part, files: list[EncodedFile]) -> None:
        """Put a chapter's files into object storage: here lie those of one at a time only."""
        self._count_costs(files)
        for file in files:
            output = self._put_audio(claim, file, f"chapter-{part.number:04}", part.number)
            self.chapter_files.append(output)
            file.path.unlink()

    def _drop_chapter_files(self) -> None:
        with suppress(StorageUnavailable):  # then they go with the job's other objects
            self.storage.delete([file.key for file in self.chapter_files])

    def _records(self, claim: AssemblyClaim) -> Iterator[SegmentRecord]:
        for start in range(0, claim.segments_total, PAGE):
            # Between two pages: stop when the job was canceled.
            if start and not self.persist(lambda: self.ledger.is_open(claim.uid)):
                raise LostLease("The job has ended.")
            stop = min(start + PAGE, claim.segments_total)
            yield from self.persist(
                lambda start=start, stop=stop: self.ledger.segments(claim.uid, start, stop)  # type: ignore[misc]
            )

    def _items(
        self,
        claim: AssemblyClaim,
        records: Iterable[SegmentRecord],
        captioning: Captioning | None,
        total: int,
    ) -> Iterator[AssemblyItem]:
        """Yield the segments' audio, and tell the ledger now and then how far that is."""
        samples = 0
        for record in records:
            yield self._item(record, captioning)
            samples += record.samples or 0
            if time.monotonic() - self.told_at >= TELL_EVERY_S:
                with suppress(RedisError):  # only estimates are the worse for it
                    self.ledger.tell_encoded(claim, samples / max(1, total))
                self.told_at = time.monotonic()

    def _count_costs(self, files: Iterable[EncodedFile]) -> None:
        for file in files:
            self.costs.setdefault(file.format, EncodingCost()).add(**vars(file.cost))

    def _item(self, record: SegmentRecord, captioning: Captioning | None) -> AssemblyItem:
        key = self.reading = record.key
        data = None if key is None else self.persist(lambda: self.storage.get(key))
        if captioning is not None:
            captioning.take(record, data)
        return Pause((record.samples or 0) / SAMPLE_RATE_HZ) if data is None else data

    def store(self, claim: AssemblyClaim, files: Assembled) -> Stored:
        """Put the files of the whole into object storage under keys that hold the token."""
        audio = [self._put_audio(claim, file, "audio") for file in files.audio]
        captions = []
        for text in files.captions:
            key = self._put(claim, "captions", claim.id, text.path, CAPTIONS[text.format])
            captions.append(CaptionFile(text.format, key, text.bytes, text.sha256))
        spoken, path = None, files.spoken
        if path is not None:
            spoken = key = file_key(audio[0].key)
            self.persist(lambda: self.storage.put_file(key, path))
        reached(Step.ASSEMBLE_STORED, job=claim.uid)
        return Stored(audio, captions, spoken)

    def _put_audio(
        self, claim: AssemblyClaim, file: EncodedFile, name: str, chapter: int | None = None
    ) -> OutputFile:
        stem = claim.id if chapter is None else f"{claim.id}-{name}"
        key = self._put(claim, name, stem, file.path, FORMATS[file.format])
        return OutputFile(file.format, key, file.bytes, file.audio_s, file.sha256, chapter)

    def _put(self, claim: AssemblyClaim, name: str, stem: str, path: Path, info: FormatInfo) -> str:
        key = f"jobs/{claim.uid}/{claim.token}/{name}.{info.extension}"
        filename = f"{stem}.{info.extension}"
        self.persist(
            lambda: self.storage.put_file(key, path, media_type=info.media_type, filename=filename)
        )
        return key

    def record(self, claim: AssemblyClaim, stored: Stored) -> None:
        """End the job; if somebody else did, these files are deleted."""
        encode_s = time.monotonic() - self.started
        outputs = stored.audio
        try:
            self.persist(
                lambda: self.ledger.finish_job(
                    claim,
                    outputs,
                    encode_s=encode_s,
                    warnings=self.warnings,
                    chapters=self.chapters,
                    chapter_files=self.chapter_files,
                    captions=stored.captions,
                    costs=self.costs,
                )
            )
        except LostLease:
            spoken = [stored.spoken] if stored.spoken else []
            keys = [*(o.key for o in outputs), *(c.key for c in stored.captions), *spoken]
            self.storage.delete(keys)
            raise
        sums = [output.sha256 for output in outputs]
        reached(Step.ASSEMBLE_RECORDED, job=claim.uid, sha256=sums)
        tracing.note({"kc.audio_s": round(outputs[0].audio_s, 3)})
        log.info(
            "succeeded",
            action="assemble",
            job_id=claim.uid,
            audio_s=round(outputs[0].audio_s, 3),
            encode_s=round(encode_s, 3),
        )


def _tags(spec: JobSpec, chapters: Sequence[ChapterRecord]) -> Tags:
    """Return what the files of the whole say of it; a chapter that is empty can't be gone to."""
    marks = [
        ChapterMark(c.title, c.start or 0, (c.start or 0) + c.samples)
        for c in chapters
        if c.samples
    ]
    return Tags(spec.title, spec.author, chapters=marks)


def _parts(spec: JobSpec, chapters: Sequence[ChapterRecord]) -> list[Part]:
    return [
        Part(number, c.samples, Tags(c.title or spec.title, spec.author, spec.title))
        for number, c in enumerate(chapters, 1)
        if c.samples
    ]


def _loudness_warnings(target_lufs: float, gain: Gain) -> list[dict[str, Any]]:
    if gain.reached_lufs is None:
        code, detail = "loudness_unknown", "It is silent or too short to be measured; unchanged."
    elif gain.limited:
        code = "loudness_limited"
        detail = (
            f"{gain.reached_lufs:.1f} LUFS instead of {target_lufs:g}: any louder, its peaks would "
            "be clipped."
        )
    else:
        return []
    return [{"code": code, "segment": None, "detail": detail}]
