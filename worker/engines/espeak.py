"""The stand-in for machines without Kokoro's weights: intelligible speech from espeak-ng.

In: segments, of which it speaks the text. Out: 24 kHz audio that is plainly not Kokoro's. Every
real voice's name is there, each with a timbre of its own, so that integrations can be built.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.formats import SAMPLE_RATE_HZ
from shared.languages import Language
from shared.manifest import EngineManifest, EngineName
from shared.voices import VoiceMix
from worker.engines.base import MAX_PHONEMES, SegmentAudio, SegmentInput
from worker.engines.espeak_library import Speech, library_version, speak
from worker.engines.facts import voice_names

_CODE_VERSION = 1  # raise it when the same text would sound different

_ORDINARY_WPM = 175

_ESPEAK_NAMES = {
    Language.AMERICAN_ENGLISH: "en-us",
    Language.BRITISH_ENGLISH: "en",  # espeak-ng's plain English is the British one
    Language.SPANISH: "es",
    Language.FRENCH: "fr",
    Language.HINDI: "hi",
    Language.ITALIAN: "it",
    Language.BRAZILIAN_PORTUGUESE: "pt-br",
    Language.JAPANESE: "ja",  # reads kana well and kanji one by one
    Language.MANDARIN: "cmn",
}

_VARIANTS = {"f": ("f1", "f2", "f3", "f4", "f5"), "m": ("m1", "m2", "m3", "m4", "m6", "m7")}


@dataclass(frozen=True)
class Timbre:
    """How the stand-in tells one voice from another.

    Attributes:
        variant: one of espeak-ng's speakers.
        pitch: 35 to 70; 50 is the variant's own.
        pitch_range: 35 to 65; 50 is the variant's own.
    """

    variant: str
    pitch: float
    pitch_range: float


def timbre(voice: str) -> Timbre:
    """Return a voice's timbre, the same in every process: gender from its name's second letter."""
    digest = hashlib.sha256(f"timbre of {voice}".encode()).digest()
    variants = _VARIANTS[voice[1]]
    return Timbre(
        variant=variants[digest[0] % len(variants)],
        pitch=35 + digest[1] % 36,
        pitch_range=35 + digest[2] % 31,
    )


class EspeakEngine:
    """espeak-ng as an `Engine`. It has no random part, so a segment's seed changes nothing.

    The speed scales espeak-ng's 175 words a minute; beyond what it can do itself (80 to 450) its
    built-in time stretching takes over, at the cost of some roughness.
    """

    def __init__(self) -> None:
        version = library_version()
        self._manifest = EngineManifest(
            engine=EngineName.ESPEAK,
            model=f"espeak-ng {version}",
            fingerprint=_sha256(f"espeak-ng:{version}:{_CODE_VERSION}"),
            stand_in=True,
            precision="exact",
            voices={name: _sha256(f"{name}:{timbre(name)}") for name in voice_names()},
            uses_text=True,
        )

    @property
    def manifest(self) -> EngineManifest:
        """What was loaded."""
        return self._manifest

    @property
    def batch_most(self) -> int:
        """Many: it is fast, and a larger batch saves trips to the ledger."""
        return 64

    @property
    def batch_phonemes(self) -> int:
        """As many as `batch_most` of the longest have: nothing is padded."""
        return 64 * MAX_PHONEMES

    def device_memory(self) -> None:
        """Nothing: there is no device."""

    def forward(self, segments: Sequence[SegmentInput]) -> list[SegmentAudio]:
        """Speak each segment's text; a text without anything to say gives next to no audio.

        Raises:
            EngineFailed: espeak-ng reported an error.
            UnknownVoice: a segment names a voice that is not loaded.
        """
        for segment in segments:
            segment.voice.check(self._manifest.voices)
        return [SegmentAudio(samples=_render(segment), durations=None) for segment in segments]


def _render(segment: SegmentInput) -> NDArray[np.float32]:
    blend = _blend(segment.voice)
    speech = Speech(
        text=_plain(segment.text),
        voice=f"{_ESPEAK_NAMES[segment.language]}+{blend.variant}",
        rate_wpm=max(1, round(_ORDINARY_WPM * segment.speed)),
        pitch=round(blend.pitch),
        pitch_range=round(blend.pitch_range),
    )
    samples, rate_hz = speak(speech)
    return resample(samples.astype(np.float32) / np.float32(32768), rate_hz)


def _blend(voice: VoiceMix) -> Timbre:
    """Return a mix's timbre: the heaviest voice's variant, and everyone's pitch by weight."""
    parts = [(timbre(name), weight) for name, weight in voice.parts]
    return Timbre(
        variant=timbre(voice.main).variant,
        pitch=sum(part.pitch * weight for part, weight in parts),
        pitch_range=sum(part.pitch_range * weight for part, weight in parts),
    )


def _plain(text: str) -> str:
    """Return the text without control characters (commands to espeak-ng) and lone surrogates."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def resample(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Return float32 audio at 24 000 Hz, within [-1, 1].

    The spectrum is cut or extended and transformed back: exact for a band-limited signal. The
    audio is padded to a length that has a whole number of samples at both rates.
    """
    if samples.size == 0:
        return samples
    divisor = int(np.gcd(rate_hz, SAMPLE_RATE_HZ))
    blocks = -(-samples.size // (rate_hz // divisor))
    size_in = blocks * (rate_hz // divisor)
    size_out = blocks * (SAMPLE_RATE_HZ // divisor)
    spectrum = np.fft.rfft(samples, size_in)
    resampled = np.fft.irfft(spectrum, size_out) * (size_out / size_in)
    wanted = round(samples.size * SAMPLE_RATE_HZ / rate_hz)
    return np.clip(resampled[:wanted], -1, 1).astype(np.float32)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
