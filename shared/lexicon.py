"""A pronunciation lexicon: words, and how they are to be said.

The gateway checks and stores it, the planner applies it (`worker.plan.lexicon`).
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.alphabet import first_unknown, is_audible
from shared.errors import InvalidLexicon
from shared.languages import Language

MAX_ENTRIES = 5_000
"""Of one lexicon."""

MAX_WORD_CHARS = 100
"""The longest word or phrase of an entry; less than a planner keeps in sight."""

MAX_SAID_CHARS = 200
"""The longest phonemes or respelling of an entry."""

MAX_LEXICON_BYTES = 1024 * 1024
"""Of one lexicon as it is stored."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}"
"""What a lexicon may be called; a job names it so, or with a version: `name@3`."""

MAX_JOB_LEXICONS = 8
"""Lexicons that one job may name."""

_NAME = re.compile(NAME)
_REFERENCE = re.compile(rf"({NAME})(?:@([1-9][0-9]{{0,8}}))?")
# A line end or a bracket can't be met in text as it is spoken, where marks are resolved already.
_NOT_IN_WORDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\[\]]")


@dataclass(frozen=True)
class Entry:
    """One word of a lexicon.

    Attributes:
        word: a word or a phrase, composed (NFC), 1 to 100 characters, single spaces.
        phonemes: of the model's alphabet; empty when there is a respelling.
        respelling: text to be read instead; empty when there are phonemes.
        case_sensitive: whether capitals have to agree.
    """

    word: str
    phonemes: str = ""
    respelling: str = ""
    case_sensitive: bool = False


@dataclass(frozen=True)
class Lexicon:
    """Entries, for one language or for all.

    Attributes:
        language: None for all.
        entries: 1 to 5,000, no word twice.
    """

    language: Language | None
    entries: tuple[Entry, ...]

    def to_json(self) -> str:
        """Encode for the ledger: equal lexicons give equal text."""
        entries = [
            {name: value for name, value in vars(entry).items() if value} for entry in self.entries
        ]
        return json.dumps(
            {"language": self.language, "entries": entries},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> "Lexicon":
        """Decode what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        language = fields["language"]
        return cls(
            None if language is None else Language(language),
            tuple(Entry(**entry) for entry in fields["entries"]),
        )


def make_lexicon(language: Language | None, entries: Iterable[Entry]) -> Lexicon:
    """Return a lexicon of entries as a client wrote them, tidied.

    Raises:
        InvalidLexicon: an entry can't be spoken or is there twice; the message names the entry.
    """
    found: list[Entry] = []
    seen: dict[tuple[str, bool], int] = {}
    for index, raw in enumerate(entries):
        entry = _tidied(index, raw)
        key = (entry.word if entry.case_sensitive else folded(entry.word), entry.case_sensitive)
        if key in seen:
            raise _bad(index, entry.word, "word", f"is there already, as entry {seen[key]}")
        seen[key] = index
        found.append(entry)
    return Lexicon(language, tuple(found))


def folded(text: str) -> str:
    """Return `text` as it is compared where capitals don't matter; the length stays."""
    lowered = text.replace("’", "'").lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text.replace("’", "'"))


def content_digest(owner: str, body: str) -> str:
    """Return 64 hex digits by which the ledger keeps a lexicon of one owner."""
    return hashlib.sha256(f"{owner}\x1f{body}".encode()).hexdigest()


def is_name(text: str) -> bool:
    """Say whether a lexicon may be called so."""
    return _NAME.fullmatch(text) is not None


def check_reference(text: str) -> str:
    """Return a job's reference to a lexicon, `name` or `name@3`.

    Raises:
        InvalidLexicon: it is neither.
    """
    if _REFERENCE.fullmatch(text) is None:
        raise InvalidLexicon(
            f"{text[:80]!r} names no lexicon: write its name, or a version as in 'names@3'.",
            param="lexicons",
        )
    return text


def _tidied(index: int, raw: Entry) -> Entry:
    word = " ".join(unicodedata.normalize("NFC", raw.word).split())
    phonemes, respelling = raw.phonemes.strip(), " ".join(raw.respelling.split())
    if not word or len(word) > MAX_WORD_CHARS:
        raise _bad(index, raw.word, "word", f"must have 1 to {MAX_WORD_CHARS} characters")
    for name, text in (("word", word), ("respelling", respelling)):
        if _NOT_IN_WORDS.search(text):
            raise _bad(index, word, name, "must have no control character and no square bracket")
    if bool(phonemes) == bool(respelling):
        raise _bad(index, word, "phonemes", "needs either phonemes or a respelling")
    if max(len(phonemes), len(respelling)) > MAX_SAID_CHARS:
        raise _bad(index, word, "phonemes", f"is said in more than {MAX_SAID_CHARS} characters")
    unknown = first_unknown(phonemes)
    if unknown is not None:
        raise _bad(
            index,
            word,
            "phonemes",
            f"has {unknown!r} (U+{ord(unknown):04X}), a symbol that the model does not have",
        )
    if phonemes and not is_audible(phonemes):
        raise _bad(index, word, "phonemes", "has phonemes without any sound")
    if respelling and not any(map(str.isalnum, respelling)):
        raise _bad(index, word, "respelling", "has a respelling without a letter or a number")
    return Entry(word, phonemes, respelling, raw.case_sensitive)


def _bad(index: int, word: str, field: str, what: str) -> InvalidLexicon:
    shown = word if len(word) <= 40 else word[:39] + "…"
    return InvalidLexicon(f"Entry {index} ({shown!r}) {what}.", param=f"entries.{index}.{field}")
