"""What workers and the ledger say to one another: claims and segments."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from shared.languages import Language
from shared.ledger.records import JobSpec
from shared.manifest import EngineStamp


@dataclass(frozen=True)
class PlanState:
    """What the next slice of a job's text has to know of those before it.

    Attributes:
        voice: that speaks where it begins, as a mark named it; empty for the job's own.
        languages: other than the job's, that were spoken so far.
    """

    voice: str = ""
    languages: tuple[Language, ...] = ()

    def to_json(self) -> str:
        """Encode for the ledger; nothing to know is nothing."""
        return "" if self == NOTHING_YET else json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "PlanState":
        """Decode what `to_json` wrote."""
        if not text:
            return cls()
        fields = json.loads(text)
        return cls(fields["voice"], tuple(Language(name) for name in fields["languages"]))


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
        payload: None for a pause.
        voice: as a mark named it; empty for the job's own.
    """

    start: int
    end: int
    samples: int = 0
    payload: SegmentPayload | None = None
    voice: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Encode for the script `add_segments`."""
        record: dict[str, Any] = {"start": self.start, "end": self.end}
        if self.payload is None:
            return {"record": {**record, "samples": self.samples}}
        record |= {"hash": self.payload.hash, "length": len(self.payload.phonemes)}
        if self.voice:
            record["voice"] = self.voice
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
