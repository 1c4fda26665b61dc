"""Roman numerals: after the names of rulers, and where parts of books and ages are counted."""

import re
from collections.abc import Iterator

from num2words import num2words

from shared.languages import Language
from worker.plan.rewriting import Change

_ENGLISH = (Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH)
_ROMAN = r"(?=[IVXL])X{0,4}L?X{0,4}(?:IX|IV|V?I{0,4})"
_COUNTED = {
    Language.AMERICAN_ENGLISH: "Chapter|Part|Book|Volume|Vol\\.|Act|Scene|Section|Appendix|Phase|"
    "World War|Type|Stage|Class|Level|Super Bowl|Apollo",
    Language.FRENCH: "[Cc]hapitre|[Tt]ome|[Aa]cte|[Ss]cène|[Ll]ivre|[Pp]artie|[Vv]olume|[Tt]itre",
}
_COUNTED[Language.BRITISH_ENGLISH] = _COUNTED[Language.AMERICAN_ENGLISH]
_RULERS = {
    Language.AMERICAN_ENGLISH: "Alexander|Benedict|Catherine|Charles|Christian|Clement|Edward|"
    "Elizabeth|Ferdinand|Francis|Frederick|George|Gregory|Gustav|Henry|Innocent|Ivan|James|"
    "John|John Paul|Leo|Leopold|Louis|Mary|Napoleon|Nicholas|Otto|Paul|Peter|Philip|Pius|Ramesses|"
    "Richard|Robert|Rudolf|Urban|Wilhelm|William",
    Language.FRENCH: "Alexandre|Benoît|Catherine|Charles|Clément|Édouard|Élisabeth|Ferdinand|"
    "François|Frédéric|Georges|Grégoire|Guillaume|Henri|Innocent|Jacques|Jean|Jean-Paul|Léon|"
    "Léopold|Louis|Napoléon|Nicolas|Paul|Philippe|Pie|Pierre|Richard|Robert",
}
_RULERS[Language.BRITISH_ENGLISH] = _RULERS[Language.AMERICAN_ENGLISH]
_AFTER_COUNTED = {
    language: re.compile(rf"\b(?:{names})\s({_ROMAN})(?![\w'’.-]\w|\w)")
    for language, names in _COUNTED.items()
}
_AFTER_RULERS = {
    language: re.compile(rf"\b(?:{names})\s({_ROMAN})(?:er\b)?(?![\w-])")
    for language, names in _RULERS.items()
}
_FRENCH_AGE = re.compile(r"\b(X{0,3}(?:IX|IV|V?I{0,3}))(?<=[IVX])(?:er|e|ème)\b")
_ENDS_THERE = re.compile(r"\s*(?:[.,:;!?)—–-]|of\b|and\b|de\b|et\b|$)")
"""After a numeral "I" that is none of the speaker's: "Part I, …", but not "the part I like"."""

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50}


def changes(text: str, language: Language) -> Iterator[Change]:
    """Yield the Roman numerals of `text`, written as they are said."""
    # espeak reads those of Spanish, Italian and Portuguese right.
    if language not in _COUNTED:
        return
    found: list[Change] = []
    for match in _AFTER_COUNTED[language].finditer(text):
        if match[1] != "I" or _ENDS_THERE.match(text, match.end()):
            found.append(Change(*match.span(1), text=str(_value(match[1]))))
    for match in _AFTER_RULERS[language].finditer(text):
        said = _ruler(_value(match[1]), language)
        if said:
            found.append(Change(match.start(1), match.end(), text=said))
    if language is Language.FRENCH:
        for match in _FRENCH_AGE.finditer(text):
            ordinal = num2words(_value(match[1]), lang="fr", to="ordinal")
            found.append(Change(*match.span(), text=ordinal))
    yield from sorted(found, key=lambda change: (change.start, -change.end))


def _ruler(number: int, language: Language) -> str:
    if language in _ENGLISH:
        # "Charles I met" may be the speaker's own doing.
        return "" if number == 1 else "the " + num2words(number, lang="en", to="ordinal")
    return "premier" if number == 1 else str(number)


def _value(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )
