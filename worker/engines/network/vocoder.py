"""From frames of features to audio: pitch and energy, decoder, generator.

`precision.half` may run the wide convolutions in 16 bits; pitch, phase, statistics and the
transforms stay in float32.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import (
    Affine,
    BiLstm,
    Conv,
    Extent,
    Modules,
    StyleBank,
    Upsampler,
)
from worker.engines.network.source import HarmonicSource, Spectrum

LAST_SLOPE = 0.01
"""Upstream leaves the last leaky ReLU at torch's default."""


@dataclass(frozen=True)
class Features:
    """What the vocoder speaks from.

    Attributes:
        text: (batch, frames, 512).
        pitch: (batch, 2 · frames), Hz, zero in the padding.
        energy: the same shape, zero in the padding.
        noise: (batch, harmonics, 600 · frames), standard normal.
    """

    text: Tensor
    pitch: Tensor
    energy: Tensor
    noise: Tensor


class FrameBlock(nn.Module):
    """Upstream's `AdainResBlk1d`: two styled convolutions at frame rate, which may double it."""

    def __init__(self, block: Any, first_affine: int) -> None:
        super().__init__()
        self.affine = first_affine
        self.slope: float = block.actv.negative_slope
        self.conv1, self.conv2 = Conv(block.conv1), Conv(block.conv2)
        self.shortcut = Conv(block.conv1x1) if block.learned_sc else None
        self.doubles = block.upsample_type != "none"
        if self.doubles:
            # A transposed convolution of 3 taps, stride 2, each channel for itself.
            self.taps = nn.Buffer(block.pool.weight.detach()[:, 0].T.contiguous())
            self.tap_bias = nn.Buffer(block.pool.bias.detach())

    def forward(self, x: Tensor, affines: list[Affine], extent: Extent, kernels: Kernels) -> Tensor:
        """Return (batch, time or 2 · time, out), zero in the padding."""
        return kernels.frame_block(self, x, affines, extent)

    def widen(self, x: Tensor) -> Tensor:
        """Return (batch, 2 · time, channels): the transposed convolution, its padding undefined."""
        first, middle, last = self.taps.to(x.dtype)
        coming = functional.pad(x[:, 1:], (0, 0, 0, 1))
        pairs = torch.stack([x * middle, x * last + coming * first], dim=2)
        return pairs.flatten(1, 2) + self.tap_bias.to(x.dtype)


class Curves(nn.Module):
    """Pitch and energy, two values a frame."""

    def __init__(self, predictor: Any) -> None:
        super().__init__()
        blocks = [*predictor.F0, *predictor.N]
        self.lstm = BiLstm(predictor.shared)
        self.bank = StyleBank([norm for block in blocks for norm in (block.norm1, block.norm2)])
        made = [FrameBlock(block, 2 * i) for i, block in enumerate(blocks)]
        self.pitch = Modules(made[: len(predictor.F0)])
        self.energy = Modules(made[len(predictor.F0) :])
        self.pitch_out, self.energy_out = Conv(predictor.F0_proj), Conv(predictor.N_proj)

    def forward(
        self, prosody: Tensor, style: Tensor, extent: Extent, kernels: Kernels
    ) -> tuple[Tensor, Tensor]:
        """Return pitch in Hz and energy, each (batch, 2 · frames), zero in the padding."""
        affines = self.bank(style)
        shared = self.lstm(prosody, extent)
        curves = []
        for blocks, out in ((self.pitch, self.pitch_out), (self.energy, self.energy_out)):
            x, reach = shared, extent
            for block in blocks:
                x = block(x, affines, reach, kernels)
                reach = reach.scaled(2) if block.doubles else reach
            curves.append(reach.clear(out(x)).squeeze(-1))
        return curves[0], curves[1]


class SnakeBlock(nn.Module):
    """Upstream's `AdaINResBlock1`: three pairs of dilated convolutions with a residual each."""

    def __init__(self, block: Any, first_affine: int) -> None:
        super().__init__()
        self.affine = first_affine
        self.convs1 = Modules(Conv(conv) for conv in block.convs1)
        self.convs2 = Modules(Conv(conv) for conv in block.convs2)
        self.alphas = nn.Buffer(
            torch.stack([alpha.detach().flatten() for alpha in (*block.alpha1, *block.alpha2)])
        )


class Generator(nn.Module):
    """Upstream's iSTFTNet: features at frame rate and the harmonic source → audio."""

    def __init__(self, generator: Any, first_affine: int) -> None:
        super().__init__()
        transform = generator.stft
        rates = [up.stride[0] for up in generator.ups]
        hop: int = transform.hop_length
        self.hop = hop
        self.steps = 1  # of the spectrum, for each step that comes in
        for rate in rates:
            self.steps *= rate
        self.source = HarmonicSource(generator.m_source, self.steps * hop)
        self.spectrum = Spectrum(transform.filter_length, hop)
        self.ups = Modules(Upsampler(up) for up in generator.ups)
        self.source_convs = Modules(Conv(conv) for conv in generator.noise_convs)
        self.branches: int = generator.num_kernels
        self.source_blocks: Modules[SnakeBlock] = Modules()
        self.blocks: Modules[SnakeBlock] = Modules()
        for i in range(len(rates)):
            self.source_blocks.append(SnakeBlock(generator.noise_res[i], first_affine))
            first_affine += 6
            for j in range(self.branches):
                block = generator.resblocks[i * self.branches + j]
                self.blocks.append(SnakeBlock(block, first_affine))
                first_affine += 6
        self.slope = 0.1
        self.out = Conv(generator.conv_post)

    def forward(
        self, x: Tensor, features: Features, affines: list[Affine], extent: Extent, kernels: Kernels
    ) -> Tensor:
        """Return samples, (batch, 300 · steps in).

        Args:
            x: (batch, steps in, channels), two steps a frame.
            features: their pitch and noise.
            affines: of the vocoder's style bank.
            extent: of x.
            kernels: how the work is done on this device.
        """
        excitation = self.source(features.pitch, features.noise)
        frames = extent.scaled(self.steps, 1)
        harmonics = self.spectrum.split(excitation, extent.scaled(self.steps * self.hop), frames)
        x = extent.clear(x)
        for i, (up, block) in enumerate(zip(self.ups, self.source_blocks, strict=True)):
            last = i == len(self.ups) - 1
            x = up(functional.leaky_relu(x, self.slope))
            if last:
                x = torch.cat([x[:, 1:2], x], dim=1)  # reflected by one step at the start
            extent = extent.scaled(up.rate, 1 if last else 0)
            beside = self.source_convs[i](harmonics).to(x.dtype)
            x = kernels.add_block(x, block, beside, affines, extent)
            del beside
            blocks = list(self.blocks)[i * self.branches : (i + 1) * self.branches]
            x = extent.clear(kernels.mean_of_blocks(blocks, x, affines, extent))
        spectrum = self.out(functional.leaky_relu(x, LAST_SLOPE))
        log_magnitude, phase = spectrum.split(self.spectrum.bins, dim=-1)
        return self.spectrum.join(log_magnitude.exp(), phase.sin(), frames)


class Vocoder(nn.Module):
    """From frames of text features, pitch and energy to audio."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        blocks = [decoder.encode, *decoder.decode]
        generator = decoder.generator
        adains = [norm for block in blocks for norm in (block.norm1, block.norm2)]
        self.generator = Generator(generator, len(adains))
        for i in range(generator.num_upsamples):
            resblocks = generator.resblocks[i * generator.num_kernels :][: generator.num_kernels]
            for block in (generator.noise_res[i], *resblocks):
                adains += [*block.adain1, *block.adain2]
        self.bank = StyleBank(adains)
        self.blocks = Modules(FrameBlock(block, 2 * i) for i, block in enumerate(blocks))
        self.pitch_in, self.energy_in = Conv(decoder.F0_conv), Conv(decoder.N_conv)
        self.text_in = Conv(decoder.asr_res[0])

    def forward(
        self, features: Features, style: Tensor, extent: Extent, kernels: Kernels
    ) -> Tensor:
        """Return samples, (batch, 600 · frames), float32 or wider."""
        affines = self.bank(style)
        curves = [
            conv(curve.unsqueeze(-1))
            for conv, curve in (
                (self.pitch_in, features.pitch),
                (self.energy_in, features.energy),
            )
        ]
        first, *others = self.blocks
        beside = [self.text_in(features.text), *curves]
        x = first(torch.cat([features.text, *curves], dim=-1), affines, extent, kernels)
        for block in others:
            inputs = torch.cat([x, *(part.to(x.dtype) for part in beside)], dim=-1)
            x = block(inputs, affines, extent, kernels)
        samples: Tensor = self.generator(x, features, affines, extent.scaled(2), kernels)
        return samples
