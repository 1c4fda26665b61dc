"""Amounts of money and measures, where the G2P does not know the sign."""

import re
from collections.abc import Iterator
from functools import lru_cache

from babel.units import format_unit

from shared.languages import Language
from worker.plan.normalize.times import LOCALES
from worker.plan.rewriting import Change

_ENGLISH = (Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH)
_UNITS = {
    "km/h": "speed-kilometer-per-hour",
    "kmh": "speed-kilometer-per-hour",
    "m/s": "speed-meter-per-second",
    "mph": "speed-mile-per-hour",
    "km²": "area-square-kilometer",
    "m²": "area-square-meter",
    "m³": "volume-cubic-meter",
    "km": "length-kilometer",
    "cm": "length-centimeter",
    "mm": "length-millimeter",
    "m": "length-meter",
    "ft": "length-foot",
    "kg": "mass-kilogram",
    "mg": "mass-milligram",
    "g": "mass-gram",
    "lb": "mass-pound",
    "lbs": "mass-pound",
    "oz": "mass-ounce",
    "ml": "volume-milliliter",
    "mL": "volume-milliliter",
    "°C": "temperature-celsius",
    "°F": "temperature-fahrenheit",
    "kB": "digital-kilobyte",
    "KB": "digital-kilobyte",
    "MB": "digital-megabyte",
    "GB": "digital-gigabyte",
    "TB": "digital-terabyte",
    "kW": "power-kilowatt",
    "MW": "power-megawatt",
    "kWh": "energy-kilowatt-hour",
    "kHz": "frequency-kilohertz",
    "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz",
    "Hz": "frequency-hertz",
    "किमी": "length-kilometer",
    "किग्रा": "mass-kilogram",
}
_NUMBER = r"\d{1,12}(?:[.,]\d{1,12})*"
# Vowel signs end a Hindi word, and are no `\w`.
_WORD = r"\w\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
_NAMES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_MEASURE = re.compile(
    rf"(?<![{_WORD}.,$€£¥₹])({_NUMBER})([\s\u202f]?)({_NAMES})(?![{_WORD}²³/'’°])"
)
_MONEY: dict[Language, dict[str, tuple[str, str]]] = {
    # English G2P knows $, £ and € before a number.
    Language.AMERICAN_ENGLISH: {"¥": ("yen", "yen"), "₹": ("rupee", "rupees")},
    Language.BRITISH_ENGLISH: {"¥": ("yen", "yen"), "₹": ("rupee", "rupees")},
    Language.SPANISH: {
        "$": ("dólar", "dólares"), "€": ("euro", "euros"), "£": ("libra", "libras"),
        "¥": ("yen", "yenes"),
    },
    Language.FRENCH: {
        "$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("livre", "livres"),
        "¥": ("yen", "yens"),
    },
    Language.ITALIAN: {
        "$": ("dollaro", "dollari"), "€": ("euro", "euro"), "£": ("sterlina", "sterline"),
        "¥": ("yen", "yen"),
    },
    Language.BRAZILIAN_PORTUGUESE: {
        "R$": ("real", "reais"), "$": ("dólar", "dólares"), "€": ("euro", "euros"),
        "£": ("libra", "libras"), "¥": ("iene", "ienes"),
    },
    Language.HINDI: {
        "₹": ("रुपया", "रुपये"), "$": ("डॉलर", "डॉलर"), "€": ("यूरो", "यूरो"),
        "£": ("पाउंड", "पाउंड"), "¥": ("येन", "येन"),
    },
}  # fmt: skip
_SIGN = r"R\$|[$€£¥₹]"
_SIGN_BEFORE = re.compile(rf"(?<![{_WORD}$€£¥₹])({_SIGN})\s?({_NUMBER})(?![{_WORD}%])")
_SIGN_AFTER = re.compile(rf"(?<![{_WORD}.,$€£¥₹])({_NUMBER})[\s\u202f]?([€£¥₹$])(?![{_WORD}$€£¥₹])")


def changes(text: str, language: Language) -> Iterator[Change]:
    """Yield the amounts and measures of `text`, written as they are said."""
    if language not in LOCALES:
        return
    found = [*_measures(text, language), *_money(text, language)]
    yield from sorted(found, key=lambda change: change.start)


def _measures(text: str, language: Language) -> Iterator[Change]:
    for match in _MEASURE.finditer(text):
        number, space, unit = match.groups()
        if len(unit) == 1 and not space:
            continue  # 5m may be millions, 3g a network
        name = _unit_name(_UNITS[unit], number in ("1", "1.0", "1,0"), language)
        yield Change(*match.span(), text=f"{number} {name}")


@lru_cache(maxsize=1000)
def _unit_name(unit: str, is_one: bool, language: Language) -> str:
    said = format_unit(1 if is_one else 7, unit, length="long", locale=LOCALES[language])
    return " ".join(said.replace("1" if is_one else "7", "", 1).split())


def _money(text: str, language: Language) -> Iterator[Change]:
    names = _MONEY[language]
    for pattern, number_at, sign_at in ((_SIGN_BEFORE, 2, 1), (_SIGN_AFTER, 1, 2)):
        for match in pattern.finditer(text):
            number, sign = match[number_at], match[sign_at]
            if sign in names:
                name = names[sign][number != "1"]
                yield Change(*match.span(), text=f"{number} {name}")
            elif language in _ENGLISH and pattern is _SIGN_AFTER:
                yield Change(*match.span(), text=f"{sign}{number}")
