"""Everything the client raises, each with a stable `code`.

What a server refused is told apart by the `code` of its answer, else by its status.
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from client.answers import Job


class KokoroClusterError(Exception):
    """Something went wrong; `code` is for programs, `message` for people.

    The message defaults to the first line of the class's docstring.
    """

    code: str = "client_error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)


class InvalidUse(KokoroClusterError):
    """What was asked for can't be sent to any server."""

    code = "invalid_use"


class Unreachable(KokoroClusterError):
    """No answer came from the server."""

    code = "unreachable"


class UnreadableAnswer(KokoroClusterError):
    """What answered does not speak as a Kokoro Cluster does."""

    code = "unreadable_answer"


class BrokenAudio(KokoroClusterError):
    """The audio broke off, or is not what the job says it is."""

    code = "broken_audio"


class WebhookRejected(KokoroClusterError):
    """The webhook is not genuine, or too old."""

    code = "webhook_rejected"


class WaitTimedOut(KokoroClusterError):
    """The job had not ended in time; it goes on.

    Attributes:
        job_id: the job.
    """

    code = "wait_timed_out"

    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__(f"{job_id} has not ended within {timeout_s:g} s; it goes on.")
        self.job_id = job_id


class JobUnsuccessful(KokoroClusterError):
    """A job ended otherwise than with its audio.

    Attributes:
        job: as it ended; `code` is its error's.
    """

    code = "job_unsuccessful"

    def __init__(self, job: "Job") -> None:
        reason = f": {job.error.message}" if job.error else ""
        super().__init__(f"{job.id} {job.status}{reason}")
        self.job = job
        if job.error:
            self.code = job.error.code


class JobFailed(JobUnsuccessful):
    """The job failed."""

    code = "job_failed"


class JobCanceled(JobUnsuccessful):
    """The job was canceled."""

    code = "job_canceled"


class JobExpired(JobUnsuccessful):
    """The job's deadline passed first."""

    code = "job_expired"


class ApiError(KokoroClusterError):
    """The server refused.

    Attributes:
        status: the answer's HTTP status.
        code: the answer's; stable.
        type: the answer's, the same for all errors of a kind.
        param: the field it is about, dotted, or None.
        retry_after_s: seconds the server asks to wait, or None.
        body: the whole answer.
    """

    status: int = 0

    def __init__(
        self,
        message: str | None = None,
        *,
        status: int = 0,
        code: str | None = None,
        type: str = "",
        param: str | None = None,
        retry_after_s: float | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status or self.status
        self.code = code or self.code
        self.type = type
        self.param = param
        self.retry_after_s = retry_after_s
        self.body = body


class InvalidRequest(ApiError):
    """The request does not describe what can be made."""

    code = "invalid_input"


class UnknownVoice(InvalidRequest):
    """No voice of that name is loaded."""

    code = "unknown_voice"


class IdempotencyConflict(InvalidRequest):
    """This key or id was used before with another request."""

    code = "idempotency_conflict"


class AuthenticationFailed(ApiError):
    """The server wants a valid API key."""

    code = "invalid_api_key"


class PermissionDenied(ApiError):
    """This key may not do that."""

    code = "forbidden"


class NotFound(ApiError):
    """There is no such thing, or it is another key's."""

    code = "not_found"


class JobNotFound(NotFound):
    """You have no job of that id."""

    code = "job_not_found"


class Conflict(ApiError):
    """The thing is not in a state that allows this."""

    code = "conflict"


class JobTerminal(Conflict):
    """The job has ended already."""

    code = "job_terminal"


class JobRunning(Conflict):
    """The job has not ended; cancel it first."""

    code = "job_running"


class JobNotReady(Conflict):
    """The job has no audio yet."""

    code = "job_not_ready"


class NoAudio(Conflict):
    """The job ended without audio."""

    code = "no_audio"


class AudioGone(ApiError):
    """The audio's time is over and it was deleted."""

    code = "audio_gone"


class RateLimited(ApiError):
    """Too much for this key; wait."""

    code = "rate_limited"


class Unavailable(ApiError):
    """The server can't take this now; wait."""

    code = "unavailable"


class ServerFault(ApiError):
    """Something went wrong in the server, not with the request."""

    code = "internal"


class ErrorTable:
    """From an answer to the class of its error."""

    BY_CODE: ClassVar[dict[str, type[ApiError]]] = {
        "unknown_voice": UnknownVoice,
        "idempotency_conflict": IdempotencyConflict,
        "job_not_found": JobNotFound,
        "job_terminal": JobTerminal,
        "job_running": JobRunning,
        "job_not_ready": JobNotReady,
        "job_failed": NoAudio,
        "job_canceled": NoAudio,
        "job_expired": NoAudio,
        "key_full": RateLimited,
    }
    BY_STATUS: ClassVar[dict[int, type[ApiError]]] = {
        401: AuthenticationFailed,
        403: PermissionDenied,
        404: NotFound,
        409: Conflict,
        410: AudioGone,
        429: RateLimited,
        502: Unavailable,
        503: Unavailable,
        504: Unavailable,
    }

    @classmethod
    def kind(cls, status: int, code: str) -> type[ApiError]:
        """Return the class for an answer; a code that a newer server made up goes by its status."""
        fallback = ServerFault if status >= 500 else InvalidRequest
        return cls.BY_CODE.get(code) or cls.BY_STATUS.get(status, fallback)
