import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from client.aio.cluster import AsyncKokoroCluster
from client.errors import JobNotFound, JobRunning, NoAudio, NotFound, Unreachable, WaitTimedOut
from client.lexicon import LexiconEntry
from client.watching import Update
from tests.conftest import free_port
from tests.faults.cluster import FaultCluster
from tests.integration.client.conftest import IMPATIENT
from worker.engines.scripted import Fault


def used(url: str, use: Callable[[AsyncKokoroCluster], Awaitable[None]]) -> None:
    """Run a coroutine with a client of the cluster."""

    async def run() -> None:
        async with AsyncKokoroCluster(url) as cluster:
            await use(cluster)

    asyncio.run(run())


def test_many_texts_are_spoken_at_once(url: str, tmp_path: Path) -> None:
    async def use(cluster: AsyncKokoroCluster) -> None:
        texts = [f"Text number {n} of many at once." for n in range(10)]
        spoken = await asyncio.gather(*(cluster.speak(text, format="wav") for text in texts))
        assert len({speech.job.id for speech in spoken}) == 10
        assert spoken[3].save(tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"

    used(url, use)


def test_a_job_is_waited_for_with_a_callback_of_either_kind(
    url: str, tmp_path: Path, whole: FaultCluster
) -> None:
    async def use(cluster: AsyncKokoroCluster) -> None:
        seen: list[Update] = []

        async def later(update: Update) -> None:
            await asyncio.sleep(0)
            seen.append(update)

        job = await cluster.submit(whole.words(8), formats=["wav", "mp3"])
        ended = await cluster.wait(job, seen.append)
        assert ended.succeeded
        assert seen[-1].job == ended
        before = len(seen)
        assert (await cluster.wait(job.id, later)).succeeded
        assert len(seen) > before
        path = await cluster.download(ended, tmp_path / "a.mp3", "mp3")
        assert path.read_bytes() == await cluster.audio(job.id, "mp3")
        segments = (await cluster.get(job, segments=True)).segments
        assert segments is not None
        assert len(segments) == ended.progress.segments_total

    used(url, use)


def test_a_job_is_found_canceled_and_deleted(url: str, whole: FaultCluster) -> None:
    async def use(cluster: AsyncKokoroCluster) -> None:
        job = await cluster.submit(whole.words(400), custom_id="async-long", priority="batch")
        await _raises(JobRunning, cluster.delete(job))
        await _raises(WaitTimedOut, cluster.wait(job, timeout_s=0.2))
        assert (await cluster.cancel(job)).status == "canceled"
        await _raises(NoAudio, cluster.audio(job))
        assert [one.id async for one in cluster.jobs(custom_id="async-long")] == [job.id]
        assert len((await cluster.page(limit=1)).data) == 1
        await cluster.delete(job)
        await _raises(JobNotFound, cluster.get(job))
        assert await _names(cluster.jobs(custom_id="async-long")) == []

    used(url, use)


def test_what_fails_and_what_is_away_is_an_error(url: str) -> None:
    async def use(cluster: AsyncKokoroCluster) -> None:
        job = await cluster.wait(await cluster.submit(f"It asks for {Fault.RAISE} once more."))
        assert job.error is not None
        away = AsyncKokoroCluster(f"http://127.0.0.1:{free_port()}", retry=IMPATIENT)
        await _raises(Unreachable, away.voices())
        await away.close()

    used(url, use)


def test_what_the_cluster_is_made_of(url: str) -> None:
    async def use(cluster: AsyncKokoroCluster) -> None:
        assert "af_heart" in {voice.id for voice in await cluster.voices()}
        assert "scripted" in {model.id for model in await cluster.models()}
        assert {worker.role for worker in await cluster.workers()} >= {"plan", "synth"}
        speech = await cluster.speak("No webhook was asked for.")
        assert await cluster.deliveries(speech.job) == ()

    used(url, use)


async def _raises(kind: type[Exception], doing: Awaitable[object]) -> None:
    try:
        await doing
    except kind:
        return
    raise AssertionError(f"it did not raise {kind.__name__}")


async def _names(jobs: AsyncIterator[object]) -> list[object]:
    return [job async for job in jobs]


def test_lexicons_segments_and_the_queue(url: str, whole: FaultCluster) -> None:
    async def use(cluster: AsyncKokoroCluster) -> None:
        entries = (LexiconEntry(word="Kokoro", respelling="ko ko ro"),)
        assert (await cluster.lexicons.put("async-names", entries)).entries_total == 1
        assert (await cluster.lexicons.get("async-names")).entries == entries
        assert "async-names" in {one.name for one in await cluster.lexicons.list()}
        job = await cluster.submit(whole.words(2), lexicons=["async-names"])
        segments = [update.segment async for update in cluster.watch(job) if update.segment]
        assert (await cluster.segment_audio(job, segments[0].index))[:4] == b"RIFF"
        await cluster.lexicons.delete("async-names")
        await _raises(NotFound, cluster.lexicons.delete("async-names"))
        assert (await cluster.cluster()).workers == 4

    used(url, use)


def test_audio_is_heard_while_it_is_made_and_documents_are_read(
    url: str, tmp_path: Path, whole: FaultCluster
) -> None:
    (tmp_path / "book.md").write_text("# One\n\nIt begins.\n")

    async def use(cluster: AsyncKokoroCluster) -> None:
        job = await cluster.upload(tmp_path / "book.md")
        heard = [piece async for piece in cluster.listen(job)]
        assert len(b"".join(heard)) > 1000
        pieces = [piece async for piece in cluster.stream(whole.words(3), format="pcm")]
        assert len(b"".join(pieces)) > 24_000

    used(url, use)
