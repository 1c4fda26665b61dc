"""A batch on its way over the device: claimed, rendered, checked, stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import ClusterError
from shared.ledger.beginning import Beginning
from shared.ledger.messages import RenderedSegment, SegmentClaim
from worker.engines.base import SegmentAudio, SegmentInput
from worker.traced import Parts


@dataclass(frozen=True)
class Work:
    """A claimed batch with all that can be made ready before the device is free for it.

    Attributes:
        claims: its members; none: there was nothing to claim.
        inputs: for the engine, of each member.
        error: why these could not be made, if so.
        beginning: for saying that it begins; None without members.
        parts: its jobs' spans; None where none is traced.
    """

    claims: Sequence[SegmentClaim]
    inputs: Sequence[SegmentInput]
    error: ClusterError | None
    beginning: Beginning | None
    size: float = 0.0
    minutes: float = 1.0
    parts: Parts | None = None

    def __bool__(self) -> bool:
        return bool(self.claims)


@dataclass(frozen=True)
class Batch:
    """What came of a batch on the device.

    Attributes:
        claims: its members.
        audios: of each member; none when it failed.
        synthesis_s: seconds the engine took.
        error: why it failed, if it did.
        beginning: knows which of its members were this process's to render.
        parts: as the `Work`'s.
    """

    claims: Sequence[SegmentClaim]
    audios: Sequence[SegmentAudio]
    synthesis_s: float
    error: ClusterError | None = None
    beginning: Beginning | None = None
    parts: Parts | None = None


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
    store_s: float
