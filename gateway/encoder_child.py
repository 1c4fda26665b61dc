"""One encoder process beside the gateway, and the socket between them.

The gateway holds no audio and loads nothing that encodes it. The child reads stored segments by
their keys; what comes back are a stream's bytes, asked for a piece at a time.
"""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from asyncio import StreamReader, StreamWriter

import structlog

from shared.errors import PermanentError, TransientError
from shared.frames import HEAD, Frame, Message, pack, unpack_head
from shared.settings import Settings

log = structlog.get_logger()

START_TIMEOUT_S = 60.0
"""Within this time a child has loaded what it needs."""
ANSWER_TIMEOUT_S = 60.0
"""A child that does not answer for so long is replaced."""
END_TIMEOUT_S = 2.0

COMMAND = (sys.executable, "-m", "worker.live_encoding")


class EncoderLost(TransientError):
    """The encoder process has ended; another one can begin the stream anew."""

    code = "encoder_lost"


class SegmentUnavailable(TransientError):
    """A stored segment could not be read now; ask again."""

    code = "segment_unavailable"


class SegmentUnreadable(PermanentError):
    """A stored segment is gone or damaged, or can't be encoded."""

    code = "segment_unreadable"


class EncoderChild:
    """A child as the gateway sees it; made by `start_child`."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", reader: StreamReader, writer: StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._ids = itertools.count(1)
        self._listener = asyncio.create_task(self._listen())
        self._listener.add_done_callback(lambda _: self._lose())
        self.streams = 0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def lost(self) -> bool:
        """Whether it answers no more."""
        return self._listener.done()

    async def ready(self) -> None:
        """Return when it has loaded what it needs.

        Raises:
            EncoderLost: it ended instead, or took too long.
        """
        await self._answer(0, START_TIMEOUT_S)

    def open(self, **wish: object) -> int:
        """Begin a stream of this format and volume; return its number."""
        number = next(self._ids)
        self.streams += 1
        self._tell(Frame.OPEN, number, json.dumps(wish).encode())
        return number

    def drop(self, number: int) -> None:
        """Forget a stream."""
        self.streams -= 1
        self._tell(Frame.DROP, number)

    async def ask(self, kind: Frame, number: int, payload: bytes = b"") -> Message:
        """Ask the one question that may be open for a stream, and return its answer.

        Raises:
            EncoderLost: there will be no answer.
            SegmentUnavailable, SegmentUnreadable: see there.
        """
        self._tell(kind, number, payload)
        answer = await self._answer(number, ANSWER_TIMEOUT_S)
        if answer.kind is Frame.FAILED:
            reason = json.loads(answer.payload)
            error = SegmentUnavailable if reason["transient"] else SegmentUnreadable
            raise error(f"{reason['code']}: {reason['message']}")
        return answer

    async def end(self) -> None:
        """End the process, by closing the socket it reads and, if need be, by force."""
        self._lose()
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        await asyncio.to_thread(self._reap)

    def _tell(self, kind: Frame, number: int, payload: bytes = b"") -> None:
        # Questions are small, and there is one a stream: nothing piles up.
        if not self._writer.is_closing():
            self._writer.write(pack(kind, number, payload))

    async def _answer(self, number: int, within_s: float) -> Message:
        if self.lost:
            raise EncoderLost()
        coming: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = coming
        try:
            async with asyncio.timeout(within_s):
                return await coming
        except TimeoutError as error:
            log.error("encoder does not answer", action="encode", pid=self.pid)
            self._process.kill()  # its other streams begin anew with another one
            raise EncoderLost("The encoder did not answer in time.") from error
        finally:
            self._answers.pop(number, None)

    async def _listen(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await self._reader.readexactly(HEAD.size)
                size, number, kind = unpack_head(head)
                message = Message(kind, number, await self._reader.readexactly(size))
                waiting = self._answers.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)

    def _lose(self) -> None:
        self._writer.close()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(EncoderLost())

    def _reap(self) -> None:
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def start_child(settings: Settings) -> EncoderChild:
    """Start an encoder process and return it once it is ready.

    Raises:
        EncoderLost: it ended at once, or did not get ready; its log says why.
        OSError: no process can be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        environment = {**os.environ, **settings.as_environment()}
        try:
            process = await asyncio.to_thread(_spawn, theirs, environment)
        except OSError:
            ours.close()
            raise
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    child = EncoderChild(process, reader, writer)
    try:
        await child.ready()
    except BaseException:
        await child.end()
        raise
    log.info("encoder started", action="encode", pid=child.pid)
    return child


def _spawn(theirs: socket.socket, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - a command of our own, without a word of a client's
        COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment
    )
