"""What goes on for longer than one answer; `client.sync.following`, awaited."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import anyio

from client import calls
from client.aio.sender import AsyncSender
from client.answers import Job
from client.calls import Call
from client.errors import BrokenAudio, KokoroClusterError, Unreachable
from client.speech import Download
from client.watching import NoEvents, Update, Watch


async def updates(sender: AsyncSender, watch: Watch) -> AsyncIterator[Update]:
    """Go through a job's updates: from its events, or from looks at it; the last has the job."""
    try:
        async for update in _from_events(sender, watch):
            yield update
    except NoEvents:
        async for update in _from_looks(sender, watch):
            yield update


async def _from_events(sender: AsyncSender, watch: Watch) -> AsyncIterator[Update]:
    while True:
        error: KokoroClusterError | None = None
        try:
            async with sender.once(
                "GET", watch.path, headers=watch.headers(), timeout=watch.timeouts()
            ) as response:
                watch.check(response)
                async for chunk in response.aiter_bytes():
                    for update in watch.feed(chunk):
                        yield update
                        if update.job is not None:
                            return
                    watch.left_s()
        except KokoroClusterError as raised:
            error = raised
        await anyio.sleep(watch.broke(error, sender.retry))


async def _from_looks(sender: AsyncSender, watch: Watch) -> AsyncIterator[Update]:
    while True:
        job = await sender.send(calls.get(watch.last.job_id))
        yield watch.look(job)
        if job.ended:
            return
        await anyio.sleep(watch.pause_s(job))


async def pieces(
    sender: AsyncSender, job: Job, format: str | None, chapter: int | None = None
) -> AsyncIterator[bytes]:
    """Go through a file of a finished job, going on where a connection breaks.

    Raises:
        BrokenAudio: what came is not what the job says it made; known at the end.
    """
    download = Download(job, format, chapter)
    call = calls.audio(job, format, chapter)
    tried = 0
    while not download.whole:
        tried += 1
        before = download.got
        try:
            async with sender.once(
                "GET", call.path, params=call.params, headers=download.headers(), follow=True
            ) as response:
                skip = download.to_skip(response.status_code)
                async for chunk in response.aiter_bytes():
                    fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                    if fresh:
                        yield download.take(fresh)
            break
        except Unreachable as error:
            # Each piece that came is a reason to go on.
            tried = 1 if download.got > before else tried
            await sender.pause(tried, error)
        except KokoroClusterError as error:
            await sender.pause(tried, error)
    download.check()


async def live(sender: AsyncSender, job: Job | str, format: str | None) -> AsyncIterator[bytes]:
    """Go through a job's audio while it is made.

    Raises:
        JobUnsuccessful: the job ended without the rest of it.
        BrokenAudio: it broke off, for the job may be all right.
    """
    call = calls.live_audio(job, format)
    begun = False
    try:
        async with sender.begun(call.method, call.path, **call.request()) as response:
            async for chunk in response.aiter_bytes():
                begun = True
                yield chunk
    except Unreachable as error:
        if not begun:
            raise
        # It can't be gone on with: the finished file need not have the same bytes.
        (await sender.send(calls.get(job))).raise_unless_succeeded()
        raise BrokenAudio("The audio broke off; what came of it is its beginning only.") from error


async def spoken(
    sender: AsyncSender, call: Call[Job], format: str | None
) -> AsyncGenerator[bytes, None]:
    """Make a job and go through its audio; cancel it when nobody wants the rest."""
    job = await sender.send(call)
    whole = False
    try:
        async for chunk in live(sender, job, format):
            yield chunk
        whole = True
    finally:
        if not whole:
            with contextlib.suppress(KokoroClusterError):
                await sender.send(calls.cancel(job))
