"""What goes on for longer than one answer: a job's updates, and a file in pieces."""

import contextlib
import time
from collections.abc import Generator, Iterator

from client import calls
from client.answers import Job
from client.calls import Call
from client.errors import BrokenAudio, KokoroClusterError, Unreachable
from client.speech import Download
from client.sync.sender import Sender
from client.watching import NoEvents, Update, Watch


def updates(sender: Sender, watch: Watch) -> Iterator[Update]:
    """Go through a job's updates: from its events, or from looks at it; the last has the job."""
    try:
        yield from _from_events(sender, watch)
    except NoEvents:
        yield from _from_looks(sender, watch)


def _from_events(sender: Sender, watch: Watch) -> Iterator[Update]:
    while True:
        error: KokoroClusterError | None = None
        try:
            with sender.once(
                "GET", watch.path, headers=watch.headers(), timeout=watch.timeouts()
            ) as response:
                watch.check(response)
                for chunk in response.iter_bytes():
                    for update in watch.feed(chunk):
                        yield update
                        if update.job is not None:
                            return
                    watch.left_s()
        except KokoroClusterError as raised:
            error = raised
        time.sleep(watch.broke(error, sender.retry))


def _from_looks(sender: Sender, watch: Watch) -> Iterator[Update]:
    while True:
        job = sender.send(calls.get(watch.last.job_id))
        yield watch.look(job)
        if job.ended:
            return
        time.sleep(watch.pause_s(job))


def pieces(
    sender: Sender, job: Job, format: str | None, chapter: int | None = None
) -> Iterator[bytes]:
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
            with sender.once(
                "GET", call.path, params=call.params, headers=download.headers(), follow=True
            ) as response:
                skip = download.to_skip(response.status_code)
                for chunk in response.iter_bytes():
                    fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                    if fresh:
                        yield download.take(fresh)
            break
        except Unreachable as error:
            # Each piece that came is a reason to go on.
            tried = 1 if download.got > before else tried
            sender.pause(tried, error)
        except KokoroClusterError as error:
            sender.pause(tried, error)
    download.check()


def live(sender: Sender, job: Job | str, format: str | None) -> Iterator[bytes]:
    """Go through a job's audio while it is made.

    Raises:
        JobUnsuccessful: the job ended without the rest of it.
        BrokenAudio: it broke off, for the job may be all right.
    """
    call = calls.live_audio(job, format)
    begun = False
    try:
        with sender.begun(call.method, call.path, **call.request()) as response:
            for chunk in response.iter_bytes():
                begun = True
                yield chunk
    except Unreachable as error:
        if not begun:
            raise
        # It can't be gone on with: the finished file need not have the same bytes.
        (sender.send(calls.get(job))).raise_unless_succeeded()
        raise BrokenAudio("The audio broke off; what came of it is its beginning only.") from error


def spoken(sender: Sender, call: Call[Job], format: str | None) -> Generator[bytes, None, None]:
    """Make a job and go through its audio; cancel it when nobody wants the rest."""
    job = sender.send(call)
    whole = False
    try:
        yield from live(sender, job, format)
        whole = True
    finally:
        if not whole:
            with contextlib.suppress(KokoroClusterError):
                sender.send(calls.cancel(job))
