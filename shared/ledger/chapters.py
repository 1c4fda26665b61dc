"""Chapters of a job and their files, as the gateway looks at them. Async."""

import json
from collections.abc import Awaitable
from typing import cast

import redis.asyncio

from shared.formats import AudioFormat
from shared.ledger.records import ChapterRecord, OutputFile


async def chapters_of(client: redis.asyncio.Redis, uid: str) -> list[ChapterRecord]:
    """Return the job's chapters planned so far; the last ones once planning is over.

    Raises:
        RedisError: Redis is away.
    """
    rows = await cast("Awaitable[list[str]]", client.lrange(f"kc:job:{uid}:chapters", 0, -1))
    return [ChapterRecord.from_json(row) for row in rows]


async def chapter_files(client: redis.asyncio.Redis, uid: str) -> list[OutputFile]:
    """Return the files of the job's single chapters, by chapter, the formats in their order.

    Raises:
        RedisError: Redis is away.
    """
    rows = await cast("Awaitable[list[str]]", client.hvals(f"kc:job:{uid}:files"))
    files = [OutputFile.from_wire(json.loads(row)) for row in rows]
    order = list(AudioFormat)
    return sorted(files, key=lambda file: (file.chapter or 0, order.index(file.format)))


async def chapter_file(
    client: redis.asyncio.Redis, uid: str, chapter: int, audio_format: AudioFormat
) -> OutputFile | None:
    """Return one file of one chapter (1 is the first); None if there is none.

    Raises:
        RedisError: Redis is away.
    """
    field = f"{chapter}.{audio_format}"
    row = await cast("Awaitable[str | None]", client.hget(f"kc:job:{uid}:files", field))
    return None if row is None else OutputFile.from_wire(json.loads(row))
