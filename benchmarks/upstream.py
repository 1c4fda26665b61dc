"""Upstream's model and ours for the same items, and how far apart two renderings are.

For tests and benchmarks. Upstream is its own `KModel` as its users run it, weight norms and all;
only its noise is given, and two choices that it leaves to the luck of a rounding are settled.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared.formats import SAMPLE_RATE_HZ
from worker.engines.checkpoint import WEIGHTS_NAME
from worker.engines.facts import FRAME_SAMPLES
from worker.engines.kmodel import build, fold_weight_norm, load_weights
from worker.engines.network.layers import Extent
from worker.engines.network.network import HARMONICS, Network
from worker.engines.runner import Prepared, draw_noise

FFT_SAMPLES, HOP_SAMPLES, MELS = 1024, 256, 80
LEAST_MEL = 1e-5
"""Of a magnitude: 100 dB below full scale; what is quieter counts as equally silent."""


@dataclass(frozen=True)
class Rendering:
    """One item, rendered.

    Attributes:
        samples: (samples,), 24 000 Hz.
        durations: int64, (tokens,), frames of each token.
        harmonics: (1, steps, 22), magnitudes and phases of the harmonic source: what the vocoder
            heard of it.
    """

    samples: Tensor
    durations: Tensor
    harmonics: Tensor


def load_kmodel(folder: Path) -> Any:
    """Return upstream's `KModel` with the weights of a checkpoint, weight norms not folded."""
    model = build(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    load_weights(model, folder / WEIGHTS_NAME)
    return model


def load_network(folder: Path, dtype: torch.dtype = torch.float32) -> Network:
    """Return our network with the same weights, folded in `dtype` as upstream would compute."""
    model = load_kmodel(folder).to(dtype)
    fold_weight_norm(model)
    return Network(model).to(dtype)


class Upstream:
    """Upstream's own model, which draws an item's noise from its seed as ours does."""

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        """Take a `KModel` over.

        For float64 torch's default dtype must be float64 too while it is called: upstream makes
        some of its constants in the default.
        """
        self.model = model.to(dtype)
        self.dtype = dtype
        self._given: Tensor | None = None
        self._heard: Tensor | None = None
        transform = self.model.decoder.generator.stft
        # Upstream makes it anew from float32's, which is as far off as float32 is.
        transform.window = torch.hann_window(transform.win_length, dtype=dtype)
        plain = transform.transform

        def settled(samples: Tensor) -> tuple[Tensor, Tensor]:
            if self._given is not None:
                magnitude, phase = self._given.transpose(1, 2).chunk(2, dim=1)
            else:
                magnitude, phase = plain(samples)
                # The first and last window are symmetric, so their angle is 0 or ±π, and which
                # of the latter two is decided by a rounding.
                ends = phase[..., [0, -1]]
                phase[..., [0, -1]] = torch.where(ends.cos() < 0, math.pi, 0.0).to(dtype)
            self._heard = torch.cat([magnitude, phase], dim=1).transpose(1, 2)
            return magnitude, phase

        transform.transform = settled

    def __call__(self, item: Prepared, harmonics: Tensor | None = None) -> Rendering:
        """Render one item as a batch of one.

        Args:
            item: tokens, voice row, speed and seed.
            harmonics: as in `Rendering`, heard in place of what its own pitch gives.
        """
        device = self.model.device
        plain = torch.randn_like

        def given(like: Tensor) -> Tensor:
            if like.shape[-1] != HARMONICS:
                return plain(like)
            noise = torch.empty(HARMONICS, like.shape[1], dtype=like.dtype, device=like.device)
            draw_noise(item.seed, noise, like.shape[1] // FRAME_SAMPLES)
            return noise.T.unsqueeze(0)

        torch.randn_like = given  # type: ignore[assignment]
        self._given = harmonics
        try:
            samples, durations = self.model.forward_with_tokens(
                torch.tensor([item.tokens], device=device),
                item.style.unsqueeze(0).to(device, self.dtype),
                item.speed,
            )
        finally:
            torch.randn_like = plain
            self._given = None
        assert self._heard is not None  # noqa: S101 - the forward has just set it
        return Rendering(samples, durations, self._heard)


@torch.no_grad()
def render(
    network: Network,
    items: Sequence[Prepared],
    *,
    extra: int = 0,
    rubbish: float = 0.0,
    harmonics: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Render items as one padded batch.

    Args:
        network: ours, on the CPU.
        items: as `Upstream` takes them.
        extra: frames, and tokens, of padding beyond the longest item's.
        rubbish: what stands in the padding of the noise.
        harmonics: (batch, steps, 22), heard in place of what its own pitch gives.

    Returns:
        Samples (batch, width), durations (batch, tokens) and harmonics (batch, steps, 22).
    """
    dtype = network.vocoder.pitch_in.weight.dtype
    lengths = torch.tensor([len(item.tokens) for item in items])
    # The padding holds tokens too: whatever they are, nobody may hear them.
    tokens = torch.full((len(items), int(lengths.max()) + extra), 7)
    for row, item in zip(tokens, items, strict=True):
        row[: len(item.tokens)] = torch.tensor(item.tokens)
    style = torch.stack([item.style for item in items]).to(dtype)
    speed = torch.tensor([item.speed for item in items], dtype=dtype)
    full = extra == 0 and len(items) == 1
    spoken = network.text(tokens, lengths, style, speed, full=full)
    frames = spoken.durations.sum(1)
    width = int(frames.max()) + extra
    noise = torch.full((len(items), HARMONICS, FRAME_SAMPLES * width), rubbish, dtype=dtype)
    for row, item, own in zip(noise, items, frames.tolist(), strict=True):
        draw_noise(item.seed, row, own)
    with heard_harmonics(network, harmonics) as heard:
        samples = network.speech(spoken, frames, width, style, noise, full=full)
    return samples, spoken.durations, heard[0]


@contextmanager
def heard_harmonics(network: Network, given: Tensor | None = None) -> Iterator[list[Tensor]]:
    """Collect what the vocoder hears of the harmonic source, or give it that instead.

    The source's phase is a sum over all that came before: two computations of it drift apart by
    roundings alone. Given the same, what remains is the vocoder's own error.
    """
    spectrum = network.vocoder.generator.spectrum
    plain = spectrum.split
    heard: list[Tensor] = []

    def split(samples: Tensor, extent: Extent, frames: Extent) -> Tensor:
        heard.append(plain(samples, extent, frames) if given is None else given)
        return heard[-1]

    spectrum.split = split  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        del spectrum.split


def relative_rms(samples: Tensor, reference: Tensor) -> float:
    """Return the RMS of the difference over the RMS of the reference."""
    wide = reference.double()
    return float((samples.double() - wide).norm() / wide.norm())


def snr_db(samples: Tensor, reference: Tensor) -> float:
    """Return how far the difference lies below the reference, in dB."""
    return -20 * math.log10(max(relative_rms(samples, reference), 1e-300))


def log_mel_distance(samples: Tensor, reference: Tensor) -> float:
    """Return the mean absolute difference of two sounds' log-mel spectra.

    Natural logarithms of the magnitudes in 80 bands, 1 024 samples every 256: 0.115 is 1 dB.
    """
    one, other = (_log_mel(x.double()) for x in (samples, reference))
    return float((one - other).abs().mean())


def _log_mel(samples: Tensor) -> Tensor:
    window = torch.hann_window(FFT_SAMPLES, dtype=samples.dtype)
    edge = FFT_SAMPLES // 2
    padded = torch.nn.functional.pad(samples, (edge, edge))
    magnitudes = torch.fft.rfft(padded.unfold(0, FFT_SAMPLES, HOP_SAMPLES) * window).abs()
    mels: Tensor = magnitudes @ _mel_bands(samples.dtype)
    return mels.clamp(min=LEAST_MEL).log()


def _mel_bands(dtype: torch.dtype) -> Tensor:
    """Return triangles of area 1 on the mel scale, (513, 80), from 0 to 12 000 Hz."""
    top = 2595 * math.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    edges_hz = 700 * (10 ** (torch.linspace(0, top, MELS + 2, dtype=dtype) / 2595) - 1)
    low, middle, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    bins_hz = torch.linspace(0, SAMPLE_RATE_HZ / 2, FFT_SAMPLES // 2 + 1, dtype=dtype)[:, None]
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    bands = torch.minimum(rising, falling).clamp(min=0)
    # The lowest bands are narrower than a bin and may hold none: they stay empty in both sounds.
    return bands / bands.sum(0, keepdim=True).clamp(min=1e-9)
