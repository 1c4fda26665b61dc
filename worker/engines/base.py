"""The one interface between the cluster and whatever makes sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.languages import Language
from shared.manifest import EngineManifest
from shared.voices import VoiceMix

MAX_PHONEMES = 510
"""A segment's longest phoneme string: the model's 512 positions less its two end marks."""


@dataclass(frozen=True)
class SegmentInput:
    """One segment to render.

    Attributes:
        phonemes: 1 to 510 characters of the model's alphabet.
        text: what the phonemes were made from; only the stand-in speaks from it.
        language: of the text.
        voice: the mix to speak with.
        speed: 0.25 to 4; 2 is twice as fast.
        seed: of the item's own noise; the audio depends on it and never on the batch.
    """

    phonemes: str
    text: str
    language: Language
    voice: VoiceMix
    speed: float
    seed: int


@dataclass(frozen=True)
class SegmentAudio:
    """One rendered segment.

    Attributes:
        samples: float32, (samples,), mono, 24 000 Hz, nominally in [-1, 1].
        durations: int64, (len(phonemes in the vocabulary) + 2,), frames of 600 samples for the
            start mark, every phoneme and the end mark; None where the engine has none.
    """

    samples: NDArray[np.float32]
    durations: NDArray[np.int64] | None


class Engine(Protocol):
    """Loaded once per process, then only called."""

    @property
    def manifest(self) -> EngineManifest:
        """What was loaded."""
        ...

    @property
    def batch_most(self) -> int:
        """Segments beyond which a larger batch gains nothing and only makes others wait."""
        ...

    @property
    def batch_phonemes(self) -> int:
        """Phonemes one batch should hold, padding counted: members times the longest of them.

        A wish: a single segment may be longer.
        """
        ...

    def device_memory(self) -> tuple[int, int] | None:
        """Return (used, total) bytes of the device, by all processes; None where it has none."""
        ...

    def forward(self, segments: Sequence[SegmentInput]) -> list[SegmentAudio]:
        """Render a batch; item i of the answer is item i of `segments`.

        Raises:
            OutOfDeviceMemory: the device has no room for the batch; a smaller one may go.
            DeviceLost: the device's context is unusable, whatever is asked of it next: the caller
                should end its process at once, without touching the device again.
            EngineFailed: rendering failed; the batch has no result.
            UnknownVoice: a segment names a voice that is not loaded.
        """
        ...
