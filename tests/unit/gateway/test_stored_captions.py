"""The words document, read row by row from where the assembler's writer put it."""

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.stored_captions import stored_rows
from shared.errors import ObjectMissing
from shared.formats import CaptionFormat
from shared.languages import Language
from shared.storage import Storage, open_storage
from shared.timings import TimedSentence, TimedWord
from worker.assemble.captions import CaptionWriter

KEY = "jobs/job_x/captions.json"
TEXTS = ['She said: "words":[ and no more.', "Ünïcödé 🎧 ]}", "A \\ and a , here", "Last."]


def rows(storage: Storage, name: Literal["sentences", "words"]) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [row async for row in stored_rows(storage, KEY, name)]

    return asyncio.run(read())


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Storage, bytes]:
    """Return a store with a document, and the document."""
    storage = open_storage(f"file://{tmp_path / 'objects'}")
    with CaptionWriter([CaptionFormat.WORDS], tmp_path, Language.AMERICAN_ENGLISH) as writer:
        for n, text in enumerate(TEXTS):
            words = tuple(
                TimedWord(word, n + i / 10, n + (i + 1) / 10, 0, 1, 0, 1)
                for i, word in enumerate(text.split())
            )
            writer.add([TimedSentence(text, n, n + 1, 0, len(text), n, words, True)])
        (made,) = writer.close(len(TEXTS))
    data = made.path.read_bytes()
    storage.put(KEY, data)
    return storage, data


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 64, 1000, 10**6])
def test_rows_are_those_of_the_document_however_it_is_cut(
    stored: tuple[Storage, bytes], monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr("shared.storage.store.STREAM_BYTES", chunk_bytes)
    storage, data = stored
    document = json.loads(data)
    assert rows(storage, "sentences") == document["sentences"]
    assert rows(storage, "words") == document["words"]
    assert [row["text"] for row in document["sentences"]] == TEXTS


def test_a_document_that_is_cut_short_is_an_error(stored: tuple[Storage, bytes]) -> None:
    storage, data = stored
    storage.put(KEY, data[:-20])
    with pytest.raises(ObjectMissing):
        rows(storage, "words")
    storage.delete([KEY])
    with pytest.raises(ObjectMissing):
        rows(storage, "words")


def test_a_document_without_words_has_no_rows(tmp_path: Path) -> None:
    storage = open_storage(f"file://{tmp_path / 'objects'}")
    with CaptionWriter([CaptionFormat.WORDS], tmp_path, Language.AMERICAN_ENGLISH) as writer:
        (made,) = writer.close(1.0)
    storage.put(KEY, made.path.read_bytes())
    assert rows(storage, "words") == []
