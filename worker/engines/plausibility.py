"""Whether audio can be speech for its phonemes, so that a hole in it is never a success.

The bounds are wide: they catch an engine that failed without raising (silence, not-a-number, one
word of a sentence, a runaway duration), not one that speaks badly.
"""

import numpy as np

from shared.errors import ImplausibleAudio
from shared.formats import SAMPLE_RATE_HZ
from worker.engines.base import SegmentAudio, SegmentInput

MIN_RMS = 1e-3
"""-60 dB of full scale; speech is near -23 dB, a whispering voice near -40 dB."""

MAX_PEAK = 8.0
"""Twice and thrice full scale happen on loud vowels and are clipped; more is an overflow."""

MAX_CLIPPED_SHARE = 0.3
"""Share of samples at or above full scale; loud speech has a few per cent."""

MIN_PHONEME_S = 0.0125
"""At speed 1: a fifth of ordinary speech (0.06 s). The model never goes below one frame of
0.025 s, and the stand-in's numbers and names are spoken from text, not from phonemes."""

MAX_PHONEME_S = 0.5
"""At speed 1: eight times ordinary speech. Punctuation may last that long, sentences may not."""

SLACK_S = 2.0
"""Silence around the speech, and short strings ("…" or one spelled-out symbol)."""


def check_audio(audio: SegmentAudio, segment: SegmentInput) -> None:
    """Raise unless `audio` could be `segment` spoken.

    Raises:
        ImplausibleAudio: it is not finite mono float32, is silent or overdriven, or its length
            is outside `MIN_PHONEME_S` to `MAX_PHONEME_S` a phoneme (divided by the speed).
    """
    samples = audio.samples
    if samples.dtype != np.float32 or samples.ndim != 1:
        raise ImplausibleAudio(f"Audio is {samples.dtype} {samples.shape}, not mono float32.")
    _check_length(samples.size / SAMPLE_RATE_HZ, segment)
    if not np.isfinite(samples).all():
        raise ImplausibleAudio("Audio holds samples that are not finite numbers.")
    # The deviation, not the power: a constant offset is silence too.
    rms = float(samples.std(dtype=np.float64))
    if rms < MIN_RMS:
        raise ImplausibleAudio(f"Audio is silent: RMS {rms:.1e} is below {MIN_RMS:.0e}.")
    levels = np.abs(samples)
    peak = float(levels.max())
    if peak > MAX_PEAK:
        raise ImplausibleAudio(f"Audio overflows: its peak is {peak:.3g} times full scale.")
    clipped = float((levels >= 0.999).mean())
    if clipped > MAX_CLIPPED_SHARE:
        raise ImplausibleAudio(f"Audio is clipped: {clipped:.0%} of it is at full scale.")


def _check_length(length_s: float, segment: SegmentInput) -> None:
    phonemes = len(segment.phonemes)
    shortest_s = phonemes * MIN_PHONEME_S / segment.speed
    longest_s = phonemes * MAX_PHONEME_S / segment.speed + SLACK_S
    if not shortest_s <= length_s <= longest_s:
        raise ImplausibleAudio(
            f"Audio of {length_s:.2f} s cannot be {phonemes} phonemes at speed {segment.speed:g}: "
            f"that takes {shortest_s:.2f} to {longest_s:.2f} s."
        )
