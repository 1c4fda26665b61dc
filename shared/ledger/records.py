"""What the ledger keeps of a job, and how it is written and read."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.formats import AudioFormat, CaptionFormat
from shared.languages import Language
from shared.ledger.redo import Redo, Source
from shared.ledger.states import DeliveryStatus, JobStatus, Lane, SegmentStatus
from shared.manifest import EngineStamp
from shared.voices import VoiceMix, parse_voice


@dataclass(frozen=True)
class JobSpec:
    """What is to be made; frozen at submission, read by every stage.

    Attributes:
        voice: canonical text of the mix, parsed by `parse_voice`.
        language: of the input.
        speed: 0.25 to 4.
        outputs: at least one format; the first is the job's main output.
        model: the name the client gave or the default.
        metadata: at most 16 pairs, handed back as they came.
        follow_voice: whether a voice that a mark names is spoken in its own language: the job's
            was none that the client chose.
        chapter_pause_s: seconds of silence that each chapter begins with.
        quick_start: somebody listens while it is made, so the first segment is a short one.
        normalize: whether what would be misread is written out.
        title: of the work, for formats that say so; empty for none.
        author: of the work, likewise.
        split: whether each chapter gets files of its own besides.
        loudness_lufs: how loud all of it together is made; None leaves it as it is.
        captions: files of word and sentence times to be made beside the audio.
    """

    voice: str
    language: Language
    speed: float
    outputs: tuple[AudioFormat, ...]
    model: str
    metadata: dict[str, str] = field(default_factory=dict)
    follow_voice: bool = False
    chapter_pause_s: float = 0.0
    quick_start: bool = False
    normalize: bool = False
    title: str = ""
    author: str = ""
    split: bool = False
    loudness_lufs: float | None = None
    captions: tuple[CaptionFormat, ...] = ()

    @property
    def mix(self) -> VoiceMix:
        """The voice, parsed."""
        return parse_voice(self.voice)

    def to_json(self) -> str:
        """Encode for the ledger; what is newer than the first release only where it is used."""
        unused = {newer.name: newer.default for newer in dataclasses.fields(self)[6:]}
        return json.dumps(
            {k: v for k, v in vars(self).items() if k not in unused or v != unused[k]},
            sort_keys=True,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "JobSpec":
        """Decode what `to_json` wrote."""
        fields = json.loads(text)
        fields["language"] = Language(fields["language"])
        fields["outputs"] = tuple(AudioFormat(name) for name in fields["outputs"])
        fields["captions"] = tuple(CaptionFormat(name) for name in fields.get("captions", ()))
        return cls(**fields)


@dataclass(frozen=True)
class NewJob:
    """A submission, checked, on its way into the ledger.

    Attributes:
        uid: `job_` and 26 characters that sort by time.
        owner: id of the key that submits it.
        input: the text, 1 to 2 000 000 characters.
        payload: hash of the whole request, to tell a repeat from another use of its key.
        idempotency: hash of the client's `Idempotency-Key`.
        client_id: the client's own id, with PUT.
        share: the owner's weight in the fair queue.
        stand_in: whether the engine is one; a job whose audio is all reused meets no engine.
        lexicons: `name` or `name@3` each; the ledger makes exact versions of them.
        warnings: `{code, segment, detail}` each, known before any planning.
        source: of a job whose input takes the place of one segment of another.
        traceparent: what its spans stand beneath; None where jobs are not traced.
    """

    uid: str
    owner: str
    spec: JobSpec
    input: str
    engine: EngineStamp
    payload: str
    lane: Lane
    deadline_s: int
    ttl_s: int
    share: float = 1.0
    idempotency: str | None = None
    client_id: str | None = None
    custom_id: str | None = None
    webhook_url: str | None = None
    webhook_host: str | None = None
    webhook_events: str | None = None
    stand_in: bool | None = None
    lexicons: tuple[str, ...] = ()
    warnings: tuple[dict[str, Any], ...] = ()
    source: Source | None = None
    traceparent: str | None = None

    def to_json(self) -> str:
        """Encode all but texts, absent fields left out (cjson would read null as a value)."""
        fields = {
            name: value
            for name, value in vars(self).items()
            if value is not None and name not in {"input", "spec", "engine", "source"}
        }
        if self.source is not None:
            redo = self.source.redo
            fields["redo"] = {"row": redo.to_json(), "uid": redo.uid, "segment": redo.segment}
        return json.dumps(
            {
                **fields,
                "warnings": [json.dumps(w, ensure_ascii=False) for w in self.warnings],
                "spec": self.spec.to_json(),
                "engine": self.engine.to_json(),
                "input_chars": len(self.input),
            }
        )


@dataclass(frozen=True)
class OutputFile:
    """One stored file of a finished job.

    Attributes:
        key: in object storage.
        bytes: its size.
        audio_s: seconds of audio in it.
        sha256: 64 hex digits over the file.
        chapter: 1 for the first; None for a file of the whole job.
    """

    format: AudioFormat
    key: str
    bytes: int
    audio_s: float
    sha256: str
    chapter: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """Encode for the ledger."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_wire(cls, item: Mapping[str, Any]) -> "OutputFile":
        """Decode what `to_wire` wrote."""
        return cls(**{**item, "format": AudioFormat(item["format"])})


@dataclass(frozen=True)
class ChapterRecord:
    """A chapter as the ledger knows it.

    Attributes:
        title: 1 to 200 characters; empty for what is heard before the first that has one.
        segment: index of its first segment; the number of segments for one at the end.
        start: index of its first sample at 24 kHz, once the job has succeeded.
        end: index after its last one.
    """

    title: str
    segment: int
    start: int | None = None
    end: int | None = None

    @property
    def samples(self) -> int:
        """How long it is; 0 for one without any audio, and until that is known."""
        return (self.end or 0) - (self.start or 0)

    @classmethod
    def from_json(cls, text: str) -> "ChapterRecord":
        """Read a chapter from its row."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class JobPace:
    """How a job gets on; all 0 for what an older release accepted. Phonemes are of segments.

    Attributes:
        left: phonemes planned and not done.
        unplanned: characters not planned yet.
        to_render: phonemes planned so far whose audio did not exist already.
        rendered: phonemes of it that were rendered for it.
        rendered_s: seconds of audio that those became.
        own: its own phonemes that were rendered of late; the older the less they count.
        even: what it would have had of late if all of its lane had the same.
        all: everybody's, of late.
        s: seconds that took.
        batches: batches with a part of it, of late.
        at: when the last of those was recorded, or the first segment was planned.
        total: phonemes that all devices had ever rendered at `at`.
        assembling_since: when a worker began to encode it, if one does.
        encoded: the part of that which was done when it was last told of, 0 to 1.
        encoded_at: when that was.
    """

    left: int = 0
    unplanned: int = 0
    to_render: int = 0
    rendered: int = 0
    rendered_s: float = 0.0
    own: float = 0.0
    even: float = 0.0
    all: float = 0.0
    s: float = 0.0
    batches: float = 0.0
    at: float | None = None
    total: float | None = None
    assembling_since: float | None = None
    encoded: float = 0.0
    encoded_at: float | None = None

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> "JobPace":
        """Read it from a job's Redis hash."""

        def seconds(name: str) -> float | None:
            return float(fields[name]) / 1000 if name in fields else None

        return cls(
            left=int(fields.get("left", 0)),
            unplanned=int(fields.get("unplanned", 0)),
            to_render=int(fields.get("to_render", 0)),
            rendered=int(fields.get("rendered", 0)),
            rendered_s=float(fields.get("rendered_s", 0)),
            own=float(fields.get("pace_own", 0)),
            even=float(fields.get("pace_even", 0)),
            all=float(fields.get("pace_all", 0)),
            s=float(fields.get("pace_s", 0)),
            batches=float(fields.get("pace_batches", 0)),
            at=seconds("pace_ms"),
            total=float(fields["pace_total"]) if "pace_total" in fields else None,
            encoded=float(fields.get("encoded", 0)),
            encoded_at=seconds("encoded_ms"),
            assembling_since=seconds("assemble_ms") if fields.get("assemble_token") else None,
        )


@dataclass(frozen=True)
class CaptionFile:
    """One stored file of a finished job's captions.

    Attributes:
        key: in object storage.
        bytes: its size.
        sha256: 64 hex digits over the file.
    """

    format: CaptionFormat
    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class JobRecord:
    """A job as the ledger knows it; times are seconds since 1970, UTC."""

    uid: str
    id: str
    owner: str
    status: JobStatus
    stage: str
    lane: Lane
    spec: JobSpec
    input_chars: int
    created_at: float
    started_at: float | None
    completed_at: float | None
    expires_at: float | None
    deadline_at: float
    custom_id: str | None
    planned: bool
    segments_total: int
    segments_done: int
    segments_reused: int
    audio_s: float
    synthesis_s: float
    encode_s: float
    attempts: int
    worker: str | None
    model: str | None
    stand_in: bool | None
    precision: str | None
    outputs: tuple[OutputFile, ...]
    warnings_total: int
    error_code: str | None
    error_message: str | None
    webhook_url: str | None
    purged: bool
    lexicons: tuple[str, ...] = ()
    batch: str | None = None
    plan_chars: int = 0
    pace: JobPace = JobPace()
    chapters_total: int = 0
    captions: tuple[CaptionFile, ...] = ()
    redo: Redo | None = None

    @classmethod
    def before(cls, job: NewJob, now: float) -> "JobRecord":
        """Return what a job's record would be if it were accepted now."""
        return cls.from_hash(
            {
                **dict.fromkeys(("total", "done", "reused", "audio_s", "planned"), "0"),
                "uid": job.uid,
                "id": job.uid,
                "owner": job.owner,
                "status": JobStatus.QUEUED,
                "stage": "plan",
                "lane": job.lane,
                "spec": job.spec.to_json(),
                "input_chars": str(len(job.input)),
                "created_ms": str(now * 1000),
                "deadline_ms": str((now + job.deadline_s) * 1000),
            }
        )

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> "JobRecord":
        """Read a job from its Redis hash."""

        def seconds(name: str) -> float | None:
            return float(fields[name]) / 1000 if name in fields else None

        result = json.loads(fields.get("result", "[]"))
        captions = tuple(
            CaptionFile(**{**item, "format": CaptionFormat(item["format"])})
            for item in json.loads(fields.get("captions", "[]"))
        )
        stand_in = fields.get("stand_in")
        return cls(
            uid=fields["uid"],
            id=fields["id"],
            owner=fields["owner"],
            status=JobStatus(fields["status"]),
            stage=fields.get("stage", ""),
            lane=Lane(fields["lane"]),
            spec=JobSpec.from_json(fields["spec"]),
            input_chars=int(fields["input_chars"]),
            created_at=float(fields["created_ms"]) / 1000,
            started_at=seconds("started_ms"),
            completed_at=seconds("completed_ms"),
            expires_at=seconds("expires_ms"),
            deadline_at=float(fields["deadline_ms"]) / 1000,
            custom_id=fields.get("custom_id"),
            planned=fields["planned"] == "1",
            segments_total=int(fields["total"]),
            segments_done=int(fields["done"]),
            segments_reused=int(fields["reused"]),
            audio_s=float(fields["audio_s"]),
            synthesis_s=float(fields.get("synthesis_s", 0)),
            encode_s=float(fields.get("encode_s", 0)),
            attempts=int(fields.get("attempts", 0)),
            worker=fields.get("worker"),
            model=fields.get("model"),
            stand_in=None if stand_in is None else stand_in == "1",
            precision=fields.get("precision"),
            outputs=tuple(OutputFile.from_wire(item) for item in result),
            warnings_total=int(fields.get("warnings_total", 0)),
            error_code=fields.get("error_code"),
            error_message=fields.get("error_message"),
            webhook_url=fields.get("webhook_url"),
            purged="purged" in fields,
            chapters_total=int(fields.get("chapters", 0)),
            lexicons=tuple(
                lexicon.partition(":")[0] for lexicon in fields.get("lexicons", "").split()
            ),
            batch=fields.get("batch"),
            plan_chars=int(fields.get("plan_chars", 0)),
            pace=JobPace.from_hash(fields),
            captions=captions,
            redo=Redo.from_json(fields["redo"]) if "redo" in fields else None,
        )


@dataclass(frozen=True)
class SegmentRecord:
    """A segment as the ledger knows it.

    Attributes:
        start: index of its first character in the input.
        end: index after its last one.
        samples: of its audio at 24 kHz, once done.
        key: of its audio in object storage; None for a pause and until done.
        reused: True when the audio existed already.
    """

    index: int
    status: SegmentStatus
    start: int
    end: int
    attempts: int
    samples: int | None
    key: str | None
    reused: bool
    pause: bool

    @classmethod
    def from_json(cls, index: int, text: str) -> "SegmentRecord":
        """Read a segment from its field in the job's hash of segments."""
        fields: dict[str, Any] = json.loads(text)
        return cls(
            index=index,
            status=SegmentStatus(fields["status"]),
            start=fields["start"],
            end=fields["end"],
            attempts=fields.get("attempts", 0),
            samples=fields.get("samples"),
            key=fields.get("key"),
            reused=fields.get("reused", False),
            pause="hash" not in fields,
        )


@dataclass(frozen=True)
class DeliveryRecord:
    """A webhook delivery as the ledger knows it; times are seconds since 1970, UTC."""

    id: str
    job: str
    event: str
    url: str
    status: DeliveryStatus
    attempts: int
    created_at: float
    next_attempt_at: float | None
    log: tuple[dict[str, Any], ...]
