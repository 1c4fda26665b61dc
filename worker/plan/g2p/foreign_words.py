"""English words inside Japanese and Chinese text."""

import re
from collections.abc import Callable

from shared.languages import Language
from worker.plan.g2p.base import Pronunciation
from worker.plan.g2p.english import EnglishG2P
from worker.plan.g2p.word_spans import moved, without

_LATIN = re.compile(r"[A-Za-zÀ-ɏ](?:[A-Za-zÀ-ɏ'’.&\- ]*[A-Za-zÀ-ɏ])?")

_NEEDLESS_SPACE = re.compile(r" (?=[,.;:!?…)”])|(?<=[(“]) ")


class EnglishWithin:
    """Speaks Latin words as American English and leaves the rest to `speak`.

    Upstream passes the bare letters to the model, which reads them as phonemes. The lexicon is
    loaded at the first such word.
    """

    def __init__(self, speak: Callable[[str], Pronunciation]) -> None:
        self._speak = speak
        self._english: EnglishG2P | None = None

    def __call__(self, text: str) -> Pronunciation:
        """Pronounce text of mixed scripts."""
        parts: list[tuple[int, Pronunciation]] = []
        position = 0
        for match in _LATIN.finditer(text):
            parts.append((position, self._speak_if_any(text[position : match.start()])))
            if self._english is None:
                self._english = EnglishG2P(Language.AMERICAN_ENGLISH)
            parts.append((match.start(), self._english.pronounce(match[0])))
            position = match.end()
        parts.append((position, self._speak_if_any(text[position:])))
        unknown = tuple(word for _, part in parts for word in part.unknown)
        phonemes, words = "", []
        for start, part in parts:
            if part.phonemes:
                phonemes += " " if phonemes else ""
                words += [word.shifted(start, len(phonemes)) for word in part.words]
                phonemes += part.phonemes
        phonemes, places = without(_NEEDLESS_SPACE, phonemes)
        return Pronunciation(phonemes, unknown, words=moved(words, places))

    def _speak_if_any(self, text: str) -> Pronunciation:
        return self._speak(text) if text.strip() else Pronunciation("")
