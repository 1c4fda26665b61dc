"""Public-domain texts in Kokoro's nine languages, short, medium and long, and mixes of them.

In: nothing but the files beside this module. Out: texts with their language, a voice for it, a
length class and their source (`sources.toml`), and seeded selections of them.
"""

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from shared.languages import Language

FOLDER = Path(__file__).parent
SYLLABIC = {Language.JAPANESE, Language.MANDARIN}
"""Languages whose characters are syllables and words: a third as many of them make a text long."""
SHORT_MOST_CHARS, SHORT_MOST_SYLLABIC_CHARS = 100, 35
"""A text that is no longer is one sentence, or two: a prompt, a line of a dialogue."""


class Length(StrEnum):
    """How much there is to say."""

    SHORT = "short"
    """A sentence or two: up to some six seconds."""
    MEDIUM = "medium"
    """A paragraph: up to some two minutes."""
    LONG = "long"
    """A chapter: some twenty minutes."""


@dataclass(frozen=True)
class Source:
    """A work that texts are taken from.

    Attributes:
        name: of its file, without the ending.
        voice: one that speaks the language, for jobs.
        died: the year its author did.
        published: the year it first was.
        taken_from: the copy that the file was made from.
        chapter: whether the file is one whole stretch of the work, to be spoken as one long text.
    """

    name: str
    language: Language
    voice: str
    title: str
    author: str
    died: int
    published: int
    taken_from: str
    chapter: bool = False

    def read(self) -> str:
        """Return its file: paragraphs with blank lines between."""
        return (FOLDER / "texts" / f"{self.name}.txt").read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class Text:
    """One thing to be spoken by itself."""

    text: str
    length: Length
    source: Source

    @property
    def language(self) -> Language:
        """The source's."""
        return self.source.language

    @property
    def voice(self) -> str:
        """The source's."""
        return self.source.voice


@cache
def sources() -> tuple[Source, ...]:
    """Return every source, in the order of the list."""
    table = tomllib.loads((FOLDER / "sources.toml").read_text(encoding="utf-8"))
    return tuple(
        Source(name=name, **{**fields, "language": Language(fields["language"])})
        for name, fields in table.items()
    )


@cache
def texts() -> tuple[Text, ...]:
    """Return every paragraph as a text, and every chapter as one more; no text twice."""
    found: dict[str, Text] = {}
    for source in sources():
        whole = source.read()
        for paragraph in whole.split("\n\n"):
            found.setdefault(paragraph, Text(paragraph, _length(paragraph, source), source))
        if source.chapter:
            found[whole] = Text(whole, Length.LONG, source)
    return tuple(found.values())


def _length(paragraph: str, source: Source) -> Length:
    most = SHORT_MOST_SYLLABIC_CHARS if source.language in SYLLABIC else SHORT_MOST_CHARS
    return Length.SHORT if len(paragraph) <= most else Length.MEDIUM


def select(
    *,
    length: Length | None = None,
    languages: Sequence[Language] = tuple(Language),
) -> list[Text]:
    """Return the texts of a length class in some languages."""
    return [
        text for text in texts() if text.language in languages and length in {None, text.length}
    ]


MIX: Mapping[Length, float] = {Length.SHORT: 0.6, Length.MEDIUM: 0.39, Length.LONG: 0.01}
"""Shares of the number of jobs: by characters, the long ones are about half of it all."""


def mixed(
    count: int,
    *,
    seed: int = 0,
    languages: Sequence[Language] = tuple(Language),
    shares: Mapping[Length, float] = MIX,
) -> list[Text]:
    """Return `count` texts of all lengths in mixed order: the same for the same arguments.

    Texts repeat only once all of their length were used.

    Args:
        count: how many.
        seed: of the choice.
        languages: to choose from.
        shares: of each length class among the texts; they add up to 1. A class that these
            languages have no text of is left out.
    """
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    decks = {length: select(length=length, languages=languages) for length in shares}
    found: list[Text] = []
    for length, deck in decks.items():
        wanted = round(count * shares[length])
        while deck and wanted > 0:
            drawn = chance.sample(deck, min(wanted, len(deck)))
            found += drawn
            wanted -= len(drawn)
    filler = decks.get(Length.SHORT) or [text for deck in decks.values() for text in deck]
    while len(found) < count:  # rounding, or a class without texts
        found.append(chance.choice(filler))
    chance.shuffle(found)
    return found[:count]


def describe(chosen: Sequence[Text]) -> str:
    """Return one line about a selection: how many texts, characters, languages."""
    counts = {length: sum(text.length is length for text in chosen) for length in Length}
    parts = ", ".join(f"{number} {length}" for length, number in counts.items() if number)
    chars = sum(len(text.text) for text in chosen)
    languages = len({text.language for text in chosen})
    return (
        f"benchmarks/corpus (public domain): {len(chosen)} texts ({parts}), {chars:,} characters, "
        f"{languages} {'language' if languages == 1 else 'languages'}"
    )
