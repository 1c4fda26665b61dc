"""The job that a form asks for: its fields, with the document's text as the input."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from fastapi import Request

from gateway.documents.faults import MalformedForm
from gateway.offload import offload
from gateway.requests import JobRequest, parse_json, read_job_request
from gateway.services import Services
from gateway.submission import Source
from gateway.uploads import Upload, is_form
from shared.errors import InvalidInput, NothingToSpeak

JOB_FIELD = "job"
TIMING_FIELD = "srt_timing"
"""Read with the document, see `gateway.documents`."""

_TEXT_FIELDS = ("input", "segments", "chapters")
_LISTS = ("outputs", "lexicons")
"""Fields that may come several times, or with commas in them."""
_OBJECTS = ("webhook", "metadata")
"""Fields that are JSON."""


async def read_submission(
    request: Request, services: Services, owner: str
) -> tuple[JobRequest, Source | None]:
    """Read a submission, a JSON object or a form with a document.

    Args:
        request: with it.
        services: of the gateway.
        owner: id of the caller's key.

    Returns:
        The job's request, and what its text came from if that was a document.

    Raises:
        ClusterError: it can't be read, see `gateway.errors` and `gateway.documents.faults`.
        ValidationError: a field is missing, unknown or bad.
    """
    if not is_form(request):
        return await read_job_request(request), None
    upload = await services.uploads.read(request, owner)
    return await offload(len(upload.text), lambda: _job_request(upload))


def _job_request(upload: Upload) -> tuple[JobRequest, Source]:
    about = upload.about
    if not upload.text:
        raise NothingToSpeak("The document has no text that could be spoken.", param="file")
    fields, strict = _fields(about.fields)
    asked = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    fields.pop(TIMING_FIELD, None)
    for name in _TEXT_FIELDS:
        if name in fields:
            raise InvalidInput(f"The text comes from the file: leave {name!r} out.", param=name)
    for name, value in (("title", about.title), ("author", about.author)):
        if value and name in JobRequest.model_fields and not fields.get(name):
            fields[name] = value
    wanted = JobRequest.model_validate({**fields, "input": upload.text}, strict=strict)
    source = Source(
        # Of the file and not of its text: a later release may read it better.
        payload=hashlib.sha256(f"{about.sha256}\x1f{asked}".encode()).hexdigest(),
        language=about.language,
        warnings=tuple(_warning(code, detail) for code, detail in about.remarks),
    )
    return wanted, source


def _fields(form: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], bool | None]:
    """Return the fields of the job, and whether their types are to be taken strictly."""
    fields: dict[str, Any] = {}
    for name, value in form:
        if name in _LISTS:
            fields.setdefault(name, []).extend(v.strip() for v in value.split(",") if v.strip())
        elif name in fields:
            raise MalformedForm(f"The field {name!r} is there twice.", param=name)
        elif name in _OBJECTS and value:
            fields[name] = parse_json(value.encode())
        elif value:  # pages send what was left blank too
            fields[name] = value
    if fields.get(TIMING_FIELD, "false") not in ("true", "false"):
        raise InvalidInput("srt_timing: write true or false.", param=TIMING_FIELD)
    if JOB_FIELD not in fields:
        return fields, False
    others = set(fields) - {JOB_FIELD, TIMING_FIELD}
    if others:
        name = min(others)
        raise InvalidInput(f"Give {name!r} inside 'job', or leave 'job' out.", param=name)
    job = parse_json(fields.pop(JOB_FIELD).encode())
    if not isinstance(job, dict):
        raise InvalidInput("Send a JSON object as 'job'.", param=JOB_FIELD)
    if TIMING_FIELD in job:
        raise InvalidInput(
            f"{TIMING_FIELD} is a field of the form, not of 'job'.", param=TIMING_FIELD
        )
    return {**fields, **job}, None


def _warning(code: str, detail: str) -> dict[str, Any]:
    return {"code": code, "segment": None, "detail": detail}
