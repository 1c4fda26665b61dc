"""Spanish, French, Hindi, Italian and Brazilian Portuguese through espeak-ng."""

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from shared.alphabet import is_audible
from shared.errors import LanguageUnavailable
from shared.languages import Language
from worker.plan.g2p.alignment import align, runs_of, words_of
from worker.plan.g2p.base import Pronunciation, join_around
from worker.plan.g2p.scripts import drop_foreign, plain_digits
from worker.plan.g2p.third_party import load, missing
from worker.plan.g2p.word_spans import WordSpan
from worker.plan.markup import Override

VOICES: dict[Language, str] = {
    Language.SPANISH: "es",
    Language.FRENCH: "fr-fr",
    Language.HINDI: "hi",
    Language.ITALIAN: "it",
    Language.BRAZILIAN_PORTUGUESE: "pt-br",
}
"""espeak's names of the languages, as upstream's pipeline has them."""

MAX_RUN_CHARS = 60
"""espeak forgets what a word has beyond some 200 bytes, without a word about it."""

_DECIMAL_WORDS = {
    Language.SPANISH: "coma",
    Language.FRENCH: "virgule",
    Language.HINDI: "दशमलव",
    Language.ITALIAN: "virgola",
    Language.BRAZILIAN_PORTUGUESE: "vírgula",
}
_LONG_RUN = re.compile(rf"(\S{{{MAX_RUN_CHARS}}})(?=\S)")
_SWITCH_FLAG = re.compile(r"\([a-zɔ]{2,3}(?:-[A-Za-z]+)*\)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.]*\d)")
_DECIMAL = re.compile(r"(?<![\d.,])(\d+)[.,](\d+)(?![.,]?\d)")
_INDIAN_COMMAS = re.compile(r"(?<=\d),(?=(?:\d\d,)*\d{3}\b)")
_STOPS = str.maketrans({
    "।": ".", "॥": ".", "。": ".", "．": ".", "｡": ".", "！": "!", "？": "?",
    "，": ",", "、": ",", "；": ";", "：": ":",
})  # fmt: skip


def load_espeak() -> Any:
    """Import `misaki.espeak`, whose library counts words in its log and counts them wrong."""
    logging.getLogger("phonemizer").setLevel(logging.ERROR)
    return load("misaki.espeak")


def break_long_runs(text: str) -> str:
    """Put a space into every run of characters too long for espeak to remember."""
    return _LONG_RUN.sub(r"\1 ", text) if len(text) > MAX_RUN_CHARS else text


def drop_switch_flags(phonemes: str) -> str:
    """Remove the marks, like `(en)`, that espeak leaves where it changes its language."""
    return _SWITCH_FLAG.sub("", phonemes) if "(" in phonemes else phonemes


class EspeakG2P:
    """A language whose phonemes upstream takes from espeak."""

    degraded: str | None = None

    def __init__(self, language: Language) -> None:
        absent = missing("misaki", "phonemizer", "espeakng_loader")
        if absent:
            raise LanguageUnavailable(
                f"{language} needs {', '.join(absent)}: pip install 'kokoro-cluster[plan]'",
                param="language",
            )
        self._language = language
        self._g2p = load_espeak().EspeakG2P(language=VOICES[language])
        self._alone = lru_cache(maxsize=20_000)(self._phonemes)

    def pronounce(self, text: str, overrides: Sequence[Override] = ()) -> Pronunciation:
        """Pronounce a sentence; see `G2P.pronounce`."""
        readable, foreign = drop_foreign(text, overrides, self._language)
        said = join_around(readable, overrides, self._speak)
        return Pronunciation(said.phonemes, foreign + said.unknown, words=said.words)

    def _speak(self, text: str) -> Pronunciation:
        phonemes = self._phonemes(text)
        if is_audible(phonemes) or not any(map(str.isalnum, text)):
            return Pronunciation(phonemes, words=self._words(text, phonemes))
        return Pronunciation("", tuple(re.findall(r"\w+", text)))

    def _phonemes(self, text: str) -> str:
        plain = break_long_runs(self._numbers(plain_digits(text).translate(_STOPS)))
        return drop_switch_flags(self._g2p(plain)[0])

    def _words(self, text: str, phonemes: str) -> tuple[WordSpan, ...]:
        words, runs = words_of(text), runs_of(phonemes)
        if len(words) == len(runs):
            return tuple(WordSpan(*word, *run) for word, run in zip(words, runs, strict=True))
        return align(words, [self._alone(text[start:end]) for start, end in words], phonemes)

    def _numbers(self, text: str) -> str:
        """Write decimals in words: what cuts the text at punctuation would cut 3,14 in two."""
        if not any(map(str.isdigit, text)):
            return text
        if self._language is Language.HINDI:
            text = _INDIAN_COMMAS.sub("", text)
        else:
            text = _THOUSANDS.sub(lambda match: match[0].replace(".", ""), text)
        return _DECIMAL.sub(rf"\1 {_DECIMAL_WORDS[self._language]} \2", text)
