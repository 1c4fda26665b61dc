"""The OpenAPI document: what FastAPI can't see for itself."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from gateway.batch_requests import BatchRequest
from gateway.errors import error_body
from gateway.lexicon_requests import LexiconRequest
from gateway.redo_requests import RedoRequest
from gateway.requests import JobRequest
from gateway.schemas import Captions, Error
from gateway.speech_request import CaptionedSpeechRequest, DialogueRequest, SpeechRequest

Responses = dict[int | str, dict[str, Any]]

_REF = "#/components/schemas/{model}"

JOB_EXAMPLE: dict[str, Any] = {
    "id": "job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F",
    "object": "job",
    "status": "succeeded",
    "created_at": "2026-01-31T12:00:00.000Z",
    "started_at": "2026-01-31T12:00:00.041Z",
    "completed_at": "2026-01-31T12:00:01.310Z",
    "expires_at": "2026-02-07T12:00:01.310Z",
    "input_chars": 51,
    "progress": {
        "segments_total": 3,
        "segments_done": 3,
        "segments_reused": 0,
        "audio_s": 4.1,
    },
    "queue_position": None,
    "eta_s": None,
    "output": {
        "url": "http://127.0.0.1:8880/v1/jobs/job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F/audio?format=mp3",
        "format": "mp3",
        "bytes": 49_344,
        "audio_s": 4.1,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "sample_rate_hz": 24_000,
        "others": [],
        "captions": [],
    },
    "warnings": [],
    "error": None,
    "metrics": {
        "queue_s": 0.041,
        "synthesis_s": 0.8,
        "encode_s": 0.1,
        "realtime_factor": 3.23,
        "attempts": 1,
        "worker": "synth-0",
        "model": "hexgrad/Kokoro-82M",
        "stand_in": False,
        "precision": "exact",
    },
    "custom_id": "greeting-1",
    "batch_id": None,
    "metadata": {"campaign": "spring"},
    "title": "Greetings",
    "author": None,
    "lexicons": ["names@3"],
    "redo_of": None,
    "urls": {
        "self": "http://127.0.0.1:8880/v1/jobs/job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F",
        "audio": "http://127.0.0.1:8880/v1/jobs/job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F/audio",
        "captions": None,
        "cancel": "http://127.0.0.1:8880/v1/jobs/job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F/cancel",
        "events": "http://127.0.0.1:8880/v1/jobs/job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F/events",
    },
}

EVENTS_EXAMPLE = """retry: 1000

event: started
id: started
data: {"status": "processing"}

event: segment
id: 1-57600
data: {"index": 0, "pause": false, "reused": false, "text": {"start": 0, "end": 33}, …}

event: succeeded
id: ended
data: {"id": "job_01KB0Z3V6Q8W2T4N5R7Y9C1D3F", "object": "job", "status": "succeeded", …}

"""
CAPTIONS_SCHEMA = {"$ref": _REF.format(model="Captions")}
CAPTIONS_EXAMPLE: dict[str, Any] = {
    "object": "captions",
    "language": "en-us",
    "audio_s": 1.275,
    "exact": True,
    "complete": True,
    "after": None,
    "sentences": [
        {
            "text": "Hello, world!",
            "start_s": 0.1,
            "end_s": 1.2,
            "span": {"start": 0, "end": 13},
            "segment": 0,
        }
    ],
    "words": [
        {
            "word": "Hello",
            "start_s": 0.1,
            "end_s": 0.4875,
            "span": {"start": 0, "end": 5},
            "segment": 0,
            "sentence": 0,
        },
        {
            "word": "world",
            "start_s": 0.6125,
            "end_s": 1.05,
            "span": {"start": 7, "end": 12},
            "segment": 0,
            "sentence": 0,
        },
    ],
}

BATCH_EXAMPLE: dict[str, Any] = {
    "id": "batch_01KB0Z3V6Q8W2T4N5R7Y9C1D3F",
    "object": "batch",
    "status": "in_progress",
    "created_at": "2026-01-31T12:00:00.000Z",
    "completed_at": None,
    "input_chars": 104_230,
    "request_counts": {"total": 500, "succeeded": 120, "failed": 1, "canceled": 0, "expired": 0},
    "metadata": {"course": "spring"},
    "urls": {
        "self": "http://127.0.0.1:8880/v1/batches/batch_01KB0Z3V6Q8W2T4N5R7Y9C1D3F",
        "jobs": "http://127.0.0.1:8880/v1/batches/batch_01KB0Z3V6Q8W2T4N5R7Y9C1D3F/jobs",
        "cancel": "http://127.0.0.1:8880/v1/batches/batch_01KB0Z3V6Q8W2T4N5R7Y9C1D3F/cancel",
    },
}

_JOBS_OF_A_DAY = {"canceled": 1, "expired": 0, "failed": 2, "succeeded": 312}
_DAY = {"characters": 184_206, "audio_s": 11_842.575, "jobs": _JOBS_OF_A_DAY}
USAGE_EXAMPLE: dict[str, Any] = {
    "object": "usage",
    "from": "2026-11-01",
    "to": "2026-11-30",
    "total": _DAY,
    "data": [{"date": "2026-11-26", **_DAY}],
}

ESTIMATE_EXAMPLE: dict[str, Any] = {
    "object": "estimate",
    "segments": 4,
    "audio_s": 21.4,
    "wait_s": 3.2,
    "oov": [{"word": "blorfing", "phonemes": "blˈɔɹfɪŋ"}, {"word": "你好", "phonemes": None}],
    "problems": [{"code": "unspeakable_text", "detail": "你好", "param": "chapters"}],
    "sampled": False,
    "input_chars": 312,
    "chapters": 2,
    "lexicons": ["names@3"],
    "title": "Two voices",
    "author": None,
}

_PROBLEMS: dict[int, tuple[str, str, str, str | None]] = {
    400: ("Malformed.", "The body is not JSON: …", "malformed_json", None),
    401: ("No valid key.", "Send a valid API key: …", "invalid_api_key", None),
    404: ("Unknown, or another key's.", "You have no job of that id.", "job_not_found", None),
    408: ("The body took too long.", "The body took too long to arrive.", "body_too_slow", None),
    409: ("Not in this state.", "The job has ended already.", "job_terminal", None),
    410: ("Deleted when its time was over.", "The audio's time to live …", "audio_gone", None),
    413: ("Body too large.", "The body is larger than any job may be.", "body_too_large", None),
    415: ("Not JSON.", "Send the body as …", "unsupported_media_type", None),
    416: ("Past the end.", "The file has 49344 bytes.", "range_not_satisfiable", None),
    422: ("A field is bad.", "Unknown voice 'af_hart'. …", "unknown_voice", "voice"),
    429: ("Your limit; see `Retry-After`.", "Too many jobs a minute …", "rate_limited", None),
    500: ("Ours; it is logged.", "Something went wrong here …", "internal", None),
    502: ("It could not be spoken.", "Segment 0: … (poison)", "speech_failed", None),
    503: ("Full, or Redis or the store is away.", "The system is full; …", "system_full", None),
}

_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def problems(*statuses: int) -> Responses:
    """Return the declarations of these errors, and of those that any call can meet."""
    found: Responses = {}
    for status in sorted({*statuses, 401, 500, 503}):
        description, message, code, param = _PROBLEMS[status]
        example = error_body(status, message, code, param)
        found[status] = {
            "model": Error,
            "description": description,
            "content": {"application/json": {"example": example}},
        }
        if status in {429, 503}:
            found[status]["headers"] = _RETRY_AFTER
    return found


def accepted(description: str, *, what: str = "job") -> dict[str, Any]:
    """Return the declaration of a submission's answer."""
    location = {"description": f"The {what}.", "schema": {"type": "string"}}
    headers: dict[str, Any] = {**_RETRY_AFTER, "Location": location}
    if what == "job":
        applied = {"description": "The wait that was granted.", "schema": {"type": "string"}}
        headers["Preference-Applied"] = applied
    return {"description": description, "headers": headers}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Declare the body of a route that reads it itself, to answer 400 and 415 in the one form."""
    ref = _REF.format(model=model.__name__)
    content = {"application/json": {"schema": {"$ref": ref}}}
    return {"requestBody": {"required": True, "content": content}}


def _job_body() -> dict[str, Any]:
    """Declare a submission: JSON, or a form with a document."""
    declared = json_body(JobRequest)
    ref = {"$ref": _REF.format(model="JobRequest")}
    text = {"type": "string"}
    form = {
        "type": "object",
        "required": ["file"],
        "description": "A document to be spoken: txt, md, srt or epub, told by its content first. "
        "Beside it either `job`, or the job's fields one by one: as text, `outputs` and `lexicons` "
        "with commas, `webhook` and `metadata` as JSON.",
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "job": {"allOf": [ref], "description": "As JSON, without `input`."},
            "srt_timing": {
                "type": "string",
                "enum": ["true", "false"],
                "description": "Whether silences between subtitles become pauses.",
            },
            "voice": text,
            "response_format": text,
        },
        "additionalProperties": text,
    }
    content = {"multipart/form-data": {"schema": form, "encoding": {"job": _JSON_PART}}}
    declared["requestBody"]["content"] |= content
    return declared


_JSON_PART = {"contentType": "application/json"}

JOB_BODY = _job_body()


def install_openapi(app: FastAPI) -> None:
    """Make the application describe itself whole; built at the first request for it."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    speech = (SpeechRequest, CaptionedSpeechRequest, DialogueRequest)
    bodies = (JobRequest, RedoRequest, LexiconRequest, *speech, BatchRequest)
    for model in (*bodies, Captions):
        body = model.model_json_schema(ref_template=_REF)
        schemas |= {**body.pop("$defs", {}), model.__name__: body}
    schemas["Job"]["example"] = JOB_EXAMPLE
    schemas["Batch"]["example"] = BATCH_EXAMPLE
    schemas["Estimate"]["example"] = ESTIMATE_EXAMPLE
    schemas["UsageReport"]["example"] = USAGE_EXAMPLE
    # FastAPI's own shape of a 422, which no answer has.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    return document
