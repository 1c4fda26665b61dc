"""A job's audio while it is made: its segments, encoded in order as each gets done."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from gateway.encoder_child import EncoderLost, SegmentUnavailable, SegmentUnreadable
from gateway.errors import ApiError, JobCanceled, JobExpired, JobFailed, JobNotFound, StreamBroken
from gateway.following import follow
from gateway.services import Services
from shared.formats import AudioFormat
from shared.ledger.records import JobRecord, SegmentRecord
from shared.ledger.states import TERMINAL, JobStatus

log = structlog.get_logger()

LOSSES_MOST = 5
"""A stream that lost its encoder so often without a new byte in between is given up."""
DRAIN_S = 3.5
"""How long streams may go on once the gateway is told to stop."""

NO_AUDIO: dict[JobStatus, type[ApiError]] = {
    JobStatus.FAILED: JobFailed,
    JobStatus.CANCELED: JobCanceled,
    JobStatus.EXPIRED: JobExpired,
}


def no_audio(record: JobRecord) -> ApiError:
    """Return what to say of a job that ended without audio."""
    reason = f" {record.error_message}" if record.error_message else ""
    kind = NO_AUDIO[record.status]
    return kind(f"The job is {record.status}, so it has no audio.{reason}")


@dataclass(frozen=True)
class Piece:
    """Some of a job's audio.

    Attributes:
        data: bytes of the encoded stream; perhaps none.
        begins: the segment that begins with it; None where it goes on with one, or ends the stream.
    """

    data: bytes
    begins: SegmentRecord | None = None


async def live_audio(
    services: Services, uid: str, audio_format: AudioFormat, *, volume: float = 1.0
) -> AsyncIterator[bytes]:
    """Yield the bytes of `live_pieces`; see there."""
    async with aclosing(live_pieces(services, uid, audio_format, volume=volume)) as pieces:
        async for piece in pieces:
            if piece.data:
                yield piece.data


async def live_pieces(
    services: Services, uid: str, audio_format: AudioFormat, *, volume: float = 1.0
) -> AsyncGenerator[Piece, None]:
    """Yield a job's audio from its beginning; end when its last segment is encoded.

    The same segments always give the same bytes. So when an encoder process ends, another begins
    anew, and what was sent before is left out. Each segment begins once.

    Raises:
        ApiError: the job ended without audio, or no encoder can be had.
        StreamBroken: the audio can't be completed now; the job may be all right.
    """
    sent = begun = losses = 0
    while True:
        skip = sent
        try:
            async for piece in _from_the_beginning(services, uid, audio_format, volume):
                data = piece.data[skip:]
                skip = max(0, skip - len(piece.data))
                begins = piece.begins
                if begins is not None and begins.index < begun:
                    begins = None
                elif begins is not None:
                    begun = begins.index + 1
                sent += len(data)
                losses = 0 if data else losses
                if data or begins is not None:
                    yield Piece(data, begins)
            return
        except EncoderLost as error:
            losses += 1
            log.warning("encoder lost", action="stream", job_id=uid, sent_bytes=sent)
            if losses >= LOSSES_MOST:
                raise StreamBroken("The encoder was lost again and again.") from error
        except (RedisError, OSError) as error:
            raise StreamBroken("The ledger does not answer.") from error
        except (SegmentUnavailable, SegmentUnreadable) as error:
            # What it says names keys, which are nobody's business.
            log.warning("segment not read", action="stream", job_id=uid, error=error.message[:300])
            raise StreamBroken("A segment of the audio can't be read.") from error


async def _from_the_beginning(
    services: Services, uid: str, audio_format: AudioFormat, volume: float
) -> AsyncIterator[Piece]:
    encoded = 0
    async with services.encoders.open(audio_format, volume) as encoding:
        async for seen in follow(services, uid, drain_s=DRAIN_S):
            if seen is None:
                continue
            if seen.job is None:
                raise JobNotFound()
            if seen.job.status in TERMINAL and seen.job.status is not JobStatus.SUCCEEDED:
                raise no_audio(seen.job)
            for segment in seen.done:
                begins: SegmentRecord | None = segment
                async for chunk in encoding.segment(segment):
                    yield Piece(chunk, begins)
                    begins = None
            encoded += len(seen.done)
            # Its files may still be in the making: nothing in them is waited for here.
            if seen.job.planned and encoded == seen.job.segments_total:
                yield Piece(await encoding.finish())
                return
    raise StreamBroken("The gateway is being stopped.")
