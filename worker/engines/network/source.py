"""The harmonic source and the short Fourier transforms around the vocoder. Float32 at least.

Upstream's hn-NSF source (Wang et al. 2019): nine harmonics of the pitch with noise, merged into
one excitation, and given to the vocoder as magnitude and phase.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.engines.network.layers import Extent


class HarmonicSource(nn.Module):
    """Pitch at two values a frame → excitation at the sample rate."""

    def __init__(self, module: Any, upsampling: int) -> None:
        super().__init__()
        sines = module.l_sin_gen
        if sines.flag_for_pulse:
            raise ValueError("a pulse source")
        self.upsampling = upsampling
        self.rate: int = sines.sampling_rate
        self.amplitude: float = sines.sine_amp
        self.noise_std: float = sines.noise_std
        self.threshold: float = sines.voiced_threshold
        self.merge = module.l_linear
        harmonics = torch.arange(1, sines.dim + 1, dtype=torch.float32)
        self.harmonics = nn.Buffer(harmonics)

    def forward(self, pitch: Tensor, noise: Tensor) -> Tensor:
        """Return the excitation, (batch, upsampling · values).

        The phase is summed at the pitch's own rate: upstream's detour over the sample rate lands
        on the very same values. The order of its operations is kept, because the first and last
        window of the spectrum turn a difference of one rounding into one of 2π.

        Args:
            pitch: (batch, values), Hz, zero in the padding.
            noise: (batch, harmonics, upsampling · values), standard normal.
        """
        turns = (pitch.unsqueeze(-1) * self.harmonics / self.rate) % 1
        phase = torch.cumsum(turns, dim=1) * 2 * torch.pi
        phase = functional.interpolate(
            phase.transpose(1, 2) * self.upsampling, scale_factor=self.upsampling, mode="linear"
        )
        # Upstream's own float32, whatever the rest is computed in.
        voiced = (
            (pitch > self.threshold).float().repeat_interleave(self.upsampling, dim=1).unsqueeze(1)
        )
        spread = (voiced * self.noise_std + (1 - voiced) * self.amplitude / 3).to(pitch.dtype)
        waves = torch.sin(phase) * self.amplitude * voiced.to(pitch.dtype) + spread * noise
        return torch.tanh(self.merge(waves.transpose(1, 2))).squeeze(-1)


class Spectrum(nn.Module):
    """Upstream's `torch.stft` and `torch.istft` for a batch, each item with its own ends.

    Attributes:
        by_matrix: transform by a matrix product instead of an FFT. At 20 samples it is as fast;
            and on CUDA an FFT wants a plan for each new shape, made within the request, and
            making one within the capture of a graph is known to end the process.
    """

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        if size % hop or size % 2:
            raise ValueError(f"a transform of {size} at hop {hop}")
        self.size, self.hop = size, hop
        self.bins = size // 2 + 1
        window = torch.hann_window(size, periodic=True, dtype=torch.float64)
        self.window = nn.Buffer(window)
        steps = torch.arange(size, dtype=torch.float64)
        angle = 2 * math.pi / size * torch.outer(steps[: self.bins], steps)
        share = torch.full((self.bins, 1), 2.0 / size, dtype=torch.float64)
        share[0] = share[-1] = 1.0 / size
        sine = torch.sin(angle)
        sine[0] = sine[-1] = 0.0  # real at 0 Hz and at half the sample rate
        self.synthesis = nn.Buffer(torch.cat([share * torch.cos(angle), -share * sine]) * window)
        self.analysis = nn.Buffer((torch.cat([torch.cos(angle), -sine]) * window).T.contiguous())
        self.energy = nn.Buffer(window.square())
        self.by_matrix = False

    def split(self, samples: Tensor, extent: Extent, frames: Extent) -> Tensor:
        """Return magnitudes and phases, (batch, frames, 2 · bins), zero in the padding.

        Each item is reflected at its own last sample, as a batch of one would be.

        Args:
            samples: (batch, width).
            extent: of the samples.
            frames: of the result: `samples / hop + 1` steps.
        """
        edge = self.size // 2
        if extent.full:
            padded = functional.pad(samples.unsqueeze(1), (edge, edge), "reflect").squeeze(1)
        else:
            place = torch.arange(-edge, extent.width + edge, device=samples.device).abs()
            last = extent.lengths[:, None] - 1
            place = last - (last - place).abs()
            padded = samples.gather(1, place.clamp(min=0))
        windows = padded.unfold(1, self.size, self.hop)
        if self.by_matrix:
            parts = windows @ self.analysis.to(samples.dtype)
            real, imaginary = torch.split(parts, self.bins, dim=-1)
            magnitude, phase = torch.hypot(real, imaginary), torch.atan2(imaginary + 0.0, real)
        else:
            turned = torch.fft.rfft(windows * self.window.to(samples.dtype))
            magnitude, phase, real = turned.abs(), turned.angle(), turned.real
        # The reflection makes an item's first and last window symmetric and their transforms
        # real. Upstream's angle there is 0, or by the luck of a rounding π or −π; here never −π,
        # lest a neighbour in the batch decide it.
        steps = torch.arange(frames.width, device=samples.device)
        ends = (steps == 0) | (steps == frames.lengths[:, None] - 1)
        phase = torch.where(ends.unsqueeze(-1), (real < 0) * math.pi, phase)
        return frames.clear(torch.cat([magnitude, phase], dim=-1))

    def join(self, magnitude: Tensor, phase: Tensor, frames: Extent) -> Tensor:
        """Return the samples, (batch, hop · (frames − 1)), of magnitudes and phases.

        Up to half a transform of an item's padding may hold its last frames' tails.

        Args:
            magnitude: (batch, frames, bins).
            phase: the same shape, radians.
            frames: their extent.
        """
        parts = torch.cat([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=-1)
        windows = frames.clear(parts @ self.synthesis.to(parts.dtype))
        energy = self.energy.to(parts.dtype).expand(
            1 if frames.full else len(parts), frames.width, -1
        )
        weight = self._overlap(frames.clear(energy))
        edge = self.size // 2
        end = edge + (frames.width - 1) * self.hop
        # In the padding the weight is zero and so are the samples.
        weight = weight[:, edge:end].clamp(min=1e-11)
        return self._overlap(windows)[:, edge:end] / weight

    def _overlap(self, windows: Tensor) -> Tensor:
        batch, frames, _ = windows.shape
        blocks = self.size // self.hop
        pieces = windows.reshape(batch, frames, blocks, self.hop)
        whole = pieces.new_zeros(batch, frames + blocks - 1, self.hop)
        for k in range(blocks):
            whole[:, k : k + frames] += pieces[:, :, k]
        return whole.view(batch, -1)
