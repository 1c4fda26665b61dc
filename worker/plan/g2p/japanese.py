"""Japanese through misaki's Cutlet: MeCab's readings, written in phonemes."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from shared.alphabet import is_audible
from shared.errors import LanguageUnavailable
from shared.languages import Language
from worker.plan.g2p.base import Pronunciation, join_around
from worker.plan.g2p.foreign_words import EnglishWithin
from worker.plan.g2p.scripts import drop_foreign, plain_digits
from worker.plan.g2p.third_party import load, missing
from worker.plan.g2p.word_spans import locate
from worker.plan.markup import Override

_PACKAGES = ("misaki", "fugashi", "jaconv", "mojimoji")
_EXTRA = "pip install 'kokoro-cluster[ja]'"
_DIGITS = ("ゼロ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_FRACTION = re.compile(r"(?<=\d)\.(\d+)")
_TOO_LONG = re.compile(r"\d{10,}")  # misaki's reader of numbers knows nine digits.


class JapaneseG2P:
    """Japanese with the full UniDic where it was downloaded, else with the small one."""

    def __init__(self) -> None:
        absent = missing(*_PACKAGES)
        if absent:
            raise LanguageUnavailable(
                f"Japanese needs {', '.join(absent)}: {_EXTRA}", param="language"
            )
        folder, self._degraded = _find_dictionary()
        cutlet = load("misaki.cutlet")
        # misaki's constructor would look for the full UniDic only.
        self._cutlet = object.__new__(cutlet.Cutlet)
        self._cutlet.tagger = load("fugashi").Tagger(f'-r "{folder}/mecabrc" -d "{folder}"')
        self._cutlet.table = dict(cutlet.HEPBURN)
        self._cutlet.exceptions = {}
        self._cutlet._romaji_word = self._read_word
        self._read = cutlet.Cutlet._romaji_word
        self._unknown: list[str] = []
        self._read_words: list[tuple[str, str]] = []
        self._speak_mixed = EnglishWithin(self._speak)

    @property
    def degraded(self) -> str | None:
        """None when the full UniDic is installed."""
        return self._degraded

    def pronounce(self, text: str, overrides: Sequence[Override] = ()) -> Pronunciation:
        """Pronounce a sentence; see `G2P.pronounce`."""
        readable, foreign = drop_foreign(text, overrides, Language.JAPANESE)
        said = join_around(plain_digits(readable), overrides, self._speak_mixed)
        return Pronunciation(said.phonemes, foreign + said.unknown, words=said.words)

    def _speak(self, text: str) -> Pronunciation:
        self._unknown, self._read_words = [], []
        phonemes, _ = self._cutlet(_numbers_in_kana(text))
        # Cutlet writes parentheses as angles, which the model can't read.
        phonemes = phonemes.replace("«", "(").replace("»", ")")
        words = locate(text, _places(self._read_words, phonemes))
        return Pronunciation(phonemes, tuple(self._unknown), words=words)

    def _read_word(self, word: Any) -> str:
        """Read one of MeCab's words, and remember it when misaki has no reading for it."""
        try:
            phonemes: str = self._read(self._cutlet, word)
        except (AssertionError, LookupError):  # A stray small kana or a digit of its own kind.
            phonemes = ""
        spoken = any(map(str.isalnum, word.surface)) and word.surface not in ("ー", "っ", "ッ")
        if spoken and not is_audible(phonemes):
            self._unknown.append(word.surface)
        self._read_words.append((word.surface, phonemes))
        return phonemes


def _places(read: Sequence[tuple[str, str]], phonemes: str) -> Iterator[tuple[str, int, int]]:
    """Yield each word with its place in what Cutlet made of all."""
    position = 0
    for surface, reading in read:
        first = -1
        # Cutlet puts spaces in and takes them out, and leaves out a small tsu without a reading.
        for symbol in reading:
            at = phonemes.find(symbol, position, position + 3)
            if at >= 0:
                first = at if first < 0 else first
                position = at + 1
        yield surface, max(first, 0), position if first >= 0 else 0


def _numbers_in_kana(text: str) -> str:
    text = text.replace("％", "%").replace("．", ".").replace("，", ",")
    if not any(map(str.isdigit, text)):
        return text
    text = _GROUPED.sub("", text)
    text = _FRACTION.sub(lambda match: "てん" + _digit_by_digit(match[1]), text)
    text = _TOO_LONG.sub(lambda match: _digit_by_digit(match[0]), text)
    return re.sub(r"(?<=\w)\s?%", "パーセント", text)


def _digit_by_digit(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


def _find_dictionary() -> tuple[str, str | None]:
    """Return MeCab's dictionary folder and, for the small one, what is missing."""
    for package in ("unidic", "unidic_lite"):
        if missing(package):
            continue
        folder: str = load(package).DICDIR
        if os.path.exists(os.path.join(folder, "mecabrc")):
            lite = "The full UniDic gives better readings of names: python -m unidic download"
            return folder, lite if package == "unidic_lite" else None
    raise LanguageUnavailable(
        f"Japanese needs a MeCab dictionary: {_EXTRA} unidic-lite, or python -m unidic download",
        param="language",
    )
