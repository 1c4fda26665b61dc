"""When the words of a job's segments are heard, while the job is made and after."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.exceptions import RedisError

from gateway.captions import captions_file, read_durations_of
from gateway.errors import JobNotFound, StreamBroken
from gateway.following import AGAIN_S, PATIENCE_S
from gateway.live_audio import NO_AUDIO, no_audio
from gateway.offload import offload
from gateway.services import Services
from gateway.stored_captions import stored_rows
from shared.captions import word_rows
from shared.errors import ObjectMissing, StorageUnavailable
from shared.formats import CaptionFormat
from shared.ledger.records import JobRecord, SegmentRecord
from shared.spoken import PAUSE, SpokenSegment, decode
from shared.timings import time_segment

log = structlog.get_logger()

AHEAD_SEGMENTS = 32
"""Segments of which it is kept what they say, so that not each of them is asked for alone."""

T = TypeVar("T")


class LiveWords:
    """Tells the words of one job's segments, each segment once and in order.

    What segments say is in the ledger until the job ends; whoever listens more slowly than it is
    made then reads on in the job's own captions.

    Args:
        services: of the gateway.
        job: as it was accepted, with captions among what is made.
    """

    def __init__(self, services: Services, job: JobRecord) -> None:
        self._services = services
        self._job = job
        self._samples = 0
        self._spoken: dict[int, SpokenSegment] = {}
        self._stored: AsyncIterator[dict[str, Any]] | None = None
        self._row: dict[str, Any] | None = None

    async def of(self, segment: SegmentRecord) -> list[dict[str, Any]]:
        """Return the rows of a segment that is done, as in the job's captions.

        Args:
            segment: the one after that of the call before, or the job's first.

        Raises:
            ApiError: the job is gone, or ended otherwise, or what it says can't be read now.
        """
        before, self._samples = self._samples, self._samples + (segment.samples or 0)
        if segment.key is None:
            return []
        try:
            if self._stored is None:
                said = await self._said(segment.index)
                if said is not None:
                    return await self._timed(segment, said, before)
                self._stored = await self._captions()
            return await self._from_stored(segment.index)
        except (RedisError, OSError, StorageUnavailable) as error:
            raise StreamBroken("What is known of the words can't be read now.") from error
        except ObjectMissing as error:
            raise StreamBroken("A segment of the audio, or its words, can't be read.") from error

    async def _said(self, index: int) -> SpokenSegment | None:
        """Return what a segment says; None once the job has ended."""
        if index not in self._spoken:
            stop = index + AHEAD_SEGMENTS
            slices = await self._patiently(
                lambda: self._services.intake.spoken(self._job.uid, index, stop)
            )
            if slices is None:
                return None

            def decoded() -> dict[int, SpokenSegment]:
                return {
                    number: said
                    for begin, row in slices
                    for number, said in enumerate(decode(row), begin)
                    if index <= number < stop
                }

            self._spoken = await offload(sum(len(row) for _, row in slices), decoded)
        return self._spoken.pop(index, PAUSE)

    async def _timed(
        self, segment: SegmentRecord, said: SpokenSegment, start_samples: int
    ) -> list[dict[str, Any]]:
        (durations,) = await self._patiently(lambda: read_durations_of(self._services, [segment]))
        sentences = time_segment(
            said,
            index=segment.index,
            start_samples=start_samples,
            samples=segment.samples or 0,
            durations=durations,
        )
        return [row for sentence in sentences for row in word_rows(sentence, 0)]

    async def _captions(self) -> AsyncIterator[dict[str, Any]]:
        job = self._job
        ended = await self._patiently(lambda: self._services.intake.get(job.owner, job.uid))
        if ended is None:
            raise JobNotFound()
        if ended.status in NO_AUDIO:
            raise no_audio(ended)
        return stored_rows(
            self._services.storage, captions_file(ended, CaptionFormat.WORDS).key, "words"
        )

    async def _from_stored(self, index: int) -> list[dict[str, Any]]:
        found = []
        stored = self._stored
        while stored is not None:
            if self._row is None:
                self._row = await anext(stored, None)
            if self._row is None or self._row["segment"] > index:
                break
            if self._row["segment"] == index:
                found.append(self._row)
            self._row = None
        return found

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what is read, for as long as the audio's own stream would wait for it."""
        began = time.monotonic()
        while True:
            try:
                return await read()
            except (RedisError, OSError, StorageUnavailable) as error:
                if time.monotonic() - began > PATIENCE_S:
                    raise
                log.warning(
                    "words not read", action="stream", job_id=self._job.uid, error=repr(error)[:200]
                )
            await asyncio.sleep(AGAIN_S)
