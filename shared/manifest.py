"""What a synth worker says of its engine, so that others need not load it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.errors import UnknownVoice
from shared.voices import VoiceMix


class EngineName(StrEnum):
    """The engines that turn segments into audio."""

    KOKORO = "kokoro"
    """The Kokoro-82M model."""
    ESPEAK = "espeak"
    """The stand-in for machines without weights: intelligible, but not Kokoro."""
    SCRIPTED = "scripted"
    """A double for tests and load benchmarks: tones of believable length, and faults on demand."""


@dataclass(frozen=True)
class EngineManifest:
    """One engine as loaded: enough to validate a request and to hash a segment.

    Attributes:
        engine: which engine.
        model: the name shown to clients, for example `hexgrad/Kokoro-82M` or a folder's name.
        fingerprint: 64 hex digits over configuration, weights and code version: all that shapes
            the audio but the voice, the text and the speed.
        stand_in: True when the audio is not Kokoro's.
        precision: `exact` or `fast`.
        voices: voice name → 64 hex digits over its pack.
        uses_text: True when the audio depends on a segment's text and not only on its phonemes.
    """

    engine: EngineName
    model: str
    fingerprint: str
    stand_in: bool
    precision: str
    voices: dict[str, str]
    uses_text: bool = False

    def stamp(self, mix: VoiceMix, others: Mapping[str, VoiceMix] | None = None) -> "EngineStamp":
        """Return the part of this that one job depends on.

        Args:
            mix: the job's voice.
            others: those that marks in its input name, by what the marks say.

        Raises:
            UnknownVoice: a mix names a voice that is not loaded.
        """
        return EngineStamp(
            self.fingerprint,
            mix.fingerprint(self.voices),
            self.uses_text,
            {name: other.fingerprint(self.voices) for name, other in (others or {}).items()},
        )

    def to_json(self) -> str:
        """Encode for the ledger."""
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "EngineManifest":
        """Decode what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "engine": EngineName(fields["engine"])})


@dataclass(frozen=True)
class EngineStamp:
    """What a job's segments depend on besides their text; kept with the job.

    Attributes:
        fingerprint: of the engine.
        voice: fingerprint of the voice mix.
        uses_text: True when the audio depends on the text and not only on its phonemes.
        voices: of each voice that a mark in the input names, its fingerprint.
    """

    fingerprint: str
    voice: str
    uses_text: bool
    voices: dict[str, str] = field(default_factory=dict)

    def of(self, voice: str) -> str:
        """Return the fingerprint of the voice a mark names, or of the job's own for ''.

        Raises:
            UnknownVoice: no mark of the input did when it was checked.
        """
        if not voice:
            return self.voice
        if voice not in self.voices:
            raise UnknownVoice(f"The voice {voice[:100]!r} was not there at submission.")
        return self.voices[voice]

    def to_json(self) -> str:
        """Encode for the ledger; without marks, as ever."""
        fields = {name: value for name, value in vars(self).items() if name != "voices" or value}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "EngineStamp":
        """Decode what `to_json` wrote."""
        return cls(**json.loads(text))
