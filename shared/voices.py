"""Voices and their mixes: `af_heart`, or `af_bella(2)+af_sky(1)`."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import InvalidInput, UnknownVoice

MAX_MIX = 8
"""How many voices one mix may have."""

_PART = re.compile(r"([A-Za-z0-9_]{1,64})(?:\((\d{1,4}(?:\.\d{1,10})?)\))?")


@dataclass(frozen=True)
class VoiceMix:
    """A weighted mean of voice packs.

    Attributes:
        parts: (voice name, weight) in the order of their names; weights are positive and sum to 1.
    """

    parts: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        if len(self.parts) == 1:
            return self.parts[0][0]
        return "+".join(f"{name}({weight:.10f})" for name, weight in self.parts)

    @property
    def main(self) -> str:
        """The heaviest voice, the first by name among equals."""
        return max(self.parts, key=lambda part: part[1])[0]

    def fingerprint(self, voices: Mapping[str, str]) -> str:
        """Hash what the mix is made of: 64 hex digits.

        Args:
            voices: voice name → fingerprint of its pack, as in `EngineManifest.voices`.

        Raises:
            UnknownVoice: a part is not among `voices`.
        """
        self.check(voices)
        text = ";".join(f"{voices[name]}*{weight!r}" for name, weight in self.parts)
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self, voices: Mapping[str, str]) -> None:
        """Raise `UnknownVoice` unless every part is among `voices`."""
        for name, _ in self.parts:
            if name not in voices:
                raise UnknownVoice(
                    f"Unknown voice {name!r}. GET /v1/voices lists those loaded.", param="voice"
                )


def parse_voice(text: str) -> VoiceMix:
    """Parse `name`, `name+name` or `name(weight)+name(weight)`; a missing weight is 1.

    Raises:
        InvalidInput: the text is not a voice or a mix, repeats a voice, or weighs nothing.
    """
    weights: dict[str, float] = {}
    for part in text.strip().split("+"):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise InvalidInput(
                f"Malformed voice {text[:100]!r}. Write a name, or a mix like "
                "'af_bella(2)+af_sky(1)'.",
                param="voice",
            )
        if match[1] in weights:
            raise InvalidInput(f"The mix names {match[1]!r} twice.", param="voice")
        weights[match[1]] = float(match[2] or 1)
    total = sum(weights.values())
    if min(weights.values()) <= 0 or len(weights) > MAX_MIX:
        raise InvalidInput(
            f"A mix has 1 to {MAX_MIX} voices, each with a weight above 0.", param="voice"
        )
    return VoiceMix(tuple(sorted((name, weight / total) for name, weight in weights.items())))
