"""What a job would come to: through both clients and the command line, by a real cluster."""

import asyncio
import io
import json

import pytest

from client.aio.cluster import AsyncKokoroCluster
from client.cli.exits import Exit
from client.errors import UnknownVoice
from client.sync.cluster import KokoroCluster
from tests.integration.client.conftest import Shell


def test_what_a_text_or_a_document_would_come_to_is_told(cluster: KokoroCluster, url: str) -> None:
    text = "The blorfing harbour lay quiet under a thin layer of fog."
    found = cluster.estimate(text, voice="bf_emma", speed=2.0)
    assert found.segments == 1
    assert found.audio_s
    slow = cluster.estimate(text, voice="bf_emma")
    assert slow.audio_s
    assert slow.audio_s == pytest.approx(2 * found.audio_s, rel=0.1)
    assert "blorfing" in {word.word for word in found.oov}
    assert found.fatal == ()
    assert {one.code for one in cluster.estimate("你好").fatal} == {"nothing_to_speak"}
    chapters = cluster.estimate(chapters=[{"title": "One", "input": text}])
    assert (chapters.chapters, chapters.input_chars) == (1, len(f"[chapter:One]\n\n{text}"))
    with pytest.raises(UnknownVoice):
        cluster.estimate(text, voice="nobody")
    book = f"# One\n\n{text}\n\n# Two\n\n{text}\n".encode()
    document = cluster.estimate_document(io.BytesIO(book), name="book.md")
    assert (document.chapters, document.audio_s is not None) == (2, True)
    assert document.audio_s
    assert document.audio_s > slow.audio_s

    async def use() -> None:
        async with AsyncKokoroCluster(url) as other:
            assert (await other.estimate(text)).segments == 1
            again = await other.estimate_document(io.BytesIO(book), name="book.md")
            assert again.segments == document.segments

    asyncio.run(use())


def test_a_file_a_text_and_a_pipe_are_estimated(shell: Shell) -> None:
    told = shell.run("estimate", "The blorfing lay quiet.")
    assert told.code == Exit.OK, told.err
    assert "blorfing /" in told.text
    assert "audio" in told.text
    (shell.folder / "book.md").write_text("# One\n\nIt begins here.\n")
    document = json.loads(shell.run("estimate", "book.md", "--voice", "bf_emma", "--json").text)
    assert document["object"] == "estimate"
    assert document["audio_s"] > 0
    piped = shell.run("estimate", "-", stdin=b"From a pipe.")
    assert (piped.code, "segments" in piped.text) == (Exit.OK, True)
    unspeakable = shell.run("estimate", "你好")
    assert unspeakable.code == Exit.JOB_UNSUCCESSFUL
    assert "would fail" in unspeakable.text
    assert shell.run("estimate", "Hello.", "--voice", "nobody").code == Exit.REFUSED
    assert shell.run("estimate", " ").code == Exit.USAGE
