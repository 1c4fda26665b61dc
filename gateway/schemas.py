"""The answers' shapes, for the OpenAPI document. The answers themselves are plain dicts."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.formats import AudioFormat, CaptionFormat
from shared.languages import Language
from shared.ledger.states import BatchStatus, DeliveryStatus, JobStatus, SegmentStatus


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(_Shape):
    """What went wrong and what to do."""

    message: str
    type: str
    code: str = Field(description="Stable; to be compared by programs.")
    param: str | None = Field(description="The field it is about, dotted.")


class Error(_Shape):
    """The body of every error."""

    error: ErrorDetail


class Progress(_Shape):
    """How far a job is."""

    segments_total: int = Field(description="Planned so far; grows while a long text is planned.")
    segments_done: int
    segments_reused: int = Field(description="Done without rendering: the audio existed already.")
    audio_s: float


class OutputFile(_Shape):
    """One file of a finished job."""

    url: str
    format: AudioFormat
    bytes: int
    audio_s: float
    sha256: str
    chapter: int | None = Field(
        None, description="1 for the first of `chapters`; absent for a file of the whole job."
    )


class CaptionFile(_Shape):
    """One file of a finished job's captions."""

    url: str
    format: CaptionFormat
    bytes: int
    sha256: str


class Output(OutputFile):
    """The files of a finished job; the first format asked for is the main one.

    Files of single chapters (`split`) are among the others where one job is shown, not in lists.
    """

    sample_rate_hz: int
    others: list[OutputFile]
    captions: list[CaptionFile] = Field(description="Those that were asked for.")


class Warning(_Shape):
    """Something a listener may want to know."""

    model_config = ConfigDict(extra="allow")

    code: str
    segment: int | None = None
    detail: Any = None


class JobError(_Shape):
    """Why a job failed."""

    code: str
    message: str


class Metrics(_Shape):
    """What a job took."""

    queue_s: float | None
    synthesis_s: float = Field(description="Seconds of a device, its share of each batch.")
    encode_s: float
    realtime_factor: float | None = Field(
        description="Seconds of audio per second from start to completion."
    )
    attempts: int = Field(description="Most tries any one segment took.")
    worker: str | None
    model: str | None
    stand_in: bool | None = Field(description="True: the audio is not Kokoro's.")
    precision: str | None = Field(
        description="`exact` or `fast`, as the engine rendered it; null until it has."
    )


class Urls(_Shape):
    """Where to go from here."""

    self: str
    audio: str
    captions: str | None = Field(
        description="Followed by `.srt`, `.vtt` or `.json`; null if none were asked for."
    )
    cancel: str
    events: str = Field(description="Its progress as Server-Sent Events.")


class TextSpan(_Shape):
    """Characters of the input, the end excluded."""

    start: int
    end: int


class CaptionSentence(_Shape):
    """A sentence, or the part of one that a segment holds, and when it is heard."""

    text: str
    start_s: float
    end_s: float
    span: TextSpan
    segment: int


class CaptionWord(_Shape):
    """A word and when it is heard."""

    word: str
    start_s: float
    end_s: float
    span: TextSpan
    segment: int
    sentence: int = Field(description="Its place among `sentences`.")


class Captions(_Shape):
    """When each word and each sentence is heard."""

    object: Literal["captions"]
    language: Language
    audio_s: float = Field(description="Seconds of audio that this goes up to.")
    exact: bool = Field(description="False: shared out by length, not told by the engine.")
    complete: bool = Field(description="True: up to the end of the job.")
    after: str | None = Field(description="With `partial`: where the next part begins.")
    sentences: list[CaptionSentence]
    words: list[CaptionWord]


class Segment(_Shape):
    """A stretch of the job that is rendered at once."""

    index: int
    status: SegmentStatus
    pause: bool
    text: TextSpan
    start_s: float | None = Field(description="In the audio, once all before it is done.")
    end_s: float | None
    attempts: int
    reused: bool


class Chapter(_Shape):
    """A chapter of the job; its place is known once the job has succeeded."""

    title: str = Field(description="Empty for what is heard before the first that has one.")
    start_s: float | None
    end_s: float | None


class RedoOf(_Shape):
    """A segment of another job that a job says anew."""

    job: str = Field(description="Id of the other job, which may be deleted by now.")
    segment: int = Field(description="Its index there.")


class Job(_Shape):
    """A job."""

    id: str
    object: Literal["job"]
    status: JobStatus
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    completed_at: AwareDatetime | None
    expires_at: AwareDatetime | None = Field(description="When its audio will be deleted.")
    input_chars: int
    progress: Progress
    queue_position: int | None = Field(
        description="Jobs that are begun before it; null once it has begun."
    )
    eta_s: float | None = Field(
        description="Seconds until it will have ended, from what is ahead of it and the pace that "
        "was measured; null once it has ended, and where nothing was measured yet."
    )
    output: Output | None
    warnings: list[Warning]
    error: JobError | None
    metrics: Metrics
    custom_id: str | None
    batch_id: str | None = Field(description="Of the batch it came in.")
    metadata: dict[str, str]
    title: str | None = Field(
        description="Of the work: as the request gave it, or else the document it came from."
    )
    author: str | None = Field(description="Likewise; several with commas between.")
    lexicons: list[str] = Field(description="Those it is spoken with, each with its version.")
    redo_of: RedoOf | None = Field(
        description="What it says anew, if it was made by redoing a segment of another job."
    )
    urls: Urls
    segments: list[Segment] | None = Field(None, description="With `?include=segments`.")
    chapters: list[Chapter] | None = Field(
        None, description="Planned so far, where one job is shown; absent in lists."
    )


class JobList(_Shape):
    """A page of jobs, newest first."""

    object: Literal["list"]
    data: list[Job]
    has_more: bool
    after: str | None = Field(description="Cursor of the next page.")


class RequestCounts(_Shape):
    """How the jobs of a batch have ended, deleted ones too; the rest have not."""

    total: int
    succeeded: int
    failed: int
    canceled: int
    expired: int


class BatchUrls(_Shape):
    """Where to go from here."""

    self: str
    jobs: str
    cancel: str


class Batch(_Shape):
    """Many jobs as one resource."""

    id: str
    object: Literal["batch"]
    status: BatchStatus = Field(
        description="`completed` once all jobs have ended, each in its own way; `canceled` if "
        "some did because the batch was canceled."
    )
    created_at: AwareDatetime
    completed_at: AwareDatetime | None
    input_chars: int
    request_counts: RequestCounts
    metadata: dict[str, str]
    urls: BatchUrls


class BatchList(_Shape):
    """A page of batches, newest first."""

    object: Literal["list"]
    data: list[Batch]
    has_more: bool
    after: str | None = Field(description="Cursor of the next page.")


class OovWord(_Shape):
    """A word that stands in no dictionary."""

    word: str
    phonemes: str | None = Field(description="How rules have it said; null: it has no sound.")


class Problem(_Shape):
    """What a listener, or the job itself, would suffer from."""

    code: str
    detail: str
    param: str | None = Field(
        description="The field it is about: the text's, `file` of a form, `voice`, `language`."
    )


class Estimate(_Shape):
    """What a job would come to if it were submitted now."""

    object: Literal["estimate"]
    segments: int | None = Field(description="Pauses too; null if the language can't be spoken.")
    audio_s: float | None = Field(
        description="By the seconds a phoneme that were measured here for each voice."
    )
    wait_s: float | None = Field(
        description="Seconds until it would have ended; null where nothing was measured yet."
    )
    oov: list[OovWord]
    problems: list[Problem] = Field(
        description="With `language_unavailable` or `nothing_to_speak` the job would fail."
    )
    sampled: bool = Field(
        description="True: parts of a text longer than 20,000 characters stand for all of it."
    )
    input_chars: int = Field(description="Of the text, as it would be put together.")
    chapters: int
    lexicons: list[str] = Field(description="Those it would be spoken with, with their versions.")
    title: str | None
    author: str | None


class Attempt(_Shape):
    """One try at a delivery."""

    model_config = ConfigDict(extra="allow")


class Delivery(_Shape):
    """A webhook that is owed or was sent."""

    id: str = Field(description="The `webhook-id`, the same on every retry.")
    object: Literal["delivery"]
    event: str
    url: str
    status: DeliveryStatus
    attempts: int
    created_at: AwareDatetime
    next_attempt_at: AwareDatetime | None
    log: list[Attempt]


class DeliveryList(_Shape):
    """The webhook deliveries of a job, or of a batch."""

    object: Literal["list"]
    data: list[Delivery]


class Voice(_Shape):
    """A voice that is loaded."""

    id: str
    name: str
    language: Language | None
    gender: Literal["female", "male"] | None
    stand_in: bool


class VoiceList(_Shape):
    """The voices that are loaded."""

    object: Literal["list"]
    data: list[Voice]


class Model(_Shape):
    """What the cluster speaks with."""

    id: str
    object: Literal["model"]
    created: int = Field(description="Seconds since 1970.")
    owned_by: str
    stand_in: bool = Field(description="True: a substitute for machines without weights.")
    precision: str


class ModelList(_Shape):
    """The models that are loaded."""

    object: Literal["list"]
    data: list[Model]


class AudioVoice(_Shape):
    """A voice, as other servers list it."""

    id: str
    name: str


class AudioVoiceList(_Shape):
    """The voices that are loaded, as other servers list them."""

    voices: list[AudioVoice] | list[str]


class MixPart(_Shape):
    """A voice in a mix."""

    id: str
    weight: float


class CombinedVoice(_Shape):
    """A mix that can be spoken with."""

    object: Literal["voice"]
    id: str = Field(description="What to send as `voice`.")
    name: str
    voices: list[MixPart]


class Phonemes(_Shape):
    """How a text is pronounced."""

    phonemes: str
    tokens: list[int] = Field(description="The model's numbers for them, without end marks.")


class WorkerList(_Shape):
    """The workers heard of in the last seconds."""

    object: Literal["list"]
    data: list[dict[str, Any]]


class ClusterState(_Shape):
    """The queue of the whole cluster, over all keys."""

    object: Literal["cluster"]
    queued_jobs: int = Field(description="Accepted and not ended.")
    queued_chars: int = Field(description="Characters of those jobs.")
    oldest_queued_s: float = Field(
        description="Seconds that the first job no worker has begun waits; 0 when none does."
    )
    audio_s_per_s: float | None = Field(
        description="Seconds of audio a second that all devices render together while there is "
        "work, as measured of late; null until it has been."
    )
    chars_per_s: float | None = Field(description="The same in characters of text.")
    jobs_by_status: dict[JobStatus, int]
    workers: int = Field(description="Heard of in the last seconds, of every stage.")


class UsageAmount(_Shape):
    """What jobs came to."""

    characters: int = Field(description="Of the inputs of jobs that succeeded.")
    audio_s: float = Field(description="Seconds of speech in jobs that succeeded.")
    jobs: dict[str, int] = Field(description="That ended, by status.")


class UsageOfDay(UsageAmount):
    """What jobs that ended on one day came to."""

    date: str = Field(description="UTC.")


class UsageReport(_Shape):
    """What the caller's jobs came to, by the day on which they ended."""

    object: Literal["usage"]
    from_: str = Field(alias="from", description="First day, UTC.")
    to: str = Field(description="Last day, UTC.")
    total: UsageAmount
    data: list[UsageOfDay] = Field(description="Days without a job are left out.")


class LexiconVersion(_Shape):
    """One version of a lexicon."""

    version: int
    created_at: AwareDatetime
    language: Language | None
    entries_total: int
    bytes: int


class LexiconEntry(_Shape):
    """A word and how it is said: by phonemes, or by another spelling."""

    word: str
    phonemes: str | None
    respelling: str | None
    case_sensitive: bool


class Lexicon(LexiconVersion):
    """A stored pronunciation lexicon; without its entries in lists and after a change."""

    object: Literal["lexicon"]
    name: str
    updated_at: AwareDatetime = Field(description="When this version was made.")
    versions: list[LexiconVersion] = Field(description="Those still kept, the newest first.")
    entries: list[LexiconEntry] | None = None


class LexiconList(_Shape):
    """Your lexicons, by name."""

    object: Literal["list"]
    data: list[Lexicon]


class Live(_Shape):
    """The event loop turns."""

    status: Literal["live"]


class Healthy(_Shape):
    """The event loop turns."""

    status: Literal["healthy"]


class Ready(_Shape):
    """Whether a job can be accepted, and what it hangs on."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str] = Field(description="`ok`, or what is wrong, for each dependency.")
    warnings: list[str] = Field(
        description="What may lose accepted jobs, or has, though all is well now."
    )
