"""What is known of a job while it is waited for, from events or from looking at it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import httpx

from client.answers import ENDED, NOTHING_DONE, Job, Progress, Segment
from client.calls import job_id_of
from client.connection import CONNECT_TIMEOUT_S
from client.errors import ApiError, JobNotFound, KokoroClusterError, WaitTimedOut
from client.events import EventParser, ServerEvent
from client.reading import read
from client.retrying import Retry

SILENT_S = 45.0
"""A stream of events says something every 15 seconds; one that is silent for longer is gone."""

FIRST_LOOK_S, LONGEST_LOOK_S = 0.5, 5.0
"""Between looks at a job when there are no events and the server advises nothing."""

MAX_BREAKS = 5
"""Connections in a row that end without an event; then the job is looked at instead."""


class NoEvents(Exception):
    """The server has no events; the job is to be looked at instead."""


NO_EVENTS = frozenset({404, 405, 406, 501})
"""Statuses of a server, or a proxy before it, that has no events."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """How a job stands.

    Attributes:
        event: `queued`, `started`, `progress`, `segment`, or the status it ended with.
        job_id: the job.
        status: the last one known.
        stage: `plan`, `render`, `assemble`, or "" while that is not known.
        progress: segments and seconds of audio so far.
        queue_position: jobs ahead; None once work has begun.
        eta_s: seconds until the end as the server expects it, or None.
        segment: what has just been done, for `segment` events.
        job: the whole job, once it has ended.
        raw: what the server said.
    """

    event: str
    job_id: str
    status: str = "queued"
    stage: str = ""
    progress: Progress = NOTHING_DONE
    queue_position: int | None = None
    eta_s: float | None = None
    segment: Segment | None = None
    job: Job | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def share(self) -> float | None:
        """Part of the known segments that is done, in [0, 1]; None before any is known."""
        total = self.progress.segments_total
        return min(1.0, self.progress.segments_done / total) if total else None


@dataclass
class Watch:
    """Folds what comes into updates; holds no connection.

    Args:
        job: which; its id is kept.
        timeout_s: seconds until `left_s` raises; None: never.
        began_s: when the time began, by the clock; default: now.
        clock: seconds, monotonic.
    """

    job: InitVar[Job | str]
    timeout_s: float | None = None
    began_s: InitVar[float | None] = None
    clock: Callable[[], float] = time.monotonic
    parser: EventParser = field(default_factory=EventParser)
    breaks: int = 0
    looks: int = 0
    last: Update = field(init=False)

    def __post_init__(self, job: Job | str, began_s: float | None) -> None:
        """Begin with nothing known."""
        self.last = Update(event="", job_id=job.id if isinstance(job, Job) else job)
        self._began_s = self.clock() if began_s is None else began_s

    @property
    def path(self) -> str:
        """Where the job's events are."""
        return f"/v1/jobs/{job_id_of(self.last.job_id)}/events"

    def left_s(self) -> float:
        """Return seconds that may still be waited, `SILENT_S` at most.

        Raises:
            WaitTimedOut: none.
        """
        if self.timeout_s is None:
            return SILENT_S
        left_s = self._began_s + self.timeout_s - self.clock()
        if left_s <= 0:
            raise WaitTimedOut(self.last.job_id, self.timeout_s)
        return min(left_s, SILENT_S)

    def timeouts(self) -> httpx.Timeout:
        """Return the timeouts of a connection for events."""
        return httpx.Timeout(self.left_s(), connect=CONNECT_TIMEOUT_S)

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for events, from where they broke off."""
        self.parser.forget_half()
        found = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.parser.last_id:
            found["Last-Event-ID"] = self.parser.last_id
        return found

    def feed(self, chunk: bytes) -> list[Update]:
        """Return the updates that a chunk of the stream brings.

        Raises:
            UnreadableAnswer: it is not a cluster's.
        """
        events = self.parser.feed(chunk)
        if events:
            self.breaks = 0
        return [update for event in events if (update := self._take(event)) is not None]

    def _take(self, event: ServerEvent) -> Update | None:
        data = event.data
        if event.name in ENDED:
            return self.look(read(Job, data, "job"), event.name)
        fresh = replace(self.last, event=event.name, segment=None, raw=data)
        if isinstance(data.get("eta_s"), int | float):
            fresh = replace(fresh, eta_s=float(data["eta_s"]))
        match event.name:
            case "queued":
                place = data.get("queue_position")
                place = place if isinstance(place, int) else None
                fresh = replace(fresh, status="queued", queue_position=place)
            case "started":
                fresh = replace(fresh, status="processing", queue_position=None)
            case "progress":
                fresh = replace(
                    fresh,
                    status="processing",
                    queue_position=None,
                    stage=str(data.get("stage") or ""),
                    progress=read(Progress, data, "progress"),
                )
            case "segment":
                fresh = replace(fresh, segment=read(Segment, data, "segment"))
            case _:
                return None  # of a newer server
        self.last = fresh
        return fresh

    def look(self, job: Job, event: str | None = None) -> Update:
        """Return the update that a look at the whole job is."""
        event = event or (job.status if job.ended else "progress")
        self.last = replace(
            self.last,
            event=event,
            status=job.status,
            progress=job.progress,
            queue_position=job.queue_position,
            eta_s=job.eta_s,
            segment=None,
            job=job if job.ended else None,
            raw=job.raw,
        )
        self.looks += 1
        return self.last

    def check(self, response: httpx.Response) -> None:
        """Raise `NoEvents` unless the answer is a stream of events."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind != "text/event-stream":
            raise NoEvents()

    def broke(self, error: KokoroClusterError | None, retry: Retry) -> float:
        """Return seconds until the next connection, after one that ended before the job did.

        Args:
            error: what ended it; None for a server that closed it, as one that is stopped does.
            retry: how patient to be.

        Raises:
            NoEvents: there are none to be had; look at the job instead.
            KokoroClusterError: the error itself, when trying again can't help.
            WaitTimedOut: the time is over.
        """
        self.left_s()
        self.breaks += 1
        if isinstance(error, JobNotFound):
            raise error
        if isinstance(error, ApiError) and error.status in NO_EVENTS:
            raise NoEvents()
        if error is None:
            if self.breaks > MAX_BREAKS:
                raise NoEvents()
            return min(4.0, 0.1 * 2.0**self.breaks, self.left_s())
        wait_s = retry.wait_s(self.breaks, error)
        if wait_s is None:
            raise error
        return min(wait_s, self.left_s())

    def pause_s(self, job: Job) -> float:
        """Return seconds until the next look: what the server advises, else ever longer ones.

        Raises:
            WaitTimedOut: the time is over.
        """
        own_s = min(LONGEST_LOOK_S, FIRST_LOOK_S * 1.5 ** max(0, self.looks - 1))
        return min(own_s if job.retry_after_s is None else job.retry_after_s, self.left_s())
