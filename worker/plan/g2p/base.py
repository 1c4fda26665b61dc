"""What every language's G2P promises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.alphabet import is_audible
from worker.plan.g2p.word_spans import WordSpan, moved, squeezed
from worker.plan.markup import Override


@dataclass(frozen=True)
class Pronunciation:
    """How a stretch of text is said.

    Attributes:
        phonemes: misaki's, not yet filtered to the model's alphabet; may be empty.
        unknown: the words that have no sound in `phonemes`, in order.
        guessed: words that stand in no dictionary, each with how rules have it said; only where
            the language has a dictionary.
        words: those that have one, ascending, without overlap.
    """

    phonemes: str
    unknown: tuple[str, ...] = ()
    guessed: tuple[tuple[str, str], ...] = ()
    words: tuple[WordSpan, ...] = ()

    def stripped(self) -> "Pronunciation":
        """Return the same without white space around the phonemes."""
        phonemes = self.phonemes.strip()
        before = len(self.phonemes) - len(self.phonemes.lstrip())
        last = len(phonemes)
        # A silent word may stand where white space was.
        places = [min(max(i - before, 0), last) for i in range(len(self.phonemes) + 1)]
        return replace(self, phonemes=phonemes, words=moved(self.words, places))


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
    words: list[WordSpan] = []
    position = length = 0
    for override in (*overrides, None):
        end = len(text) if override is None else override.start
        if override is not None and not override.phonemes:
            continue
        between = text[position:end]
        said = speak(between).stripped() if between.strip() else Pronunciation("")
        unknown.extend(said.unknown)
        left = " " if between[:1].isspace() else ""
        right = " " if between[-1:].isspace() else ""
        words += [word.shifted(position, length + len(left)) for word in said.words]
        parts.append(left + said.phonemes + right)
        length += len(parts[-1])
        if override is not None:
            parts.append(override.phonemes)
            after = length + len(override.phonemes)
            words.append(WordSpan(override.start, override.end, length, after))
            length = after
            if not is_audible(override.phonemes):
                unknown.append(text[override.start : override.end])
            position = override.end
    phonemes, places = squeezed("".join(parts))
    return Pronunciation(phonemes, tuple(unknown), words=moved(words, places))
