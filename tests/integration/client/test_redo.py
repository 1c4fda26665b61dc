"""A segment said anew: through both clients and the command line, by a real cluster."""

import asyncio

import pytest

from client.aio.cluster import AsyncKokoroCluster
from client.answers import RedoOf
from client.cli.exits import Exit
from client.errors import Conflict, JobNotFound, NotFound
from client.sync.cluster import KokoroCluster
from tests.faults.cluster import FaultCluster
from tests.integration.client.conftest import Shell, served


@pytest.fixture(autouse=True)
def _served(whole: FaultCluster) -> None:
    served(whole, "/v1/jobs/{job_id}/segments/{index}/redo")


def test_one_segment_is_said_anew_and_the_rest_is_taken_over(
    cluster: KokoroCluster, url: str, whole: FaultCluster
) -> None:
    text = whole.words(3)
    job = cluster.wait(cluster.submit(text, timestamps=True, format="wav"))
    before = cluster.audio(job)
    segments = cluster.get(job, segments=True).segments or ()
    spoken = [one for one in segments if not one.pause]
    second = spoken[1]
    made = cluster.redo(
        job, second.index, "Something quite different.", voice="bf_emma", idempotency_key="again"
    )
    assert made.redo_of == RedoOf(job=job.id, segment=second.index)
    ended = cluster.wait(made).raise_unless_succeeded()
    assert ended.progress.segments_reused == len(spoken) - 1
    said = [one.text for one in cluster.captions(ended).sentences]
    assert "Something quite different." in said
    assert cluster.audio(ended) != before
    assert cluster.audio(job) == before
    again = cluster.redo(
        job, second.index, "Something quite different.", voice="bf_emma", idempotency_key="again"
    )
    assert again.id == made.id
    with pytest.raises(NotFound):
        cluster.redo(job, 999, "Nobody says this.")
    with pytest.raises(JobNotFound):
        cluster.redo("job_nobody", 0, "Nobody says this.")
    running = cluster.submit(whole.words(200))
    with pytest.raises(Conflict):
        cluster.redo(running, 0, "Not yet.")
    cluster.cancel(running)

    async def use() -> None:
        async with AsyncKokoroCluster(url) as other:
            once_more = await other.redo(made.id, second.index, "And again.", speed=1.5)
            assert (await other.wait(once_more)).succeeded

    asyncio.run(use())


def test_a_segment_is_found_and_said_anew_from_the_shell(shell: Shell, whole: FaultCluster) -> None:
    text = whole.words(2)
    (shell.folder / "text.txt").write_text(text)
    job = shell.run("submit", "text.txt", "--timestamps", "--watch").text.strip()
    first, second = text.split("\n\n")
    rows = shell.run("show", job, "--segments").text.splitlines()
    (row,) = [row for row in rows if row.endswith(second)]
    quoted = shell.run("show", job, "--segments", "--text", "text.txt").text
    assert first in quoted
    (shell.folder / "other.txt").write_text("Another text.")
    other = shell.run("show", job, "--segments", "--text", "other.txt")
    assert (other.code, "is not the text" in other.err) == (Exit.USAGE, True)
    index = row.split()[0]
    made = shell.run("redo", job, index, "Better", "said.", "--watch", "-o", "better.mp3")
    assert made.code == Exit.OK, made.err
    new = made.err.split()[0]
    assert (shell.folder / "better.mp3").stat().st_size > 1000
    shown = shell.run("show", new, "--segments").text
    assert f"{job}, segment {index}" in shown
    assert "Better said." in shown
    piped = shell.run("redo", job, index, "--voice", "bf_emma", stdin=b"From a pipe.")
    assert piped.text.startswith("job_")
    misnamed = shell.run("redo", job, index, "Better said.", "--watch", "-o", "better.wav")
    assert (misnamed.code, "made mp3 and no wav" in misnamed.err) == (Exit.USAGE, True)
    assert shell.run("redo", job, "999", "Nobody says this.").code == Exit.REFUSED
    assert shell.run("redo", job, "first", "Nobody says this.").code == Exit.USAGE
    assert shell.run("redo", job, index, " ").code == Exit.USAGE
