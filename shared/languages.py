"""The nine languages of Kokoro's pipeline and the names people give them."""

from enum import StrEnum

from shared.errors import UnknownLanguage


class Language(StrEnum):
    """A language Kokoro has voices for; the value is the BCP 47 tag used throughout the API."""

    AMERICAN_ENGLISH = "en-us"
    BRITISH_ENGLISH = "en-gb"
    SPANISH = "es"
    FRENCH = "fr"
    HINDI = "hi"
    ITALIAN = "it"
    BRAZILIAN_PORTUGUESE = "pt-br"
    JAPANESE = "ja"
    MANDARIN = "zh"


LETTERS: dict[str, Language] = dict(zip("abefhipjz", Language, strict=True))
"""Upstream's one-letter codes, which are also the first letter of every voice's name."""

_ALIASES: dict[str, Language] = {
    **LETTERS,
    **{language.value: language for language in Language},
    "en": Language.AMERICAN_ENGLISH,
    "es-es": Language.SPANISH,
    "fr-fr": Language.FRENCH,
    "hi-in": Language.HINDI,
    "it-it": Language.ITALIAN,
    "pt": Language.BRAZILIAN_PORTUGUESE,
    "ja-jp": Language.JAPANESE,
    "zh-cn": Language.MANDARIN,
    "cmn": Language.MANDARIN,
}


def parse_language(name: str) -> Language:
    """Return the language called `name`: a BCP 47 tag or upstream's letter, in any case.

    Raises:
        UnknownLanguage: Kokoro does not speak it.
    """
    language = _ALIASES.get(name.strip().lower().replace("_", "-"))
    if language is None:
        known = ", ".join(Language)
        raise UnknownLanguage(
            f"Unknown language {name!r}. Choose one of: {known}.", param="language"
        )
    return language


def language_of_voice(voice: str) -> Language:
    """Return the language a voice's first letter stands for (`bf_emma` is British English).

    Raises:
        UnknownLanguage: the name does not follow Kokoro's convention.
    """
    language = LETTERS.get(voice[:1])
    if language is None:
        raise UnknownLanguage(
            f"The voice {voice!r} does not name its language: give `language`.", param="language"
        )
    return language
