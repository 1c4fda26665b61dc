"""Files of chapters: through both clients and the command line, by a real cluster."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from client.aio.cluster import AsyncKokoroCluster
from client.cli.exits import Exit
from client.errors import InvalidRequest
from client.sync.cluster import KokoroCluster
from tests.integration.client.conftest import Shell

BOOK = "# The harbour\n\nIt begins here.\n\n# What / then?\n\nIt goes on.\n"


def test_a_job_has_its_chapters_and_a_file_of_each(
    cluster: KokoroCluster, url: str, tmp_path: Path
) -> None:
    parts = [{"title": "One", "input": "It begins here."}, {"title": "Two", "input": "It ends."}]
    job = cluster.wait(cluster.submit(chapters=parts, split="chapters", formats=["wav", "mp3"]))
    job = cluster.get(job)
    assert job.output is not None
    assert job.chapters is not None
    assert [one.title for one in job.chapters] == ["One", "Two"]
    assert job.chapters[0].end_s == job.chapters[1].start_s
    assert job.chapters[1].end_s == pytest.approx(job.output.audio_s, abs=0.01)
    second = job.output.file("mp3", 2)
    assert second is not None
    path = cluster.download(job, tmp_path / "two.mp3", "mp3", chapter=2)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == second.sha256
    # A list leaves these files out; they are found and checked all the same.
    (listed,) = [one for one in cluster.page(limit=100).data if one.id == job.id]
    assert listed.chapters is None
    assert cluster.audio(listed, "mp3", chapter=2) == path.read_bytes()
    with pytest.raises(InvalidRequest, match="chapter 3"):
        cluster.audio(job, chapter=3)

    async def use() -> None:
        async with AsyncKokoroCluster(url) as other:
            assert await other.audio(listed, "mp3", chapter=2) == path.read_bytes()
            await other.download(job, tmp_path / "one.wav", chapter=1)

    asyncio.run(use())
    assert (tmp_path / "one.wav").read_bytes()[:4] == b"RIFF"


def test_a_folder_gets_a_file_of_each_chapter(shell: Shell) -> None:
    (shell.folder / "book.md").write_text(BOOK)
    ended = shell.run("submit", "book.md", "--watch", "--format", "wav", "-o", "book/")
    assert ended.code == Exit.OK, ended.err
    job = ended.err.split()[0]
    names = ["01 The harbour.wav", "02 What then.wav"]
    assert sorted(one.name for one in (shell.folder / "book").iterdir()) == names
    shown = shell.run("show", job).text
    assert "The harbour" in shown
    assert "of chapters" in shown
    one = shell.run("download", job, "--chapter", "2")
    assert one.code == Exit.OK, one.err
    whole = (shell.folder / "book" / names[1]).read_bytes()
    assert (shell.folder / names[1]).read_bytes() == whole
    assert shell.run("download", job, "--chapter", "2", "-o", "-").out == whole
    (shell.folder / "there").mkdir()
    assert shell.run("download", job, "-o", "there").code == Exit.OK
    assert sorted(one.name for one in (shell.folder / "there").iterdir()) == names
    assert shell.run("download", job, "--chapter", "9").code == Exit.REFUSED
    assert shell.run("download", job, "--chapter", "0").code == Exit.USAGE


def test_a_folder_gets_the_one_file_of_a_job_without_chapters(shell: Shell) -> None:
    job = shell.run("submit", "-", "--watch", stdin=b"No chapters here.").text.strip()
    assert shell.run("download", job, "-o", "new/folder/").code == Exit.OK
    assert [one.name for one in (shell.folder / "new/folder").iterdir()] == [f"{job}.mp3"]
    ended = shell.run("submit", "-", "--watch", "-o", "of-a-pipe/", stdin=b"None here either.")
    assert ended.code == Exit.OK, ended.err
    assert [one.name for one in (shell.folder / "of-a-pipe").iterdir()] == [
        f"{ended.err.split()[0]}.mp3"
    ]
    asked = shell.run("submit", "-", "--split", "chapters", stdin=b"Nor here.")
    assert asked.code == Exit.REFUSED
