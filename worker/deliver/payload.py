"""The body of a webhook: the job, small enough for every receiver, and never its audio."""

import json
from collections.abc import Callable, Iterator
from typing import Any

MAX_BODY_BYTES = 20_000
"""A body is shorter than this, as Standard Webhooks advises."""

MAX_WARNINGS = 10
MAX_MESSAGE_CHARS = 1000
MAX_WORD_CHARS = 256

_IDENTITY = ("id", "object", "status", "custom_id", "created_at", "completed_at", "expires_at")


def webhook_body(event_type: str, timestamp: str, job: dict[str, Any]) -> bytes:
    """Encode an event, in the same bytes for the same job.

    What would not fit is trimmed, the least useful first, and `data.truncated` then names the
    fields that are not whole: the receiver finds them at `data.urls.self`.

    Args:
        event_type: for example `job.succeeded`.
        timestamp: when it happened, RFC 3339 UTC.
        job: the job as the API shows it; not changed.

    Returns:
        JSON, UTF-8, fewer than `MAX_BODY_BYTES` bytes.

    Raises:
        TypeError: the job holds something that is not JSON, such as bytes.
        ValueError: the job holds NaN or an infinity.
    """
    for data in _shorter_and_shorter(job):
        body = _encode({"type": event_type, "timestamp": timestamp, "data": data})
        if len(body) < MAX_BODY_BYTES:
            return body
    raise ValueError("the event's type and timestamp alone are too long")


def _shorter_and_shorter(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield job
    truncated: list[str] = []
    data = dict(job)
    for field, trim in _TRIMS:
        if data.get(field):
            data = {**data, **trim(data[field]), "truncated": [*truncated, field]}
            truncated.append(field)
            yield data
    # No field of an honest job is left to blame, so keep only what identifies it.
    kept = {name: _word(data[name]) for name in _IDENTITY if name in data}
    links = data.get("urls")
    if isinstance(links, dict):
        kept["urls"] = {name: _word(links[name]) for name in ("self", "audio") if name in links}
    yield {**kept, "truncated": ["*"]}


def _trim_warnings(warnings: list[dict[str, Any]]) -> dict[str, Any]:
    first = [{name: _word(value) for name, value in w.items()} for w in warnings[:MAX_WARNINGS]]
    return {"warnings": first, "warnings_total": len(warnings)}


def _trim_error(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": {**error, "message": str(error.get("message"))[:MAX_MESSAGE_CHARS]}}


_TRIMS: tuple[tuple[str, Callable[[Any], dict[str, Any]]], ...] = (
    ("segments", lambda _: {"segments": []}),
    ("warnings", _trim_warnings),
    ("error", _trim_error),
    ("metadata", lambda _: {"metadata": {}}),
)


def _word(value: Any) -> Any:
    return value[:MAX_WORD_CHARS] if isinstance(value, str) else value


def _encode(event: dict[str, Any]) -> bytes:
    text = json.dumps(
        event, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    # A lone surrogate has no UTF-8, and one in a message must not stop the webhook.
    return text.encode(errors="replace")
