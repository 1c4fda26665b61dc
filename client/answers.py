"""What a server answers, as frozen dataclasses.

Times are aware datetimes in UTC, lengths are seconds. `raw` is the JSON as it came, for fields that
a newer server has and this client does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from client.errors import JobCanceled, JobExpired, JobFailed, JobUnsuccessful

SUCCEEDED = "succeeded"

ENDED: Mapping[str, type[JobUnsuccessful] | None] = {
    SUCCEEDED: None,
    "failed": JobFailed,
    "canceled": JobCanceled,
    "expired": JobExpired,
}
"""The statuses that do not change any more, and the error each of them is."""


def raw_field() -> Any:
    """Return the field that holds an answer's JSON as it came."""
    return field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class TextSpan:
    """Characters of the input (Unicode code points), the end excluded."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of the input that is rendered at once; its times are those in the whole audio."""

    index: int
    status: str = ""
    pause: bool = False
    text: TextSpan | None = None
    start_s: float | None = None
    end_s: float | None = None
    attempts: int = 0
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is; `segments_total` grows while a long text is planned."""

    segments_total: int = 0
    segments_done: int = 0
    segments_reused: int = 0
    audio_s: float = 0.0


NOTHING_DONE = Progress()


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """One file of a finished job: of the whole, or of a chapter, from 1 on."""

    url: str
    format: str
    bytes: int = 0
    audio_s: float = 0.0
    sha256: str = ""
    chapter: int | None = None


@dataclass(frozen=True, kw_only=True)
class CaptionFile:
    """One file of a finished job's captions: `srt`, `vtt` or `words`."""

    url: str
    format: str
    bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Output(OutputFile):
    """The files of a finished job: the main one, the others, and captions if asked for."""

    sample_rate_hz: int = 24_000
    others: tuple[OutputFile, ...] = ()
    captions: tuple[CaptionFile, ...] = ()

    def file(self, format: str | None = None, chapter: int | None = None) -> OutputFile | None:
        """Return a file of a format, by default the main one's; None if there is none.

        Args:
            format: wanted.
            chapter: 1 for the first, of a job that was split; None: the file of the whole.
        """
        wanted = format or self.format
        files: tuple[OutputFile, ...] = (self, *self.others)
        return next((f for f in files if (f.format, f.chapter) == (wanted, chapter)), None)

    def chapter_files(self, format: str | None = None) -> tuple[OutputFile, ...]:
        """Return the files of single chapters, of a job that was split, in their order."""
        wanted = format or self.format
        found = [f for f in self.others if f.chapter is not None and f.format == wanted]
        return tuple(sorted(found, key=lambda one: one.chapter or 0))


@dataclass(frozen=True, kw_only=True)
class JobWarning:
    """Something a listener may want to know, such as a word that was not in the dictionary."""

    code: str
    segment: int | None = None
    detail: Any = None


@dataclass(frozen=True, kw_only=True)
class JobError:
    """Why a job failed."""

    code: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a job took."""

    queue_s: float | None = None
    synthesis_s: float = 0.0
    encode_s: float = 0.0
    realtime_factor: float | None = None
    attempts: int = 0
    worker: str | None = None
    model: str | None = None
    stand_in: bool | None = None
    precision: str | None = None


NOTHING_MEASURED = Metrics()


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A chapter of a job; where it is in the audio is known once the job has succeeded.

    `title` is empty for what is heard before the first chapter that has one.
    """

    title: str = ""
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class RedoOf:
    """The job that one was made of, and which of its segments was rendered anew."""

    job: str
    segment: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job. `status` goes queued → processing → succeeded, failed, canceled or expired.

    `retry_after_s` is when the server advises to look again; None once the job has ended.
    `chapters` are those planned so far; None in lists and webhooks.
    """

    id: str
    status: str
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    input_chars: int = 0
    progress: Progress = NOTHING_DONE
    queue_position: int | None = None
    eta_s: float | None = None
    output: Output | None = None
    warnings: tuple[JobWarning, ...] = ()
    error: JobError | None = None
    metrics: Metrics = NOTHING_MEASURED
    custom_id: str | None = None
    batch_id: str | None = None
    redo_of: RedoOf | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    author: str | None = None
    lexicons: tuple[str, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    segments: tuple[Segment, ...] | None = None
    chapters: tuple[Chapter, ...] | None = None
    retry_after_s: float | None = field(default=None, compare=False)
    raw: Mapping[str, Any] = raw_field()

    @property
    def ended(self) -> bool:
        """Whether the status will not change any more."""
        return self.status in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether there is audio."""
        return self.status == SUCCEEDED

    def raise_unless_succeeded(self) -> Self:
        """Return the job itself if it succeeded or has not ended yet.

        Raises:
            JobFailed, JobCanceled, JobExpired: it ended so.
        """
        error = ENDED.get(self.status)
        if error is not None:
            raise error(self)
        return self


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """Some jobs, newest first; `after` asks for the next page."""

    data: tuple[Job, ...] = ()
    has_more: bool = False
    after: str | None = None
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A webhook that is owed or was sent; `log` has its attempts."""

    id: str
    event: str = ""
    url: str = ""
    status: str = ""
    attempts: int = 0
    created_at: datetime | None = None
    next_attempt_at: datetime | None = None
    log: tuple[Mapping[str, Any], ...] = ()
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, kw_only=True)
class DeliveryList:
    """A job's webhooks, or a batch's."""

    data: tuple[Delivery, ...] = ()
    raw: Mapping[str, Any] = raw_field()
