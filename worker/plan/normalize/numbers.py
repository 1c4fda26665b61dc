"""Numbers with signs between them: fractions, ranges, telephone numbers; and written ordinals."""

import re
from collections.abc import Iterator

from num2words import num2words

from shared.languages import Language
from worker.plan.rewriting import Change

_ENGLISH = (Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH)
_TO = {
    Language.AMERICAN_ENGLISH: "to",
    Language.BRITISH_ENGLISH: "to",
    Language.SPANISH: "a",
    Language.FRENCH: "à",
    Language.HINDI: "से",
    Language.ITALIAN: "a",
    Language.BRAZILIAN_PORTUGUESE: "a",
}
_RANGE = re.compile(r"(?<![\w.,:/–-])(\d{1,4})(?:-|\s?–\s?)(\d{1,4})(?![\w/–-]|[.,:]\d)")
_FRACTION = re.compile(r"(?<![\w.,/])([1-7])/([2-8])(?![\w/]|[.,]\d)")
_FRACTIONS = {
    "1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter",
    "3/4": "three quarters", "1/5": "one fifth", "2/5": "two fifths", "3/5": "three fifths",
    "4/5": "four fifths", "1/8": "one eighth", "3/8": "three eighths", "5/8": "five eighths",
    "7/8": "seven eighths",
}  # fmt: skip
"""Not 5/6 or 4/7, which are days as often."""
_TELEPHONE = re.compile(
    r"(?<![\w.-])(?:\+(\d{1,3})[\s-])?\(?(\d{3})\)?[\s-](\d{3})-(\d{4})(?![\w-])"
)
_FRENCH_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,4})\s?(?:ème|eme|e|nde?)(?!\w)")


def changes(text: str, language: Language) -> Iterator[Change]:
    """Yield such numbers of `text`, written as they are said."""
    if language not in _TO:
        return
    found = list(_ranges(text, language))
    if language in _ENGLISH:
        found += _telephones(text)
        found += [
            Change(*match.span(), text=_FRACTIONS[match[0]])
            for match in _FRACTION.finditer(text)
            if match[0] in _FRACTIONS
        ]
    if language is Language.FRENCH:
        found += [
            Change(*match.span(), text=num2words(int(match[1]), lang="fr", to="ordinal"))
            for match in _FRENCH_ORDINAL.finditer(text)
        ]
    yield from sorted(found, key=lambda change: change.start)


def _ranges(text: str, language: Language) -> Iterator[Change]:
    for match in _RANGE.finditer(text):
        first, last = match.groups()
        # A score is none, and half a telephone number: 3-2, 555-1234.
        if int(first) < int(last) and (len(first), len(last)) != (3, 4):
            yield Change(*match.span(), text=f"{first} {_TO[language]} {last}")


def _telephones(text: str) -> Iterator[Change]:
    for match in _TELEPHONE.finditer(text):
        groups = [" ".join(group) for group in match.groups() if group]
        yield Change(*match.span(), text=", ".join(groups))
