"""The network as the engine calls it: first the text, then, its lengths known, the speech."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from worker.engines.facts import FRAME_SAMPLES
from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import Conv, Extent, full_float32
from worker.engines.network.text import TextSide, spread
from worker.engines.network.vocoder import Curves, Features, Vocoder

HARMONICS = 9


@dataclass(frozen=True)
class Spoken:
    """What the text side says of a batch, on the device.

    Attributes:
        durations: int64, (batch, tokens), frames of each token, 0 in the padding.
        prosody: (batch, tokens, 640).
        text: (batch, tokens, 512).
    """

    durations: Tensor
    prosody: Tensor
    text: Tensor


class Network(nn.Module):
    """Upstream's `KModel` for a batch.

    Item b of a batch is what `KModel.forward_with_tokens` gives for item b alone: in float64 to
    1e-9, in float32 within what upstream itself varies by when its thread count changes.
    """

    def __init__(self, model: Any, kernels: Kernels | None = None) -> None:
        """Take over a loaded `KModel`'s weights; its weight norms must be folded.

        Raises:
            ValueError: the model is not of the architecture that this forward computes.
        """
        super().__init__()
        self.text_side = TextSide(model)
        self.curves = Curves(model.predictor)
        self.vocoder = Vocoder(model.decoder)
        self.kernels = kernels or Kernels()
        self.requires_grad_(False)
        self.eval()

    def halve(self, dtype: torch.dtype) -> "Network":
        """Run the vocoder's wide convolutions in `dtype`, float16 or bfloat16.

        Pitch, energy, the source, its convolutions, the last one and all statistics keep float32.
        """
        generator = self.vocoder.generator
        wide = [*self.vocoder.blocks, *generator.source_blocks, *generator.blocks]
        for conv in (m for block in wide for m in block.modules() if isinstance(m, Conv)):
            conv.to(dtype)
        for up in generator.ups:
            up.to(dtype)
        return self

    def text(
        self, tokens: Tensor, lengths: Tensor, style: Tensor, speed: Tensor, *, full: bool
    ) -> Spoken:
        """Compute durations and features.

        Args:
            tokens: int64, (batch, tokens), start and end mark included.
            lengths: int64, (batch,), real tokens of each item.
            style: (batch, 256), the voice rows.
            speed: (batch,).
            full: no item is padded.
        """
        extent = Extent(lengths, tokens.shape[1], full=full)
        with full_float32():
            return Spoken(*self.text_side(tokens, style[:, 128:], speed, extent))

    def speech(
        self,
        spoken: Spoken,
        frames: Tensor,
        width: int,
        style: Tensor,
        noise: Tensor,
        *,
        full: bool,
    ) -> Tensor:
        """Compute audio, (batch, 600 · width), zero beyond each item's own samples.

        Args:
            spoken: what `text` returned.
            frames: int64, (batch,), the sum of each item's durations.
            width: frames to compute, at least the longest item's.
            style: (batch, 256).
            noise: (batch, 9, 600 · width), standard normal; each item draws its own.
            full: every item is `width` long.
        """
        prosody, text = self.spread(spoken, width)
        return self.utter(prosody, text, frames, style, noise, full=full)

    def spread(self, spoken: Spoken, width: int) -> tuple[Tensor, Tensor]:
        """Return prosody and text features at frame rate, (batch, width, channels)."""
        return (
            spread(spoken.prosody, spoken.durations, width),
            spread(spoken.text, spoken.durations, width),
        )

    def utter(
        self,
        prosody: Tensor,
        text: Tensor,
        frames: Tensor,
        style: Tensor,
        noise: Tensor,
        *,
        full: bool,
    ) -> Tensor:
        """Compute audio as `speech` does, of what `spread` returned: every shape is static.

        Nothing in here reads a value back to the host, so that it can be captured as a graph.
        """
        extent = Extent(frames, prosody.shape[1], full=full)
        with full_float32():
            pitch, energy = self.curves(prosody, style[:, 128:], extent, self.kernels)
        features = Features(text, pitch, energy, noise)
        samples = self.vocoder(features, style[:, :128], extent, self.kernels)
        heard = extent.scaled(FRAME_SAMPLES)
        return heard.clear(samples.unsqueeze(-1)).squeeze(-1)
