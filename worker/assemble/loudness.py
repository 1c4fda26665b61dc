"""How loud a job is, in one pass and bounded memory, and by how much that has to change.

The meter is FFmpeg's `ebur128`: integrated loudness by ITU-R BS.1770-4 (K-weighting, blocks of
400 ms every 100 ms, an absolute gate at -70 LUFS and a relative one 10 LU below), from a histogram
of 0.01 LU, and the true peak from fourfold oversampling. The whole job is one programme: all of it
gets the same gain, so that nothing of the speech's own rise and fall changes.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.encoding import EncodingCost

PEAK_MOST_DBFS = -1.0
"""No louder than this is any true peak made: lossy decoders overshoot a little."""

SILENT_LUFS = -70.0
"""At or below the absolute gate there is no loudness to speak of."""

_PEAK_STEP = 0.0005
"""The meter tells its peak in thousandths, rounded."""


@dataclass(frozen=True)
class Loudness:
    """What was measured.

    Attributes:
        lufs: integrated loudness; None when all of it is silent or it is shorter than 400 ms.
        peak_dbfs: of the true peak; -inf for digital silence.
    """

    lufs: float | None
    peak_dbfs: float


@dataclass(frozen=True)
class Gain:
    """By how much the samples are to be multiplied.

    Attributes:
        factor: above 0.
        limited: whether it is less than was asked for, so that no peak is clipped.
        reached_lufs: how loud that makes it; None when that is not known.
    """

    factor: float
    limited: bool
    reached_lufs: float | None


class LoudnessMeter:
    """Takes blocks in order; holds none of them."""

    def __init__(self) -> None:
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(
            sample_rate=SAMPLE_RATE_HZ,
            format="s16",
            layout="mono",
            time_base=Fraction(1, SAMPLE_RATE_HZ),
        )
        meter = self._graph.add("ebur128", "metadata=1:peak=true")
        source.link_to(meter)
        meter.link_to(self._graph.add("abuffersink"))
        self._graph.configure()
        self._samples = 0
        self._last: dict[str, str] = {}

    def write(self, block: NDArray[np.int16]) -> None:
        """Measure the next samples: int16, (samples,), mono, 24 000 Hz, at most a second."""
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._samples
        self._samples += block.size
        self._graph.push(frame)
        self._pull()

    def close(self) -> Loudness:
        """Return what was measured; nothing may be written any more."""
        if self._samples:
            self._graph.push(None)
            self._pull()
        lufs = float(self._last.get("lavfi.r128.I", SILENT_LUFS))
        peak = float(self._last.get("lavfi.r128.true_peak", 0.0))
        return Loudness(
            lufs if lufs > SILENT_LUFS else None,
            20 * math.log10(peak + _PEAK_STEP) if peak > 0 else -math.inf,
        )

    def _pull(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._last = dict(frame.metadata) or self._last


def measure(blocks: Iterable[NDArray[np.int16]], cost: EncodingCost | None = None) -> Loudness:
    """Return how loud blocks of samples are together, as `LoudnessMeter` takes them.

    Args:
        blocks: int16 each.
        cost: gets what measuring took, without what the blocks did.
    """
    meter, cost = LoudnessMeter(), cost or EncodingCost()
    for block in blocks:
        if block.size:
            with cost.timed():
                meter.write(block)
            cost.add(audio_s=block.size / SAMPLE_RATE_HZ)
    return meter.close()


def gain_to(target_lufs: float, found: Loudness) -> Gain:
    """Return the gain that makes what was measured as loud as is wanted, its peaks permitting.

    Where a peak would pass `PEAK_MOST_DBFS` the gain is less: a limiter would reach the target, but
    by changing the sound, and where only speech is heard a quieter file is the lesser fault.
    """
    if found.lufs is None:
        return Gain(1.0, limited=False, reached_lufs=None)
    wanted_db = target_lufs - found.lufs
    gain_db = min(wanted_db, PEAK_MOST_DBFS - found.peak_dbfs)
    return Gain(10 ** (gain_db / 20), gain_db < wanted_db, found.lufs + gain_db)


def amplified(blocks: Iterable[NDArray[np.int16]], factor: float) -> Iterator[NDArray[np.int16]]:
    """Yield the blocks times `factor`, rounded half to even and clipped to 16 bits."""
    for block in blocks:
        if factor == 1.0:
            yield block
        else:
            scaled = np.rint(block * np.float32(factor))
            yield np.clip(scaled, -32_768, 32_767).astype(np.int16)
