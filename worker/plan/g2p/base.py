"""What every language's G2P promises."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.alphabet import is_audible
from worker.plan.markup import Override


@dataclass(frozen=True)
class Pronunciation:
    """How a stretch of text is said.

    Attributes:
        phonemes: misaki's, not yet filtered to the model's alphabet; may be empty.
        unknown: the words that have no sound in `phonemes`, in order.
        guessed: words that stand in no dictionary, each with how rules have it said; only where
            the language has a dictionary.
    """

    phonemes: str
    unknown: tuple[str, ...] = ()
    guessed: tuple[tuple[str, str], ...] = ()


class G2P(Protocol):
    """The G2P of one language: built once per process, used by one thread."""

    @property
    def degraded(self) -> str | None:
        """What is missing for the best pronunciation and how to get it; None when all is there."""
        ...

    def pronounce(self, text: str, overrides: Sequence[Override] = ()) -> Pronunciation:
        """Pronounce a sentence or a part of one; nothing of it is truncated.

        Args:
            text: at most some 1,000 characters, without line ends.
            overrides: what the author prescribes, ascending, without overlap.
        """
        ...


def join_around(
    text: str, overrides: Sequence[Override], speak: Callable[[str], Pronunciation]
) -> Pronunciation:
    """Pronounce what lies between the overrides with `speak` and put their phonemes in place.

    Overrides without phonemes ask for what only English has, and change nothing.
    """
    parts: list[str] = []
    unknown: list[str] = []
    position = 0
    for override in (*overrides, None):
        end = len(text) if override is None else override.start
        if override is not None and not override.phonemes:
            continue
        between = text[position:end]
        said = speak(between) if between.strip() else Pronunciation("")
        unknown.extend(said.unknown)
        left = " " if between[:1].isspace() else ""
        right = " " if between[-1:].isspace() else ""
        parts.append(left + said.phonemes.strip() + right)
        if override is not None:
            parts.append(override.phonemes)
            if not is_audible(override.phonemes):
                unknown.append(text[override.start : override.end])
            position = override.end
    return Pronunciation(re.sub(r"\s+", " ", "".join(parts)).strip(), tuple(unknown))
