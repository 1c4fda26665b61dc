"""The symbols that Kokoro-82M can read; its model skips every other one without a word."""

import unicodedata

PUNCTUATION = ';:,.!?—…"()“” '
"""Symbols that shape the melody and make no sound by themselves; the space is one of them."""

MODIFIERS = "\u0303ˈˌːʰʲ↓→↗↘"
"""Nasalisation, stress, length, aspiration, palatalisation and the Mandarin tones."""

SOUNDS = (
    "ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔᵻ"
)
"""The vowels and consonants; capitals are misaki's names for diphthongs and flaps."""

ALPHABET = PUNCTUATION + MODIFIERS + SOUNDS
"""All 114 symbols, as the `vocab` of the published `config.json` lists them."""

_SOUNDS = frozenset(SOUNDS)
_KNOWN = frozenset(ALPHABET)


def keep_known(phonemes: str) -> str:
    """Return `phonemes` without the symbols the model would skip."""
    if _KNOWN.issuperset(phonemes):
        return phonemes
    return " ".join("".join(map(_known_part, phonemes)).split())


def first_unknown(phonemes: str) -> str | None:
    """Return the first symbol that the model would skip, or None."""
    for symbol in phonemes:
        if symbol not in _KNOWN and not _KNOWN.issuperset(unicodedata.normalize("NFD", symbol)):
            return symbol
    return None


def is_audible(phonemes: str) -> bool:
    """Tell whether anything in `phonemes` makes a sound."""
    return not _SOUNDS.isdisjoint(phonemes)


def _known_part(symbol: str) -> str:
    # Authors type "ũ" as one character; the alphabet has "u" and a tilde.
    parts = symbol if symbol in _KNOWN else unicodedata.normalize("NFD", symbol)
    return "".join(part for part in parts if part in _KNOWN)
