"""Every error a client can meet: one body, and one table from error types to HTTP statuses."""

from typing import Any

from starlette.responses import JSONResponse

from gateway.documents import faults
from shared import errors

MAX_SHOWN_CHARS = 300
"""Of what a client sent, no more than this is said back to it."""


class ApiError(errors.ClusterError):
    """An error only the gateway raises.

    Args:
        message: what to do about it.
        param: the field it is about.
        retry_after_s: seconds for `Retry-After`.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, param=param)
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)


class MalformedHttp(ApiError):
    """What came is not HTTP/1.1."""

    code = "malformed_http"


class HeadTooSlow(ApiError):
    """The request's headers took too long to arrive."""

    code = "head_too_slow"


class HeadTooLarge(ApiError):
    """The request's address and headers are too large."""

    code = "head_too_large"


class MalformedJson(ApiError):
    """The body is not JSON."""

    code = "malformed_json"


class InvalidHeader(ApiError):
    """A header has a bad value."""

    code = "invalid_header"


class InvalidKey(ApiError):
    """Send a valid API key: `Authorization: Bearer kc_…`."""

    code = "invalid_api_key"


class NotFound(ApiError):
    """There is nothing at this address."""

    code = "not_found"


class JobNotFound(NotFound):
    """You have no job of that id."""

    code = "job_not_found"


class ModelNotFound(NotFound):
    """No model of that name is loaded; GET /v1/models lists them."""

    code = "model_not_found"


class BatchNotFound(NotFound):
    """You have no batch of that id."""

    code = "batch_not_found"


class DeliveryNotFound(NotFound):
    """The job, or the batch, has no delivery of that id."""

    code = "delivery_not_found"


class SegmentNotFound(NotFound):
    """The job has no segment of that index."""

    code = "segment_not_found"


class LexiconNotFound(NotFound):
    """You have no lexicon of that name, or no longer that version of it."""

    code = "lexicon_not_found"


class BodyTooSlow(ApiError):
    """The body took too long to arrive."""

    code = "body_too_slow"


class Conflict(ApiError):
    """The resource is not in a state that allows this."""

    code = "conflict"


class LexiconsFull(Conflict):
    """You have as many lexicons as a key may have; delete one first."""

    code = "lexicons_full"


class JobTerminal(Conflict):
    """The job has ended already."""

    code = "job_terminal"


class JobRunning(Conflict):
    """The job has not ended; cancel it first."""

    code = "job_running"


class BatchTerminal(Conflict):
    """All jobs of the batch have ended already."""

    code = "batch_terminal"


class BatchRunning(Conflict):
    """Jobs of the batch have not ended; cancel it first."""

    code = "batch_running"


class JobNotReady(Conflict):
    """The job has no audio yet."""

    code = "job_not_ready"


class SegmentNotReady(Conflict):
    """The segment has no audio yet."""

    code = "segment_not_ready"


class SegmentIsPause(Conflict):
    """The segment is a pause: silence that is stored nowhere."""

    code = "segment_is_pause"


class JobFailed(Conflict):
    """The job failed, so it has no audio."""

    code = "job_failed"


class JobCanceled(Conflict):
    """The job was canceled, so it has no audio."""

    code = "job_canceled"


class JobExpired(Conflict):
    """The job's deadline passed first, so it has no audio."""

    code = "job_expired"


class CaptionsNotMade(NotFound):
    """The job was made without these captions: ask for them when it is created."""

    code = "captions_not_made"


class DeliveryPending(Conflict):
    """The delivery is still being tried; it can be replayed once that has ended."""

    code = "delivery_pending"


class AudioGone(ApiError):
    """The audio's time to live is over and it was deleted; make the job again."""

    code = "audio_gone"


class WordsGone(AudioGone):
    """What the job's segments say was not kept, and its captions need it; make the job again."""

    code = "words_gone"


class BodyTooLarge(ApiError):
    """The body is larger than any job may be."""

    code = "body_too_large"


class UnsupportedMediaType(ApiError):
    """Send the body as `Content-Type: application/json`."""

    code = "unsupported_media_type"


class RangeNotSatisfiable(ApiError):
    """The range begins after the end of the file."""

    code = "range_not_satisfiable"


class IdempotencyConflict(ApiError):
    """This key or id was used before with another request; use a new one."""

    code = "idempotency_conflict"


class WebhooksNotConfigured(ApiError):
    """This cluster has no signing secret (KC_WEBHOOK_SECRET), so it sends no webhooks."""

    code = "webhooks_not_configured"


class UnknownModel(errors.InvalidInput):
    """The cluster speaks with another model; GET /v1/models lists it."""

    code = "unknown_model"


class RateLimited(ApiError):
    """Too many jobs a minute for this key; wait for as long as Retry-After says."""

    code = "rate_limited"


class KeyFull(ApiError):
    """Too many characters of this key are queued; wait for as long as Retry-After says."""

    code = "key_full"


class SystemFull(ApiError):
    """The system is full; wait for as long as Retry-After says."""

    code = "system_full"


class UploadsFull(ApiError):
    """As many documents are being read as can be; wait for as long as Retry-After says."""

    code = "uploads_full"


class NoEngine(ApiError):
    """No synth worker has reported in yet; try again shortly."""

    code = "no_engine"


class EncoderUnavailable(ApiError):
    """This gateway's encoder can't be started, so no audio can be streamed; jobs still work."""

    code = "live_encoding_unavailable"


class StreamBroken(ApiError):
    """Audio that is being made can't be streamed to its end now; try again shortly."""

    code = "stream_broken"


class SpeechFailed(ApiError):
    """The text was accepted and could not be spoken."""

    code = "speech_failed"


class LedgerUnavailable(ApiError):
    """The ledger (Redis) does not answer; nothing was recorded; try again shortly."""

    code = "ledger_unavailable"


STATUSES: dict[type[errors.ClusterError], int] = {
    MalformedHttp: 400,
    MalformedJson: 400,
    faults.MalformedForm: 400,
    InvalidHeader: 400,
    InvalidKey: 401,
    NotFound: 404,
    HeadTooSlow: 408,
    BodyTooSlow: 408,
    Conflict: 409,
    AudioGone: 410,
    errors.ObjectMissing: 410,
    BodyTooLarge: 413,
    faults.DocumentTooLarge: 413,
    UnsupportedMediaType: 415,
    faults.DocumentUnsupported: 415,
    RangeNotSatisfiable: 416,
    errors.InvalidInput: 422,
    errors.LanguageUnavailable: 422,
    errors.ForbiddenAddress: 422,
    errors.ResolveFailed: 422,
    IdempotencyConflict: 422,
    WebhooksNotConfigured: 422,
    RateLimited: 429,
    KeyFull: 429,
    HeadTooLarge: 431,
    SpeechFailed: 502,
    SystemFull: 503,
    EncoderUnavailable: 503,
    StreamBroken: 503,
    UploadsFull: 503,
    NoEngine: 503,
    LedgerUnavailable: 503,
    errors.PlannersBusy: 503,
    errors.PlannersSilent: 503,
    errors.StorageUnavailable: 503,
}
"""The status of each error, and of its subclasses that are not listed themselves."""

TYPES: dict[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    410: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "unavailable_error",
}
"""The `type` of an error's body; `invalid_request_error` for the statuses not listed."""

RETRY_AFTER_S = 5
"""Said with every 503 that knows no better."""


def status_of(error: errors.ClusterError) -> int:
    """Return the HTTP status of an error; 500 for one that no client should ever meet."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return 500


def shown(text: str) -> str:
    """Return a stretch of what a client sent that can be said back to it."""
    # A lone surrogate in a field's name must not break the answer that complains about it.
    return text[:MAX_SHOWN_CHARS].encode("utf-8", "replace").decode()


def error_body(status: int, message: str, code: str, param: str | None) -> dict[str, Any]:
    """Return the body that every error has."""
    return {
        "error": {
            "message": shown(message),
            "type": TYPES.get(status, "invalid_request_error"),
            "code": code,
            "param": None if param is None else shown(param),
        }
    }


def error_response(error: errors.ClusterError) -> JSONResponse:
    """Return the answer to a client for an error that the table knows."""
    status = status_of(error)
    headers = dict(getattr(error, "headers", {}))
    if status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    body = error_body(status, error.message, error.code, error.param)
    return JSONResponse(body, status, headers)
