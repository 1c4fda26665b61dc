"""The stored lexicons of each key, as the gateway sees them. Async."""

import json
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import redis.asyncio

from shared.languages import Language
from shared.ledger.scripts import script
from shared.lexicon import Lexicon, content_digest

MAX_LEXICONS = 100
"""Of one key."""

MAX_VERSIONS = 10
"""Of one lexicon; when there is another, the oldest is forgotten."""

MAX_OWNER_BYTES = 32 * 1024 * 1024
"""Of all versions of a key's lexicons, and of those its open jobs still need."""

_LIMITS = {"names": MAX_LEXICONS, "versions": MAX_VERSIONS, "bytes": MAX_OWNER_BYTES}


class PutVerdict(StrEnum):
    """What became of a lexicon that was put."""

    STORED = "stored"
    KEPT = "kept"
    """It is what was stored last, so that stays the newest version."""
    TOO_MANY = "too_many"
    """The key has as many as it may have."""
    TOO_LARGE = "too_large"
    """The key's lexicons have as many bytes as they may have."""


@dataclass(frozen=True)
class LexiconVersion:
    """One version of a lexicon, without its entries.

    Attributes:
        version: grows with every change.
        digest: by which the ledger keeps its content.
        created_at: seconds since 1970, UTC.
        entries: how many.
        bytes: of the content as it is stored.
    """

    version: int
    digest: str
    created_at: float
    language: Language | None
    entries: int
    bytes: int


@dataclass(frozen=True)
class LexiconRecord:
    """A lexicon as the ledger knows it.

    Attributes:
        created_at: of the first version, in seconds since 1970, UTC.
        versions: those still kept, the oldest first; at least one.
    """

    name: str
    created_at: float
    versions: tuple[LexiconVersion, ...]

    @property
    def newest(self) -> LexiconVersion:
        """The version that the bare name stands for."""
        return self.versions[-1]

    def at(self, version: int) -> LexiconVersion | None:
        """Return a version, unless it is forgotten or never was."""
        return next((kept for kept in self.versions if kept.version == version), None)

    @classmethod
    def from_json(cls, text: str) -> "LexiconRecord":
        """Read a lexicon from its field in the owner's hash."""
        row: dict[str, Any] = json.loads(text)
        versions = tuple(
            LexiconVersion(
                version=int(kept["version"]),
                digest=kept["digest"],
                created_at=kept["created_ms"] / 1000,
                language=Language(kept["language"]) if kept.get("language") else None,
                entries=int(kept["entries"]),
                bytes=int(kept["bytes"]),
            )
            for kept in row["versions"]
        )
        return cls(row["name"], row["created_ms"] / 1000, versions)


class Lexicons:
    """A key's lexicons. Every method raises redis-py's `RedisError` when Redis is away."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._put = client.register_script(script("put_lexicon"))
        self._delete = client.register_script(script("delete_lexicon"))

    async def put(
        self, owner: str, name: str, lexicon: Lexicon, body: str
    ) -> tuple[PutVerdict, LexiconRecord | None]:
        """Store the next version of a lexicon, `body` being its `to_json`.

        Returns:
            What became of it, and the lexicon as it is now; None when it was refused.
        """
        about: dict[str, Any] = {"entries": len(lexicon.entries)}
        if lexicon.language is not None:  # cjson would keep null as a value of its own kind
            about["language"] = lexicon.language
        word, row = await self._put(
            args=[
                owner,
                name,
                content_digest(owner, body),
                body,
                json.dumps(about),
                json.dumps(_LIMITS),
            ]
        )
        return PutVerdict(word), LexiconRecord.from_json(row) if row else None

    async def get(self, owner: str, name: str) -> LexiconRecord | None:
        """Return the owner's lexicon of that name."""
        row = await cast("Awaitable[str | None]", self._client.hget(f"kc:lexicons:{owner}", name))
        return None if row is None else LexiconRecord.from_json(row)

    async def all(self, owner: str) -> list[LexiconRecord]:
        """Return the owner's lexicons in the order of their names."""
        rows = await cast("Awaitable[list[str]]", self._client.hvals(f"kc:lexicons:{owner}"))
        return sorted(map(LexiconRecord.from_json, rows), key=lambda record: record.name)

    async def content(self, digest: str) -> str | None:
        """Return a version's content as `Lexicon.to_json` wrote it; None if it was just deleted."""
        return await cast(
            "Awaitable[str | None]", self._client.hget(f"kc:lexicon:{digest}", "body")
        )

    async def delete(self, owner: str, name: str) -> bool:
        """Forget a lexicon with all its versions; say whether there was one."""
        return bool(await self._delete(args=[owner, name]))
