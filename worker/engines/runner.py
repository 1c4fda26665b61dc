"""What lies between the engine and the network: how a batch is laid out and run on a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engines.base import SegmentAudio
from worker.engines.facts import FRAME_SAMPLES
from worker.engines.network.network import HARMONICS


@dataclass(frozen=True)
class Prepared:
    """A segment as the network takes it.

    Attributes:
        tokens: the model's ids, start and end mark included.
        style: float32, (256,), the voice row, on the CPU.
        speed: factor.
        seed: of the item's own noise, 0 to 2**63 - 1.
    """

    tokens: tuple[int, ...]
    style: Tensor
    speed: float
    seed: int


class Runner(Protocol):
    """Runs batches on one device."""

    @property
    def batch_most(self) -> int:
        """Segments beyond which a larger batch gains nothing here."""
        ...

    @property
    def batch_phonemes(self) -> int:
        """Phonemes, padding included, beyond which a larger batch gains nothing or fits not."""
        ...

    def run(self, items: Sequence[Prepared]) -> list[SegmentAudio]:
        """Render a batch in order.

        Raises:
            RuntimeError: torch failed; a `torch.AcceleratorError` when it was the device.
        """
        ...


def pad_tokens(items: Sequence[Prepared], width: int) -> Tensor:
    """Return the tokens, int64 (batch, width), zeros on the right."""
    tokens = torch.zeros(len(items), width, dtype=torch.long)
    for row, item in zip(tokens, items, strict=True):
        row[: len(item.tokens)] = torch.tensor(item.tokens)
    return tokens


def draw_noise(seed: int, out: Tensor, frames: int) -> None:
    """Fill an item's noise, (9, samples), from its own seed; what lies beyond it is left alone.

    Drawn as one block of (9, 600 · frames), so that it depends on neither the padding nor the
    batch; a device has a generator, and so numbers, of its own.
    """
    generator = torch.Generator(device=out.device).manual_seed(seed)
    own = torch.empty(HARMONICS, frames * FRAME_SAMPLES, dtype=out.dtype, device=out.device)
    own.normal_(generator=generator)
    out[:, : own.shape[1]] = own


def as_audio(samples: NDArray[np.float32], durations: NDArray[np.int64]) -> SegmentAudio:
    """Return one item's audio from its padded row and its own durations."""
    heard = int(durations.sum()) * FRAME_SAMPLES
    return SegmentAudio(samples=samples[:heard].copy(), durations=durations.copy())
