"""The G2P for a language."""

from shared.languages import Language
from worker.plan.g2p.base import G2P
from worker.plan.g2p.english import EnglishG2P
from worker.plan.g2p.espeak import VOICES, EspeakG2P
from worker.plan.g2p.japanese import JapaneseG2P
from worker.plan.g2p.mandarin import MandarinG2P


def make_g2p(language: Language) -> G2P:
    """Build the G2P of `language`: dictionaries are read, which takes up to some seconds.

    Raises:
        LanguageUnavailable: a package or a dictionary is not installed; the message says which.
    """
    if language in VOICES:
        return EspeakG2P(language)
    if language is Language.JAPANESE:
        return JapaneseG2P()
    if language is Language.MANDARIN:
        return MandarinG2P()
    return EnglishG2P(language)
