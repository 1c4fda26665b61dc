"""Which letters a language's G2P can read.

espeak spells what it can't read: a Russian word in English text becomes letters' names, a Chinese
one "Chinese letter, Chinese letter". Such runs are left out instead, and reported.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

from shared.languages import Language
from worker.plan.g2p.third_party import load
from worker.plan.markup import Override

_SCRIPTS: dict[Language, tuple[str, ...]] = {
    Language.HINDI: ("Latin", "Greek", "Devanagari"),
    Language.JAPANESE: ("Latin", "Greek", "Han", "Hiragana", "Katakana"),
    Language.MANDARIN: ("Latin", "Greek", "Han"),
}
_LATIN_ONLY = ("Latin", "Greek")  # Greek letters are named in every language: α, β, π.


@cache
def _foreign(language: Language) -> Any:
    scripts = (*_SCRIPTS.get(language, _LATIN_ONLY), "Common", "Inherited")
    known = "".join(rf"\p{{Script={script}}}" for script in scripts)
    return load("regex").compile(rf"(?:(?=\p{{L}})[^{known}][\p{{M}}\u200c\u200d]*)+")


def drop_foreign(
    text: str, overrides: Sequence[Override], language: Language
) -> tuple[str, tuple[str, ...]]:
    """Blank the runs of letters that `language` can't read.

    Returns:
        The text, as long as before, and the runs; what an override stands over is never one.
    """
    if text.isascii():
        return text, ()
    runs = [
        match.span()
        for match in _foreign(language).finditer(text)
        if not any(o.phonemes and o.start <= match.start() < o.end for o in overrides)
    ]
    kept = text
    for start, end in runs:
        kept = kept[:start] + " " * (end - start) + kept[end:]
    return kept, tuple(text[start:end] for start, end in runs)


def plain_digits(text: str) -> str:
    """Write the digits of every script, circled ones too, as 0 to 9; the length stays."""
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.digit(char)) if char.isdigit() and char not in "¹²³" else char
        for char in text
    )
