"""`AsyncKokoroCluster`: the API for asyncio and trio."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, Self, Unpack

import httpx

from client import calls, captions, estimates
from client.aio.batches import AsyncBatches
from client.aio.following import live, pieces, spoken, updates
from client.aio.lexicons import AsyncLexicons
from client.aio.sender import AsyncSender
from client.answers import Delivery, Job, JobPage
from client.captions import Captions
from client.connection import DEFAULT_URL, Address
from client.errors import Unreachable
from client.estimates import Estimate
from client.inventory import ClusterState, Model, Voice, Worker
from client.requests import JobFilter, JobOptions, RedoOptions
from client.retrying import Again, Retry
from client.speech import Speech, document, has_file, whole_file
from client.watching import Update, Watch


class AsyncKokoroCluster:
    """A cluster as one of its clients sees it. Tasks may share it.

    Every call may raise `ApiError` (the server refused it), `Unreachable` (no answer came) or
    `InvalidUse` (it can't be sent); a call is made again by itself where that is safe and may help.

    Args:
        url: where the gateway listens.
        key: an API key, where the cluster has keys.
        retry: how patient to be with a server that is full, restarting or away.
        on_retry: told of each call that will be tried again.
        http: an httpx.AsyncClient of your own, for certificates or proxies: it is used as it is,
            its base URL and headers too, and is yours to close.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        retry: Retry | None = None,
        on_retry: Callable[[Again], None] | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._sender = AsyncSender(Address(url, key), retry or Retry(), on_retry, http)
        self.lexicons = AsyncLexicons(self._sender)
        self.batches = AsyncBatches(self._sender)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._sender.close()

    # Speech

    async def speak(
        self, text: str, *, timeout_s: float | None = None, **options: Unpack[JobOptions]
    ) -> Speech:
        """Speak a text; return its audio once all of it is there.

        Raises:
            JobUnsuccessful: the job failed, was canceled or expired.
            WaitTimedOut: it has not ended within `timeout_s`; it goes on.
        """
        began_s = time.monotonic()
        job = await self._sender.send(calls.submit(text, options, hold_s=timeout_s))
        if not job.ended:
            job = await _last(updates(self._sender, Watch(job, timeout_s, began_s)), None)
        job.raise_unless_succeeded()
        return Speech.of(job, await self.audio(job))

    def stream(self, text: str, **options: Unpack[JobOptions]) -> AsyncGenerator[bytes, None]:
        """Speak a text; go through its audio as it is made, from the first sentence on.

        A loop that is left before the end cancels the job.

        Raises:
            JobUnsuccessful: the job ended without the rest of it.
            BrokenAudio: it broke off.
        """
        return spoken(self._sender, calls.submit(text, options), options.get("format"))

    # Jobs

    async def submit(
        self,
        text: str | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Make a job and return it at once; `wait` for it, or look at it later by its id.

        A repeat with the same `idempotency_key`, your own, within a day gives the same job.
        """
        return await self._sender.send(calls.submit(text, options, idempotency_key=idempotency_key))

    async def upload(
        self,
        file: str | Path | BinaryIO,
        *,
        name: str | None = None,
        srt_timing: bool = False,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Make a job of a document: plain text, Markdown, SubRip or EPUB, told by its name.

        With `srt_timing` the silences between subtitles become pauses.
        """
        named, data = document(file, name)
        call = calls.upload(
            named, data, options, srt_timing=srt_timing, idempotency_key=idempotency_key
        )
        return await self._sender.send(call)

    async def estimate(self, text: str | None = None, **options: Unpack[JobOptions]) -> Estimate:
        """Say what `submit` would come to: seconds of audio, the wait, problems. Makes nothing."""
        return await self._sender.send(estimates.estimate(text, options))

    async def estimate_document(
        self,
        file: str | Path | BinaryIO,
        *,
        name: str | None = None,
        srt_timing: bool = False,
        **options: Unpack[JobOptions],
    ) -> Estimate:
        """Say what `upload` would come to. Makes nothing."""
        named, data = document(file, name)
        call = estimates.estimate_document(named, data, options, srt_timing=srt_timing)
        return await self._sender.send(call)

    async def redo(
        self,
        job: Job | str,
        segment: int,
        text: str,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RedoOptions],
    ) -> Job:
        """Make a job of a finished one in which one segment is said anew; the finished one stays.

        `get(job, segments=True)` has the segments with their places in the text. All others are
        taken over as they are. `redo_of` of the new job tells what it was made of.
        """
        call = calls.redo(job, segment, text, options, idempotency_key=idempotency_key)
        return await self._sender.send(call)

    async def get(self, job: Job | str, *, segments: bool = False) -> Job:
        """Look at a job; with `segments`, at each stretch of its text as well."""
        return await self._sender.send(calls.get(job, segments=segments))

    async def page(
        self, *, limit: int = 20, after: str | None = None, **wanted: Unpack[JobFilter]
    ) -> JobPage:
        """List at most `limit` (100) jobs, newest first; `after` of one page asks for the next."""
        return await self._sender.send(calls.jobs(limit=limit, after=after, wanted=wanted))

    async def jobs(self, **wanted: Unpack[JobFilter]) -> AsyncIterator[Job]:
        """Go through all jobs, newest first; pages are fetched as they are needed."""
        after: str | None = None
        while True:
            page = await self.page(limit=calls.MAX_PAGE, after=after, **wanted)
            for job in page.data:
                yield job
            after = page.after
            if after is None:
                return

    async def cancel(self, job: Job | str) -> Job:
        """End a job; what was not begun never begins.

        Raises:
            JobTerminal: it had ended already.
        """
        return await self._sender.send(calls.cancel(job))

    async def delete(self, job: Job | str) -> None:
        """Remove a job that has ended, with all it left.

        Raises:
            JobRunning: cancel it first.
        """
        await self._sender.send(calls.delete(job))

    async def deliveries(self, job: Job | str) -> tuple[Delivery, ...]:
        """Return what became of a job's webhooks."""
        return (await self._sender.send(calls.deliveries(job))).data

    # Waiting

    async def wait(
        self,
        job: Job | str,
        on_progress: Callable[[Update], Awaitable[None] | None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Job:
        """Return a job once it has ended, however it did: `raise_unless_succeeded()` tells.

        Raises:
            WaitTimedOut: it has not ended in time; it goes on.
        """
        return await _last(self.watch(job, timeout_s=timeout_s), on_progress)

    def watch(self, job: Job | str, *, timeout_s: float | None = None) -> AsyncIterator[Update]:
        """Go through a job's updates as they come; the last one has the whole job.

        Raises:
            WaitTimedOut: it has not ended in time; it goes on.
        """
        return updates(self._sender, Watch(job, timeout_s))

    # Audio

    async def audio(
        self, job: Job | str, format: str | None = None, *, chapter: int | None = None
    ) -> bytes:
        """Return a file of a finished job, by default its main one.

        `chapter`, 1 for the first, asks for the file of one, of a job with `split="chapters"`.

        Raises:
            BrokenAudio: what came is not what the job says it made.
        """
        found = self.iter_audio(job, format, chapter=chapter)
        return b"".join([piece async for piece in found])

    async def iter_audio(
        self, job: Job | str, format: str | None = None, *, chapter: int | None = None
    ) -> AsyncIterator[bytes]:
        """Go through a file of a finished job in pieces; a connection that breaks is made anew.

        Raises:
            BrokenAudio: what came is not what the job says it made; known at the end.
        """
        known = isinstance(job, Job) and has_file(job, format, chapter)
        finished = job if isinstance(job, Job) and known else await self.get(job)
        async for piece in pieces(self._sender, finished, format, chapter):
            yield piece

    def listen(self, job: Job | str, format: str | None = None) -> AsyncIterator[bytes]:
        """Go through a job's audio from its beginning, while the rest is made.

        Raises:
            JobUnsuccessful: the job ended without the rest of it.
            BrokenAudio: it broke off.
        """
        return live(self._sender, job, format)

    async def download(
        self,
        job: Job | str,
        path: str | Path,
        format: str | None = None,
        *,
        chapter: int | None = None,
    ) -> Path:
        """Write a file of a finished job, whole or not at all; return its path.

        Raises:
            BrokenAudio: what came is not what the job says it made.
        """
        with whole_file(Path(path)) as file:
            async for piece in self.iter_audio(job, format, chapter=chapter):
                file.write(piece)
        return Path(path)

    async def segment_audio(self, job: Job | str, index: int) -> bytes:
        """Return a segment of a job as WAV, as soon as it is done.

        Raises:
            Conflict: it is not done yet, or is a pause.
        """
        return await self._sender.send(calls.segment_audio(job, index))

    # Captions

    async def captions(
        self, job: Job | str, *, partial: bool = False, after: str | None = None
    ) -> Captions:
        """Return when each word of a job is heard that was made with `timestamps`.

        With `partial` the finished beginning of a job that runs; `after` of one answer asks for
        what has come since.

        Raises:
            NotFound: the job was made without captions.
        """
        return await self._sender.send(captions.words(job, partial=partial, after=after))

    async def caption_file(self, job: Job | str, kind: str) -> bytes:
        """Return a finished job's captions as `srt`, `vtt` or `json`, UTF-8.

        Raises:
            NotFound: the job was made without these captions.
        """
        return await self._sender.send(captions.file(job, kind))

    # The cluster

    async def voices(self) -> tuple[Voice, ...]:
        """Return the voices that are loaded."""
        return (await self._sender.send(calls.voices())).data

    async def models(self) -> tuple[Model, ...]:
        """Return the models that are loaded."""
        return (await self._sender.send(calls.models())).data

    async def workers(self) -> tuple[Worker, ...]:
        """Return the workers heard of in the last seconds."""
        return (await self._sender.send(calls.workers())).data

    async def cluster(self) -> ClusterState:
        """Say how much waits, over all keys, and how fast it goes."""
        return await self._sender.send(calls.cluster())


async def _last(
    found: AsyncIterator[Update], on_progress: Callable[[Update], Awaitable[None] | None] | None
) -> Job:
    async for update in found:
        if on_progress is not None:
            answer = on_progress(update)
            if answer is not None:
                await answer
        if update.job is not None:
            return update.job
    raise Unreachable("The job's updates ended before the job.")
