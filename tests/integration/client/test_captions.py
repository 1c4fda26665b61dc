"""When words are heard: through both clients and the command line, by a real cluster."""

import asyncio
import json

import pytest

from client.aio.cluster import AsyncKokoroCluster
from client.cli.exits import Exit
from client.errors import InvalidUse, NotFound
from client.sync.cluster import KokoroCluster
from tests.faults.cluster import FaultCluster
from tests.integration.client.conftest import Shell, served


@pytest.fixture(autouse=True)
def _served(whole: FaultCluster) -> None:
    served(whole, "/v1/jobs/{job_id}/captions.json")


def test_words_and_sentences_are_told_with_their_times(cluster: KokoroCluster, url: str) -> None:
    text = "Good morning, world. How are you?"
    job = cluster.wait(cluster.submit(text, timestamps=True))
    captions = cluster.captions(job)
    assert [word.word for word in captions.words][:3] == ["Good", "morning", "world"]
    assert [text[w.span.start : w.span.end] for w in captions.words if w.span] == [
        word.word for word in captions.words
    ]
    assert captions.complete
    assert job.output is not None
    assert captions.audio_s == pytest.approx(job.output.audio_s, abs=0.01)
    assert {one.format for one in job.output.captions} == {"srt", "vtt", "words"}
    assert cluster.caption_file(job, "vtt").startswith(b"WEBVTT")
    with pytest.raises(InvalidUse):
        cluster.caption_file(job, "doc")
    with pytest.raises(NotFound):
        cluster.captions(cluster.submit("Without any."))

    async def use() -> None:
        async with AsyncKokoroCluster(url) as other:
            assert await other.captions(job) == captions
            assert b"-->" in await other.caption_file(job, "srt")

    asyncio.run(use())


def test_captions_are_written_or_shown(shell: Shell) -> None:
    job = shell.run("submit", "-", "--timestamps", "--watch", stdin=b"Good morning, world.")
    assert job.code == Exit.OK, job.err
    shown = shell.run("captions", job.text.strip())
    assert "-->" in shown.text
    assert "Good morning, world." in shown.text
    assert shell.run("captions", job.text.strip(), "-o", "a.vtt").code == Exit.OK
    assert (shell.folder / "a.vtt").read_text().startswith("WEBVTT")
    words = json.loads(shell.run("captions", job.text.strip(), "--json").text)["words"]
    assert [word["word"] for word in words] == ["Good", "morning", "world"]
    plain = shell.run("submit", "-", "--watch", stdin=b"Without any.").text.strip()
    assert shell.run("captions", plain).code == Exit.REFUSED
