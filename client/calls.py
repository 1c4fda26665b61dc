"""Every call of the API as plain data: what to send, and how to read the answer.

`client.sync` and `client.aio` differ only in how they send them.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from json import dumps
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from client.answers import DeliveryList, Job, JobPage
from client.errors import ApiError, ErrorTable, InvalidUse, UnreadableAnswer
from client.inventory import ClusterState, ModelList, VoiceList, WorkerList
from client.reading import read
from client.requests import job_body, options_body
from client.retrying import retry_after_s

T = TypeVar("T")

MAX_HOLD_S = 60
"""Seconds a server holds the answer to a submission, at most."""

UPLOAD_TIMEOUT_S = 120.0
"""For the answer to a document: it is read first, and may wait for its turn."""

LIVE_SILENT_S = 300.0
"""Between two pieces of audio that is being made: the job may have to wait for others."""

MAX_PAGE = 100
"""Jobs in one answer, at most."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and the reading of its answer.

    Attributes:
        file: name and bytes of a file, sent with `form` as a form.
        follow: go where the answer redirects to, without the key.
        after_loss: for calls that can't be repeated as they are: by the code of the error that a
            second try meets when the first one did it and only its answer was lost, the call that
            tells how things stand; None where there is nothing to tell.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    file: tuple[str, bytes] | None = None
    timeout_s: float | None = None
    follow: bool = False
    after_loss: Mapping[str, "Call[T] | None"] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """Return the arguments for a sender, beside method and path."""
        found: dict[str, Any] = {"params": self.params, "headers": self.headers}
        if self.follow:
            found["follow"] = True
        if self.json is not None:
            found["json"] = self.json
        if self.file is not None:
            found |= {"data": self.form, "files": {"file": self.file}}
        if self.timeout_s is not None:
            found["timeout"] = self.timeout_s
        return found


def job_id_of(job: Job | str) -> str:
    """Return the id of a job, or the id itself.

    Raises:
        InvalidUse: it is empty or no id, so that the address would be another's.
    """
    found = job.id if isinstance(job, Job) else job
    if not found or found in {".", ".."}:
        raise InvalidUse(f"{found!r} is no job's id.")
    return quote(found, safe="")


def submit(
    text: str | None,
    options: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    hold_s: float | None = 0,
) -> Call[Job]:
    """Make a job; the answer waits up to `hold_s` seconds for its end, None: as long as it may."""
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    call = Call("POST", "/v1/jobs", read_job, headers=headers, json=job_body(text, options))
    held_s = MAX_HOLD_S if hold_s is None else min(int(hold_s), MAX_HOLD_S)
    if held_s < 1:
        return call
    headers["Prefer"] = f"wait={held_s}"
    return replace(call, headers=headers, timeout_s=held_s + 15.0)


def upload(
    name: str,
    data: bytes,
    options: Mapping[str, Any],
    *,
    srt_timing: bool,
    idempotency_key: str | None,
) -> Call[Job]:
    """Make a job of a document."""
    form = document_form(options, srt_timing=srt_timing)
    return Call(
        "POST",
        "/v1/jobs",
        read_job,
        headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        form=form,
        file=(name, data),
        timeout_s=UPLOAD_TIMEOUT_S,
    )


def document_form(options: Mapping[str, Any], *, srt_timing: bool) -> dict[str, str]:
    """Return the fields that a document is sent with."""
    form = {"job": dumps(options_body(options))}
    if srt_timing:
        form["srt_timing"] = "true"
    return form


def get(job: Job | str, *, segments: bool = False) -> Call[Job]:
    """Look at a job."""
    params = {"include": "segments"} if segments else {}
    return Call("GET", f"/v1/jobs/{job_id_of(job)}", read_job, params=params)


def jobs(*, limit: int, after: str | None, wanted: Mapping[str, Any]) -> Call[JobPage]:
    """List jobs.

    Raises:
        InvalidUse: a time has no time zone.
    """
    found = {"limit": str(limit), "after": after, **wanted}
    for name, value in wanted.items():
        if isinstance(value, datetime):
            found[name] = _moment(name, value)
    params = {name: value for name, value in found.items() if value is not None}
    return Call("GET", "/v1/jobs", reader(JobPage), params=params)


def cancel(job: Job | str) -> Call[Job]:
    """End a job."""
    path = f"/v1/jobs/{job_id_of(job)}/cancel"
    return Call("POST", path, read_job, after_loss={"job_terminal": get(job)})


def delete(job: Job | str) -> Call[None]:
    """Remove a job; that an earlier try has done it is no error."""
    return Call(
        "DELETE",
        f"/v1/jobs/{job_id_of(job)}",
        nothing,
        after_loss={"job_not_found": None},
    )


def redo(
    job: Job | str,
    segment: int,
    text: str,
    options: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
) -> Call[Job]:
    """Make a job of a finished one with another text, or another voice, for one of its segments.

    Raises:
        InvalidUse: there is no text, or no such segment can be.
    """
    if not text.strip():
        raise InvalidUse("Give the text that is said instead.")
    if segment < 0:
        raise InvalidUse(f"{segment} is no segment: they count from 0.")
    return Call(
        "POST",
        f"/v1/jobs/{job_id_of(job)}/segments/{segment:d}/redo",
        read_job,
        headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        json=options_body(options) | {"input": text},
    )


def audio(job: Job | str, format: str | None, chapter: int | None = None) -> Call[bytes]:
    """Fetch a file of a finished job: of the whole, or of a chapter, from 1 on."""
    wanted = {"format": format, "chapter": None if chapter is None else str(chapter)}
    params = {name: value for name, value in wanted.items() if value is not None}
    return Call("GET", f"/v1/jobs/{job_id_of(job)}/audio", lambda r: r.content, params=params)


def deliveries(job: Job | str) -> Call[DeliveryList]:
    """List a job's webhooks."""
    return Call("GET", f"/v1/jobs/{job_id_of(job)}/deliveries", reader(DeliveryList))


def voices() -> Call[VoiceList]:
    """List voices."""
    return Call("GET", "/v1/voices", reader(VoiceList))


def models() -> Call[ModelList]:
    """List models."""
    return Call("GET", "/v1/models", reader(ModelList))


def workers() -> Call[WorkerList]:
    """List workers."""
    return Call("GET", "/v1/workers", reader(WorkerList))


def cluster() -> Call[ClusterState]:
    """Look at the whole queue."""
    return Call("GET", "/v1/cluster", reader(ClusterState))


def live_audio(job: Job | str, format: str | None) -> Call[bytes]:
    """Listen to a job from its beginning while it is made; bytes may be long in coming."""
    call = audio(job, format)
    params = {**call.params, "partial": "1"}
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    return replace(call, params=params, headers=headers, timeout_s=LIVE_SILENT_S, follow=True)


def segment_audio(job: Job | str, index: int) -> Call[bytes]:
    """Fetch a segment's audio."""
    path = f"/v1/jobs/{job_id_of(job)}/segments/{index:d}/audio"
    return Call("GET", path, lambda response: response.content, follow=True)


def nothing(response: httpx.Response) -> None:
    """Read an answer that says nothing."""


def reader(kind: type[T]) -> Callable[[httpx.Response], T]:
    """Return a function that reads an answer as an object of a dataclass."""
    return lambda response: read(kind, parse(response), kind.__name__)


def read_job(response: httpx.Response) -> Job:
    """Read a job, and when the server advises to look at it again."""
    job = read(Job, parse(response), "job")
    return replace(job, retry_after_s=retry_after_s(response.headers.get("Retry-After")))


def parse(response: httpx.Response) -> Any:
    """Return an answer's JSON.

    Raises:
        UnreadableAnswer: it is none.
    """
    try:
        return response.json()
    except ValueError as error:
        raise UnreadableAnswer(
            f"{response.request.url.host} answered {response.status_code}, not in JSON. "
            "Is that the address of a Kokoro Cluster?"
        ) from error


def api_error(response: httpx.Response) -> ApiError:
    """Return the error that an answer with a status of 400 or more is; its body has been read."""
    try:
        body = response.json()
    except ValueError:
        body = None
    detail = body.get("error") if isinstance(body, dict) else None
    if not isinstance(detail, dict):
        detail = {"message": f"The server answered {response.status_code}."}
    code = str(detail.get("code") or "")
    kind = ErrorTable.kind(response.status_code, code)
    param = detail.get("param")
    return kind(
        str(detail.get("message") or "") or None,
        status=response.status_code,
        code=code or None,
        type=str(detail.get("type") or ""),
        param=None if param is None else str(param),
        retry_after_s=retry_after_s(response.headers.get("Retry-After")),
        body=body,
    )


def _moment(name: str, at: datetime) -> str:
    if at.tzinfo is None:
        raise InvalidUse(f"{name} needs a time zone.")
    return at.isoformat()
