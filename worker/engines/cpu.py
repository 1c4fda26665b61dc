"""Running the network on a CPU: one item after another.

Batching gains nothing here, since one item already fills the cores' arithmetic and a padded
neighbour would take from it; and an item alone never depends on its neighbours, to the last bit.
"""

import gc
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import structlog
import torch

from worker.engines.base import MAX_PHONEMES, SegmentAudio
from worker.engines.device import trim_heap
from worker.engines.facts import FRAME_SAMPLES
from worker.engines.network.kernels import Kernels
from worker.engines.network.native import HalfKernels, NativeKernels
from worker.engines.network.network import HARMONICS, Network
from worker.engines.runner import Prepared, as_audio, draw_noise, pad_tokens

log = structlog.get_logger()


@cache
def has_half_units() -> bool:
    """Return whether this processor multiplies bfloat16 matrices in hardware (Intel's AMX)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return any("amx_bf16" in line.split() for line in text.splitlines() if "flags" in line)


def cpu_kernels(network: Network, precision: str) -> Kernels:
    """Return the fastest kernels that this machine can build, the network made ready for them."""
    half = precision == "fast" and has_half_units()
    if half:
        network.halve(torch.bfloat16)
    try:
        if half:
            return HalfKernels()
        kernels = NativeKernels(precision)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("no compiled kernels", action="load", error=str(error)[:300])
        return Kernels()
    kernels.prepare(network)
    return kernels


class CpuRunner:
    """Satisfies `Runner`."""

    def __init__(self, network: Network, precision: str) -> None:
        self._network = network
        network.kernels = cpu_kernels(network, precision)
        gc.collect()  # loading left much behind, in pieces too small for what comes later
        trim_heap()
        log.info(
            "ready on the CPU",
            action="load",
            kernels=network.kernels.name,
            threads=torch.get_num_threads(),
            half_units=has_half_units(),
        )

    @property
    def batch_most(self) -> int:
        """One: more would only wait."""
        return 1

    @property
    def batch_phonemes(self) -> int:
        """The longest segment."""
        return MAX_PHONEMES

    def run(self, items: Sequence[Prepared]) -> list[SegmentAudio]:
        """Render each item by itself."""
        with torch.no_grad():
            return [self._render(item) for item in items]

    def _render(self, item: Prepared) -> SegmentAudio:
        tokens = pad_tokens([item], len(item.tokens))
        lengths = torch.tensor([len(item.tokens)])
        style = item.style.unsqueeze(0)
        spoken = self._network.text(tokens, lengths, style, torch.tensor([item.speed]), full=True)
        frames = spoken.durations.sum(1)
        width = int(frames)
        noise = torch.empty(1, HARMONICS, width * FRAME_SAMPLES)
        draw_noise(item.seed, noise[0], width)
        samples = self._network.speech(spoken, frames, width, style, noise, full=True)
        return as_audio(samples[0].numpy(), spoken.durations[0].numpy())
