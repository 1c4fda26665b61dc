"""How long speech is for its phonemes, as this cluster measures it for each voice.

Kokoro's durations go with 1 / speed, so what is kept is at speed 1.
"""

from collections.abc import Iterable, Mapping

from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.messages import RenderedSegment
from shared.voices import parse_voice

PRIOR_S_PER_PHONEME = 0.068
"""Where nothing was measured: 250 phonemes, a usual segment, are some 17 s of Kokoro's speech."""

ALL = "*"
"""Stands for all voices, mixes of them too."""

LEAST_PHONEMES = 500
"""Of a voice, before what was measured of it is believed."""


def speech_of(rendered: Iterable[RenderedSegment]) -> dict[str, list[float]]:
    """Return voice → [seconds at speed 1, phonemes] of some segments, and of all of them."""
    found: dict[str, list[float]] = {}
    for item in rendered:
        payload = item.claim.payload
        voices = [name for name, _ in parse_voice(payload.voice).parts]
        # Mixes are as many as clients think of: only what bears a voice's own name is kept.
        for name in (ALL, *(voices if len(voices) == 1 else ())):
            sums = found.setdefault(name, [0.0, 0.0])
            sums[0] += item.samples / SAMPLE_RATE_HZ * payload.speed
            sums[1] += len(payload.phonemes)
    return found


def s_per_phoneme(measured: Mapping[str, str], voice: str) -> float:
    """Return seconds of audio a phoneme at speed 1, as measured or else the prior.

    Args:
        measured: the ledger's hash `kc:speech`.
        voice: as in a job, a name or a mix.
    """
    for name in (voice, ALL):
        phonemes = float(measured.get(f"{name}.phonemes", 0))
        if phonemes >= LEAST_PHONEMES:
            return float(measured[f"{name}.s"]) / phonemes
    return PRIOR_S_PER_PHONEME
