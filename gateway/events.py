"""`/v1/jobs/{id}/events`: a job's progress as Server-Sent Events.

Every event is told from the job's state and none is kept anywhere: what a client has been told is
in the id of the last event it got, so it goes on from there, at any gateway.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from redis.exceptions import RedisError
from starlette.responses import Response

from gateway.callers import CallerOf
from gateway.errors import InvalidHeader, StreamBroken
from gateway.following import AGAIN_S, PATIENCE_S, follow
from gateway.jobs import JobId, find_job
from gateway.live_response import LiveResponse
from gateway.openapi import EVENTS_EXAMPLE, problems
from gateway.services import Services, ServicesOf
from gateway.views import whole_job
from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.following import Look
from shared.ledger.records import JobRecord, SegmentRecord
from shared.ledger.states import TERMINAL, JobStatus

router = APIRouter(tags=["jobs"])

PING_EVERY_S = 15.0
"""A comment is sent when nothing else was for this long, so that no proxy takes it for idle."""
PROGRESS_EVERY_S = 0.5
RETRY_MS = 1000
"""What clients are told to wait before they come back."""

_ID = re.compile(r"(?P<queued>queued)(?:-\d{1,9})?|started|(?P<ended>ended)|(\d{1,7})-(\d{1,15})")


@dataclass
class Told:
    """What a client has been told.

    Attributes:
        queued: the last event's id, where that said that the job waits.
        started: whether it was told that work began.
        segments: how many segments it was told of.
        samples: of those segments, at 24 kHz.
        ended: whether it was told of the end.
    """

    queued: str = ""
    started: bool = False
    segments: int = 0
    samples: int = 0
    ended: bool = False

    @classmethod
    def from_id(cls, text: str) -> "Told":
        """Read the id of the last event a client got; an empty one means none.

        Raises:
            InvalidHeader: no event has such an id.
        """
        if not text:
            return cls()
        match = _ID.fullmatch(text)
        if match is None:
            raise InvalidHeader("Last-Event-ID is no id of these events.", param="Last-Event-ID")
        if match["queued"]:
            return cls(queued=text)
        return cls(
            started=True,
            segments=int(match[3] or 0),
            samples=int(match[4] or 0),
            ended=match["ended"] is not None,
        )


def event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    """Write one event."""
    lines = [f"event: {name}", f"data: {json.dumps(data, ensure_ascii=False)}"]
    if event_id is not None:
        lines.insert(1, f"id: {event_id}")
    return ("\n".join(lines) + "\n\n").encode()


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events, until the job has ended.",
            "content": {
                "text/event-stream": {"schema": {"type": "string"}, "example": EVENTS_EXAMPLE}
            },
        },
        204: {"description": "You were told of its end already: don't come back."},
        **problems(400, 404, 422),
    },
)
async def get_events(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    job_id: JobId,
    *,
    last_event_id: Annotated[
        str | None,
        Query(max_length=40, description="In place of the header, where none can be set."),
    ] = None,
    last_event_header: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="The last event you got; those after it come."),
    ] = None,
) -> Response:
    """Follow a job: `queued`, `started`, `progress`, `segment`, and at the end its status."""
    told = Told.from_id(last_event_header or last_event_id or "")
    record = await find_job(services, caller, job_id)
    if told.ended and record.status in TERMINAL:
        return Response(status_code=204)
    teller = _Teller(services, services.base_url(request), told)
    return LiveResponse(
        teller.events(record.uid),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


@dataclass
class _Teller:
    """Tells one client of one job."""

    services: Services
    base_url: str
    told: Told
    progress: dict[str, Any] = field(default_factory=dict)
    progress_at: float = 0.0

    async def events(self, uid: str) -> AsyncIterator[bytes]:
        """Yield the stream's bytes.

        Raises:
            StreamBroken: the ledger has not answered for long.
        """
        yield f"retry: {RETRY_MS}\n\n".encode()
        said_at = time.monotonic()
        try:
            async for seen in follow(self.services, uid, start=self.told.segments):
                chunk = b""
                if seen is not None and seen.job is not None:
                    chunk = b"".join([part async for part in self._parts(seen.job, seen)])
                now = time.monotonic()
                if not chunk and now - said_at >= PING_EVERY_S:
                    chunk = b": still here\n\n"
                if chunk:
                    said_at = now
                    yield chunk
        except (RedisError, OSError) as error:
            raise StreamBroken("The ledger does not answer.") from error

    async def _parts(self, job: JobRecord, seen: Look) -> AsyncIterator[bytes]:
        if job.status is JobStatus.QUEUED:
            view = await self._view(job)
            name = f"queued-{view['queue_position'] or 0}"
            if name != self.told.queued:
                self.told.queued = name
                fields = {key: view[key] for key in ("status", "queue_position", "eta_s")}
                yield event("queued", fields, name)
            return
        if job.started_at is not None and not self.told.started:
            self.told.started = True
            yield event("started", {"status": JobStatus.PROCESSING.value}, "started")
        for chunk in self._segments(seen.done):
            yield chunk
        ended = job.status in TERMINAL and not seen.more
        now = time.monotonic()
        if ended or (job.stage and now - self.progress_at >= PROGRESS_EVERY_S):
            view = await self._view(job)
            progress = {"stage": job.stage, **view["progress"], "eta_s": view["eta_s"]}
            if job.stage and progress != self.progress:
                self.progress, self.progress_at = progress, now
                yield event("progress", progress)
            if ended:
                yield event(job.status.value, view, "ended")

    def _segments(self, done: tuple[SegmentRecord, ...]) -> Iterator[bytes]:
        for segment in done:
            start = self.told.samples
            self.told.samples += segment.samples or 0
            self.told.segments = segment.index + 1
            data = {
                "index": segment.index,
                "pause": segment.pause,
                "reused": segment.reused,
                "text": {"start": segment.start, "end": segment.end},
                "start_s": round(start / SAMPLE_RATE_HZ, 3),
                "end_s": round(self.told.samples / SAMPLE_RATE_HZ, 3),
            }
            yield event("segment", data, f"{self.told.segments}-{self.told.samples}")

    async def _view(self, job: JobRecord) -> dict[str, Any]:
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await whole_job(self.services, job, self.base_url)
            except (RedisError, OSError):
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(AGAIN_S)
