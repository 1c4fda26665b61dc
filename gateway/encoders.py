"""The gateway's encoder processes: started when first needed, replaced when lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.encoder_child import (
    EncoderChild,
    EncoderLost,
    SegmentUnavailable,
    start_child,
)
from gateway.errors import EncoderUnavailable, SystemFull
from shared.formats import AudioFormat
from shared.frames import Frame, Message
from shared.ledger.records import SegmentRecord
from shared.settings import Settings

log = structlog.get_logger()

STREAMS_MOST = 256
"""Streams of one gateway at a time; each costs its encoder some work and a segment's audio."""
STARTS_MOST = 2
"""Children tried in a row before a stream hears that there is none."""
AGAIN_FIRST_S, AGAIN_MOST_S, PATIENCE_S = 0.1, 2.0, 30.0
"""How a segment that storage does not give is asked for again, and for how long."""


@dataclass
class Encoding:
    """A stream in one child; lost with it.

    Attributes:
        number: its name there.
    """

    child: EncoderChild
    number: int

    async def segment(self, segment: SegmentRecord) -> AsyncIterator[bytes]:
        """Encode a segment that is done; yield the bytes it leads to.

        Raises:
            EncoderLost: the stream has to begin anew.
            SegmentUnavailable, SegmentUnreadable: the segment can't be had.
        """
        if segment.key is None:
            kind, payload = Frame.SILENCE, str(segment.samples or 0).encode()
        else:
            kind, payload = Frame.SEGMENT, segment.key.encode()
        answer = await self._ask_again(kind, payload)
        yield answer.payload
        while answer.kind is Frame.PART:
            answer = await self.child.ask(Frame.MORE, self.number)
            yield answer.payload

    async def finish(self) -> bytes:
        """Return the stream's last bytes.

        Raises:
            EncoderLost: the stream has to begin anew.
            SegmentUnreadable: the encoder failed.
        """
        return (await self.child.ask(Frame.END, self.number)).payload

    async def _ask_again(self, kind: Frame, payload: bytes) -> Message:
        wait_s, waited_s = AGAIN_FIRST_S, 0.0
        while True:
            try:
                return await self.child.ask(kind, self.number, payload)
            except SegmentUnavailable as error:
                if waited_s >= PATIENCE_S:
                    raise
                log.warning("storage does not answer", action="stream", error=error.message[:200])
            await asyncio.sleep(wait_s)
            waited_s += wait_s
            wait_s = min(2 * wait_s, AGAIN_MOST_S)


class Encoders:
    """Gives each stream a place in the child that has the fewest.

    Args:
        settings: for the children.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: list[EncoderChild] = []
        self._starting = asyncio.Lock()
        self.active = 0

    @property
    def pids(self) -> list[int]:
        """Of the children that live."""
        return [child.pid for child in self._children if not child.lost]

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat, volume: float) -> AsyncIterator[Encoding]:
        """Give a stream for a block.

        Raises:
            SystemFull: there are too many.
            EncoderUnavailable: no child can be started.
        """
        if self.active >= STREAMS_MOST:
            raise SystemFull(f"{STREAMS_MOST} streams are open at this gateway; try again shortly.")
        self.active += 1
        try:
            child = await self._least_busy()
            encoding = Encoding(child, child.open(format=audio_format.value, volume=volume))
            try:
                yield encoding
            finally:
                child.drop(encoding.number)
        finally:
            self.active -= 1

    async def _least_busy(self) -> EncoderChild:
        async with self._starting:
            for lost in [child for child in self._children if child.lost]:
                self._children.remove(lost)
                await lost.end()
            free = [child for child in self._children if not child.streams]
            if not free and len(self._children) < self._settings.live_encoders:
                await self._start_one()
            return min(self._children, key=lambda child: child.streams)

    async def _start_one(self) -> None:
        """Start a child; one that is killed while it starts says nothing of the next."""
        for left in reversed(range(STARTS_MOST)):
            try:
                self._children.append(await start_child(self._settings))
                return
            except (EncoderLost, OSError) as error:
                log.error("encoder does not start", action="encode", error=str(error)[:200])
                if not left and not self._children:
                    raise EncoderUnavailable() from error

    async def stop(self) -> None:
        """End all children."""
        async with self._starting:
            await asyncio.gather(*(child.end() for child in self._children))
            self._children.clear()
