"""Mandarin through jieba's words and pypinyin's readings, as misaki's ZHG2P puts them together."""

import logging
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from shared.errors import LanguageUnavailable
from shared.languages import Language
from worker.plan.g2p.base import Pronunciation, join_around
from worker.plan.g2p.foreign_words import EnglishWithin
from worker.plan.g2p.scripts import drop_foreign, plain_digits
from worker.plan.g2p.third_party import load, missing
from worker.plan.g2p.word_spans import locate
from worker.plan.markup import Override

_PACKAGES = ("misaki", "jieba", "pypinyin", "cn2an", "ordered_set")
_HAN = re.compile(r"([〇㐀-䶿一-鿿豈-\ufaff\U00020000-\U000323af]+)")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_PUNCTUATION = str.maketrans({
    "『": "「", "』": "」", "〈": "《", "〉": "》", "｡": "。", "〔": "（", "〕": "）", "～": "—",
    "％": "%", "／": "/",
})  # fmt: skip
_COMBINING_BELOW = chr(815)  # misaki's mark of a syllabic nasal; upstream removes it.


class MandarinG2P:
    """Mandarin as upstream's pipeline for Kokoro-82M pronounces it."""

    degraded: str | None = None

    def __init__(self) -> None:
        absent = missing(*_PACKAGES)
        if absent:
            raise LanguageUnavailable(
                f"Mandarin needs {', '.join(absent)}: pip install 'kokoro-cluster[zh]'",
                param="language",
            )
        self._misaki = load("misaki.zh").ZHG2P
        # Composing a word's phonemes takes misaki a millisecond, and words come again.
        self._word_to_phonemes = lru_cache(maxsize=20_000)(self._misaki.word2ipa)
        self._jieba = load("jieba")
        self._jieba.setLogLevel(logging.WARNING)
        self._to_hanzi = load("cn2an").transform
        self._speak_mixed = EnglishWithin(self._speak)

    def pronounce(self, text: str, overrides: Sequence[Override] = ()) -> Pronunciation:
        """Pronounce a sentence; see `G2P.pronounce`."""
        readable, foreign = drop_foreign(text, overrides, Language.MANDARIN)
        said = join_around(plain_digits(readable), overrides, self._speak_mixed)
        return Pronunciation(said.phonemes, foreign + said.unknown, words=said.words)

    def _speak(self, text: str) -> Pronunciation:
        source = text
        text = self._misaki.map_punctuation(self._numbers(text.translate(_PUNCTUATION)))
        phonemes = ""
        unknown: list[str] = []
        words: list[tuple[str, int, int]] = []
        for i, run in enumerate(_HAN.split(text)):
            if i % 2 == 0:  # What stands between the runs of Chinese.
                phonemes += run.replace(_COMBINING_BELOW, "")
                continue
            space = ""
            for word in self._jieba.lcut(run):
                said = self._say_word(word, unknown).replace(_COMBINING_BELOW, "")
                first = len(phonemes) + len(space)
                words.append((word, first, first + len(said)))
                if said:
                    phonemes += space + said
                    space = " "
        return Pronunciation(phonemes, tuple(unknown), words=locate(source, words))

    def _say_word(self, word: str, unknown: list[str]) -> str:
        try:
            return str(self._word_to_phonemes(word))
        except (AssertionError, LookupError, ValueError):
            if len(word) == 1:  # pypinyin has no reading.
                unknown.append(word)
                return ""
        return "".join(self._say_word(character, unknown) for character in word)

    def _numbers(self, text: str) -> str:
        if not any(map(str.isdigit, text)):
            return text
        text = _GROUPED.sub("", text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cn2an's, about numbers it leaves as they are
            # Numbers it has no name for are read digit by digit.
            with suppress(LookupError, ValueError):
                text = str(self._to_hanzi(text, "an2cn"))
        return text.translate(_DIGITS)
