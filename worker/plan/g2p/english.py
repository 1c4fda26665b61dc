"""English through misaki's lexicons, with espeak for the words they lack."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from shared.alphabet import is_audible
from shared.errors import LanguageUnavailable
from shared.languages import Language
from worker.plan.g2p.base import Pronunciation
from worker.plan.g2p.english_tags import tag_words
from worker.plan.g2p.espeak import MAX_RUN_CHARS, break_long_runs, drop_switch_flags, load_espeak
from worker.plan.g2p.scripts import drop_foreign
from worker.plan.g2p.third_party import load, missing, torch_kept_out
from worker.plan.g2p.word_spans import WordSpan, locate, moved, squeezed
from worker.plan.markup import Override

TAGGER = "en_core_web_sm"
"""spaCy's model that tells nouns from verbs, so that "to record" and "a record" sound right."""

ESPEAK_RATING = 2
"""What misaki rates a word with that it had espeak say; its dictionaries' have 3 and 4."""

MAX_DIGITS = 15
"""Longer numbers are read digit by digit: beyond the trillions misaki spells the words it lacks."""

MAX_PIECES = 16
"""How many runs of letters, runs of digits and marks may be one word; only addresses have more."""

_UNBROKEN = re.compile(rf"\S{{{MAX_DIGITS + 1},}}")
_PIECE = re.compile(rf"[^\W\d_]{{1,{MAX_RUN_CHARS}}}|\d+|.", re.DOTALL)
_PACKAGES = ("misaki", "spacy", "num2words", "phonemizer", "espeakng_loader")


class EnglishG2P:
    """American or British English, as upstream's pipeline pronounces it."""

    def __init__(self, language: Language) -> None:
        absent = missing(*_PACKAGES)
        if absent:
            raise LanguageUnavailable(
                f"English needs {', '.join(absent)}: pip install 'kokoro-cluster[plan]'",
                param="language",
            )
        self._language = language
        english = load("misaki.en")
        self._has_tagger: bool = load("spacy").util.is_package(TAGGER)
        self._token_type = english.MToken
        # misaki's own constructor downloads the tagger, and ends the process when it can't.
        self._g2p = object.__new__(english.G2P)
        british = language is Language.BRITISH_ENGLISH
        self._g2p.version = None
        self._g2p.british = british
        self._g2p.unk = ""
        with torch_kept_out():
            self._g2p.nlp = _make_tokenizer(self._has_tagger)
            self._g2p.lexicon = _forgiving(english.Lexicon(british))
            self._g2p.fallback = _make_fallback(british)
        self._g2p.tokenize = self._tokenize

    @property
    def degraded(self) -> str | None:
        """None when the tagger is installed."""
        if self._has_tagger:
            return None
        return (
            f"The tagger {TAGGER} is not installed, so words spelled alike and said differently "
            "may be said wrong: python -m spacy download en_core_web_sm"
        )

    def pronounce(self, text: str, overrides: Sequence[Override] = ()) -> Pronunciation:
        """Pronounce a sentence; see `G2P.pronounce`."""
        readable, foreign = drop_foreign(text, overrides, self._language)
        tokens = self.tokens(readable, overrides)
        phonemes, words = _put_together(readable, tokens)
        if foreign:
            phonemes, places = squeezed(phonemes)
            words = moved(words, places)
        unknown = tuple(
            token.text
            for token in tokens
            if any(map(str.isalnum, token.text)) and not is_audible(token.phonemes or "")
        )
        guessed = tuple((token.text, token.phonemes) for token in tokens if _is_guessed(token))
        return Pronunciation(phonemes, foreign + unknown, guessed, words)

    def tokens(self, text: str, overrides: Sequence[Override] = ()) -> list[Any]:
        """Return misaki's tokens (`MToken`), as upstream's `KPipeline.en_tokenize` takes them."""
        _, tokens = self._g2p(text, preprocess=lambda text: (text, [], overrides))
        return list(tokens)

    def _tokenize(self, text: str, _words: object, overrides: Sequence[Override]) -> list[Any]:
        """Replace misaki's tokenizer: it finds an override by its place and not by counting."""
        doc = self._g2p.nlp(text)
        words = [token.text for token in doc]
        spaces = [token.whitespace_ for token in doc]
        tags = [token.tag_ for token in doc] if self._has_tagger else tag_words(words, spaces)
        edges = {edge for o in overrides for edge in (o.start, o.end)}
        gaps = _gaps(text)
        tokens = []
        position = 0
        for word, space, tag in zip(words, spaces, tags, strict=True):
            start = position
            position += len(word)
            for end in [*sorted(e for e in edges | gaps if start < e < position), position]:
                piece = text[start:end]
                after = " " if end in gaps else space if end == position else ""
                tokens.append(self._token(piece, tag, after, start, overrides))
                start = end
            position += len(space)
        return tokens

    def _token(
        self, word: str, tag: str, space: str, start: int, overrides: Sequence[Override]
    ) -> Any:
        token = self._token_type(
            text=word,
            tag=tag,
            whitespace=space,
            _=self._token_type.Underscore(is_head=True, num_flags="", prespace=False),
        )
        if word.isspace():
            token.phonemes = ""
            return token
        override = next((o for o in overrides if o.start <= start < o.end), None)
        if override is not None and override.phonemes:
            # The first token of the stretch carries its phonemes; misaki merges the rest into it.
            token.phonemes = override.phonemes if start == override.start else ""
            token._.is_head = start == override.start
            token._.rating = 5
        elif override is not None:
            token._.stress = override.stress
            token._.num_flags = override.number_style
        elif word in ("--", "---"):
            token.phonemes, token._.rating = "—", 3  # A typewriter's dash; misaki drops it.
        return token


def _is_guessed(token: Any) -> bool:
    """Tell whether espeak's rules had to say a word that misaki's dictionaries lack."""
    # misaki writes a rating into the token or into its extras, wherever it stands at that moment.
    ratings = (token._.rating, getattr(token, "rating", None))
    return ESPEAK_RATING in ratings and is_audible(token.phonemes or "")


def _put_together(text: str, tokens: Sequence[Any]) -> tuple[str, tuple[WordSpan, ...]]:
    """Return all phonemes, as upstream's `tokens_to_ps` does, and the words that have any."""
    parts: list[str] = []
    said: list[tuple[str, int, int]] = []
    length = 0
    for token in tokens:
        phonemes = token.phonemes or ""
        heard = len(phonemes) if is_audible(phonemes) else 0
        said.append((token.text, length, length + heard))
        parts.append(phonemes + (" " if token.whitespace else ""))
        length += len(parts[-1])
    together = Pronunciation("".join(parts), words=locate(text, said)).stripped()
    return together.phonemes, together.words


def _gaps(text: str) -> set[int]:
    """Return where to part what is too long for misaki to take as one word.

    It tries every way of joining the pieces of a word, which takes their number cubed.
    """
    gaps: set[int] = set()
    if len(text) <= MAX_DIGITS:
        return gaps
    for run in _UNBROKEN.finditer(text):
        begun, pieces = run.start(), 0
        for piece in _PIECE.finditer(text, run.start(), run.end()):
            pieces += 1
            if piece[0].isdecimal() and len(piece[0]) > MAX_DIGITS:
                gaps.update(range(piece.start() + 1, piece.end() + 1))
            elif pieces > MAX_PIECES or piece.end() - begun > MAX_RUN_CHARS:
                gaps.add(piece.end())
                begun, pieces = piece.end(), 0
    return gaps


def _make_tokenizer(has_tagger: bool) -> Any:
    """Return a callable from text to a spaCy `Doc`: with tags if there is a tagger."""
    if has_tagger:
        # A spaCy pipeline loads every plug-in it finds, and misaki's needs torch, for transformers
        # that nobody uses here.
        plugins = load("spacy.util").registry._entry_point_factories
        plugins.entry_points = False
        try:
            return load("spacy").load(TAGGER, enable=["tok2vec", "tagger"])
        finally:
            plugins.entry_points = True
    util, defaults = load("spacy.util"), load("spacy.lang.en").English.Defaults
    return load("spacy.tokenizer").Tokenizer(
        load("spacy.vocab").create_vocab("en", defaults),
        rules=defaults.tokenizer_exceptions,
        prefix_search=util.compile_prefix_regex(defaults.prefixes).search,
        suffix_search=util.compile_suffix_regex(defaults.suffixes).search,
        infix_finditer=util.compile_infix_regex(defaults.infixes).finditer,
        token_match=defaults.token_match,
        url_match=defaults.url_match,
    )


def _forgiving(lexicon: Any) -> Any:
    def look_up(token: Any, context: Any) -> tuple[str | None, int | None]:
        try:
            phonemes, rating = lexicon(token, context)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            # misaki's reader of numbers trips over the likes of 400 digits or "1.2.3e"; a word
            # without an entry goes to espeak, which reads these.
            return None, None
        return phonemes, rating

    return look_up


def _make_fallback(british: bool) -> Any:
    espeak = load_espeak().EspeakFallback(british=british)
    token_type = load("misaki.token").MToken

    def spell(token: Any) -> tuple[str | None, int | None]:
        # The composed form: espeak reads a lone accent as a word.
        text = break_long_runs(unicodedata.normalize("NFC", token.text))
        if not text.strip():
            return "", 2
        phonemes, rating = espeak(token_type(text=text, tag=token.tag, whitespace=""))
        return drop_switch_flags(phonemes or "") or None, rating

    return spell
