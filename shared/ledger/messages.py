"""What workers and the ledger say to one another: claims and segments."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from shared.languages import Language
from shared.ledger.records import JobSpec
from shared.ledger.redo import KeptSegment, Redo, Said
from shared.manifest import EngineStamp


@dataclass(frozen=True)
class PlanState:
    """What the next slice of a job's text has to know of those before it.

    Attributes:
        voice: that speaks where it begins, as a mark named it; empty for the job's own.
        languages: other than the job's, that were spoken so far.
        at: where a segment is said anew: how many of the other job's segments are dealt with.
        speaks: whether the new text has said something.
    """

    voice: str = ""
    languages: tuple[Language, ...] = ()
    at: int = 0
    speaks: bool = False

    def to_json(self) -> str:
        """Encode for the ledger; nothing to know is nothing."""
        return "" if self == NOTHING_YET else json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "PlanState":
        """Decode what `to_json` wrote."""
        if not text:
            return cls()
        fields = json.loads(text)
        languages = tuple(Language(name) for name in fields["languages"])
        return cls(fields["voice"], languages, fields.get("at", 0), fields.get("speaks", False))


NOTHING_YET = PlanState()
"""Before a job's first slice."""


@dataclass(frozen=True)
class PlanClaim:
    """A job whose next slice of text is to be planned.

    Attributes:
        text: the next bytes of the UTF-8 input; the last character may be cut in two.
        bytes_done: their offset in it.
        chars_done: the same in characters.
        segments_total: planned so far.
        more: whether others waited when it was claimed; who comes later rings.
        lexicons: digests of those the job was submitted with, in its order.
        state: what the slices before have left to know.
        lexicon_names: `name@version` of each of those.
        redo: of a job whose text takes the place of one segment of another; `text` is then all
            of it, with every slice.
    """

    uid: str
    token: str
    text: bytes
    bytes_done: int
    chars_done: int
    spec: JobSpec
    owner: str
    engine: EngineStamp
    id: str
    segments_total: int
    more: bool
    lexicons: tuple[str, ...] = ()
    state: PlanState = NOTHING_YET
    lexicon_names: tuple[str, ...] = ()
    redo: Redo | None = None

    @property
    def keeps(self) -> bool:
        """Whether the next slice is of segments that another job has."""
        return self.redo is not None and self.state.at != self.redo.segment


@dataclass(frozen=True)
class SegmentPayload:
    """All a synth worker needs of a segment; the wire format is versioned by `v`.

    Attributes:
        hash: 64 hex digits over all that determines the audio.
        engine: fingerprint of the engine the hash was made for.
    """

    phonemes: str
    text: str
    language: Language
    voice: str
    speed: float
    seed: int
    hash: str
    engine: str
    v: int = 1

    def to_json(self) -> str:
        """Encode for the ledger."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "SegmentPayload":
        """Decode what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "language": Language(fields["language"])})


@dataclass(frozen=True)
class NewSegment:
    """A planned segment on its way into the ledger.

    Attributes:
        start: index of its first character in the job's input.
        end: index after its last one.
        samples: of silence, for a pause.
        payload: None for a pause, and for one that was kept.
        voice: as a mark named it; empty for the job's own.
        said: how it is spoken, if it is said anew.
        hash: of the audio of one that was kept: there is none to render it from.
        length: its phonemes.
    """

    start: int
    end: int
    samples: int = 0
    payload: SegmentPayload | None = None
    voice: str = ""
    said: Said | None = None
    hash: str | None = None
    length: int = 0

    @classmethod
    def kept(cls, segment: KeptSegment, *, moved: int) -> "NewSegment":
        """Return a segment of another job as one of this, its text so many characters further."""
        return cls(
            segment.start + moved,
            segment.end + moved,
            segment.samples,
            voice=segment.voice,
            said=segment.said,
            hash=segment.hash,
            length=segment.length,
        )

    def to_wire(self) -> dict[str, Any]:
        """Encode for the script `add_segments`."""
        record: dict[str, Any] = {"start": self.start, "end": self.end}
        if self.payload is not None:
            record |= {"hash": self.payload.hash, "length": len(self.payload.phonemes)}
        elif self.hash is not None:
            record |= {"hash": self.hash, "length": self.length}
        else:
            return {"record": {**record, "samples": self.samples}}
        if self.voice:
            record["voice"] = self.voice
        if self.said:
            record["said"] = self.said.to_wire()
        if self.payload is None:
            return {"record": record}
        return {"record": record, "payload": self.payload.to_json()}


@dataclass(frozen=True)
class SegmentClaim:
    """One member of a batch.

    Attributes:
        attempt: 1 for the first.
        solo: a worker ended or failed while it had this one: it is a batch of its own, and no
            other should be under way beside it, so that a second end has one cause only.
        more: whether others waited when the batch was claimed; who comes later rings.
    """

    uid: str
    index: int
    token: int
    payload: SegmentPayload
    attempt: int
    solo: bool = False
    more: bool = False


@dataclass(frozen=True)
class RenderedSegment:
    """One stored member of a batch.

    Attributes:
        key: of its audio in object storage.
        samples: at 24 kHz.
    """

    claim: SegmentClaim
    key: str
    samples: int


@dataclass(frozen=True)
class AssemblyClaim:
    """A job whose segments are all done.

    Attributes:
        more: whether others waited when it was claimed; who comes later rings.
        chapters_total: how many chapters it has.
    """

    uid: str
    token: str
    spec: JobSpec
    segments_total: int
    id: str
    owner: str
    more: bool
    chapters_total: int = 0


@dataclass(frozen=True)
class DeliveryClaim:
    """A webhook that is due.

    Attributes:
        attempt: 1 for the first.
        body: the frozen bytes, or None before the first attempt froze them.
    """

    id: str
    token: str
    attempt: int
    uid: str
    url: str
    event: str
    created_at: float
    body: bytes | None
