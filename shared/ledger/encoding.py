"""How long encoding takes, by what the assemble workers measured of each encoder.

Kept apart are what an encoder costs the processor, which is much the same every time; how much
longer it takes beside whatever else the machine does, which is not; and all that goes on around it.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

LOUDNESS = "loudness"
"""Stands among the formats for measuring how loud a job is."""

SIZES = (1, 2, 3)
"""Classes of audio by length: below 100 s, below 1000 s, and longer."""

UNDISTURBED_S = 0.1
"""Seconds of encoding that go as if they had been undisturbed: the clock can't tell of less."""


@dataclass
class EncodingCost:
    """What one encoder took for one job.

    Attributes:
        audio_s: seconds of audio it was given, those of single chapters' files too.
        cpu_s: of the processor.
        wall_s: by the clock.
    """

    audio_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def add(self, *, audio_s: float = 0.0, cpu_s: float = 0.0, wall_s: float = 0.0) -> None:
        """Count some more."""
        self.audio_s += audio_s
        self.cpu_s += cpu_s
        self.wall_s += wall_s

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds of a block."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        self.add(wall_s=time.perf_counter() - wall_s, cpu_s=time.process_time() - cpu_s)


def encode_s(measured: Mapping[str, float], wanted: Iterable[str], audio_s: float) -> float | None:
    """Return seconds that encoding takes; None if one of the encoders was never measured.

    Args:
        measured: the ledger's hash `kc:encode`.
        wanted: a format for each file that is as long as the job, and `LOUDNESS`.
        audio_s: of the job.
    """
    cpu_s = 0.0
    for name in wanted:
        each = ratio(measured, f"{name}.cpu_s", f"{name}.audio_s")
        if each is None:
            return None
        cpu_s += audio_s * each
    wall, cpu = (measured.get(f"{name}_s", 0.0) + UNDISTURBED_S for name in ("wall", "cpu"))
    return cpu_s * max(1.0, wall / cpu) + audio_s * _around(measured, audio_s)


def _around(measured: Mapping[str, float], audio_s: float) -> float:
    """Return seconds that all but the encoders takes for a second of audio: less in long jobs."""
    wanted = int(math.log10(min(1000.0, max(10.0, audio_s))))
    # Of lengths that were not met, the longer one is nearer: it has less of what all have.
    for size in sorted(SIZES, key=lambda size: (abs(size - wanted), -size)):
        each = ratio(measured, f"around|{size}.s", f"around|{size}.audio_s")
        if each is not None:
            return each
    return 0.0


def ratio(sums: Mapping[str, float], over: str, under: str) -> float | None:
    """Return one sum over another; None where there is nothing to divide by."""
    below = sums.get(under, 0.0)
    return sums.get(over, 0.0) / below if below > 0 else None
