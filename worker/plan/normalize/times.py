"""Dates and times of day."""

import re
from collections.abc import Iterator
from datetime import date
from functools import cache

from babel.dates import format_date, get_month_names

from shared.languages import Language
from worker.plan.rewriting import Change

_ENGLISH = (Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH)
LOCALES: dict[Language, str] = {
    Language.AMERICAN_ENGLISH: "en_US",
    Language.BRITISH_ENGLISH: "en_GB",
    Language.SPANISH: "es",
    Language.FRENCH: "fr",
    Language.HINDI: "hi",
    Language.ITALIAN: "it",
    Language.BRAZILIAN_PORTUGUESE: "pt_BR",
}
"""Babel's names of the languages that are normalised."""

_FIRST_OF_MONTH = {
    Language.FRENCH: "premier",
    Language.ITALIAN: "primo",
    Language.BRAZILIAN_PORTUGUESE: "primeiro",
}
_ISO = re.compile(r"(?<![\w.:/-])(\d{4})-(\d{2})-(\d{2})(?![\w/-])")
_SLASHED = re.compile(r"(?<![\w.:/-])(\d{1,2})([/.])(\d{1,2})\2(\d{4})(?![\w/-])")
_HOUR, _MINUTE = r"([01]?\d|2[0-4])", r"([0-5]\d)"
_CLOCK = re.compile(
    rf"(?<![\w.:,/-]){_HOUR}:{_MINUTE}(?:\s?[-–]\s?{_HOUR}:{_MINUTE})?"
    r"(?![\w:/-]|[.,]\d)(?=(\s?[AaPp]\.?[Mm]\b)?)(?:\s?बजे)?"
)
_TO = {**dict.fromkeys(LOCALES, "a"), **dict.fromkeys(_ENGLISH, "to")}
_TO |= {Language.FRENCH: "à", Language.HINDI: "से"}
_CLOCK_WITH_H = re.compile(r"(?<![\w.:,/-])([01]?\d|2[0-4])\s?[hH]\s?([0-5]\d)?(?![\w:/])")
_MONTH_SHORT = re.compile(r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s\d)")


def changes(text: str, language: Language) -> Iterator[Change]:
    """Yield the dates and times of `text`, written as they are said."""
    if language not in LOCALES:
        return
    found = [*_dates(text, language), *_clocks(text, language)]
    yield from sorted(found, key=lambda change: change.start)


def _dates(text: str, language: Language) -> Iterator[Change]:
    for match in _ISO.finditer(text):
        said = _say_date(int(match[1]), int(match[2]), int(match[3]), language)
        if said:
            yield Change(*match.span(), text=said)
    for match in _SLASHED.finditer(text):
        if match[2] == "." and language in _ENGLISH:
            continue  # a version, more likely
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        day, month = first, second
        if language is Language.AMERICAN_ENGLISH and first <= 12:
            day, month = second, first
        said = _say_date(year, month, day, language)
        if said:
            yield Change(*match.span(), text=said)
    if language in _ENGLISH:
        for match in _MONTH_SHORT.finditer(text):
            yield Change(*match.span(), text=_months()[match[1][:3]])


def _say_date(year: int, month: int, day: int, language: Language) -> str | None:
    try:
        said = format_date(date(year, month, day), "long", locale=LOCALES[language])
    except ValueError:  # there is no such day
        return None
    if day == 1 and language in _FIRST_OF_MONTH:
        said = said.replace("1 ", f"{_FIRST_OF_MONTH[language]} ", 1)
    return " ".join(said.replace("º", "").split())


@cache
def _months() -> dict[str, str]:
    return {name[:3]: name for name in get_month_names("wide", locale="en_US").values()}


def _clocks(text: str, language: Language) -> Iterator[Change]:
    for match in _CLOCK.finditer(text):
        half_day = match[5] is not None
        said = _say_clock(int(match[1]), match[2], language, half_day=half_day)
        if match[3] is not None:
            until = _say_clock(int(match[3]), match[4], language, half_day=half_day)
            said = f"{said} {_TO[language]} {until}"
        yield Change(*match.span(), text=said)
    if language in (Language.FRENCH, Language.BRAZILIAN_PORTUGUESE):
        for match in _CLOCK_WITH_H.finditer(text):
            said = _say_clock(int(match[1]), match[2] or "00", language, half_day=False)
            yield Change(*match.span(), text=said)


def _say_clock(hour: int, minutes: str, language: Language, *, half_day: bool) -> str:
    minute, full = int(minutes), minutes == "00"
    if language in _ENGLISH:
        return _say_english_clock(hour, minute, half_day=half_day)
    one = hour == 1
    match language:
        case Language.FRENCH:
            said, rest = "une heure" if one else f"{hour} heures", f" {minute}"
        case Language.SPANISH:
            said, rest = f"{hour} en punto" if full else f"{hour}", f" y {minute}"
        case Language.BRAZILIAN_PORTUGUESE:
            said, rest = "uma hora" if one else f"{hour} horas", f" e {minute}"
        case Language.HINDI:
            said, rest = f"{hour} बजे" if full else f"{hour}", f" बजकर {minute} मिनट"
        case _:
            said, rest = f"{hour}", f" e {minute}"
    return said if full else said + rest


def _say_english_clock(hour: int, minute: int, *, half_day: bool) -> str:
    if minute:
        return f"{hour} oh {minute}" if minute < 10 else f"{hour} {minute}"
    if half_day:
        return f"{hour}"
    return f"{hour} o'clock" if hour <= 12 else f"{hour} hundred"
