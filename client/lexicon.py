"""Stored pronunciations: what they are, and the calls for them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from client.answers import raw_field
from client.calls import Call, nothing, reader
from client.errors import InvalidUse


@dataclass(frozen=True, kw_only=True)
class LexiconEntry:
    """A word and how it is said: by `phonemes`, or by another spelling, `respelling`."""

    word: str
    phonemes: str | None = None
    respelling: str | None = None
    case_sensitive: bool = False


@dataclass(frozen=True, kw_only=True)
class LexiconVersion:
    """One version of a lexicon."""

    version: int
    created_at: datetime | None = None
    language: str | None = None
    entries_total: int = 0


@dataclass(frozen=True, kw_only=True)
class Lexicon(LexiconVersion):
    """A lexicon at one version; `versions` are those still kept, the newest first.

    `entries` is None in lists and after a change.
    """

    name: str
    updated_at: datetime | None = None
    versions: tuple[LexiconVersion, ...] = ()
    entries: tuple[LexiconEntry, ...] | None = None
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class LexiconList:
    """All lexicons of a key."""

    data: tuple[Lexicon, ...] = ()


def listing() -> Call[LexiconList]:
    """List lexicons."""
    return Call("GET", "/v1/lexicons", reader(LexiconList))


def get(name: str, version: int | None) -> Call[Lexicon]:
    """Look at a lexicon and its entries."""
    params = {} if version is None else {"version": str(version)}
    return Call("GET", _path(name), reader(Lexicon), params=params)


def put(name: str, entries: Iterable[LexiconEntry], language: str | None) -> Call[Lexicon]:
    """Store a lexicon; the same content again makes no new version, so repeating it is safe."""
    rows = [
        {
            "word": entry.word,
            "phonemes": entry.phonemes,
            "respelling": entry.respelling,
            "case_sensitive": entry.case_sensitive,
        }
        for entry in entries
    ]
    body = {"language": language, "entries": rows}
    return Call("PUT", _path(name), reader(Lexicon), json=body)


def delete(name: str) -> Call[None]:
    """Remove a lexicon; that an earlier try has done it is no error."""
    return Call("DELETE", _path(name), nothing, after_loss={"lexicon_not_found": None})


def _path(name: str) -> str:
    if not name or name in {".", ".."}:
        raise InvalidUse(f"{name!r} is no lexicon's name.")
    return f"/v1/lexicons/{quote(name, safe='')}"
