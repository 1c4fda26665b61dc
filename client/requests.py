"""What a job can be asked to be, and its JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from client.errors import InvalidUse

RENAMED = {"format": "response_format", "formats": "outputs"}
"""Options that the API calls otherwise."""

TEXTS = frozenset({"input", "segments", "chapters"})
"""Fields of which a job has one."""


class JobOptions(TypedDict, total=False):
    """What can be said of a job beside its text; the server's defaults hold for what is not.

    Keys:
        voice: a name, or a mix such as `af_bella(2)+af_sky(1)`.
        format: `mp3`, `opus`, `aac`, `flac`, `wav`, `pcm`, `m4b`; the OpenAPI document has all.
        formats: several from one synthesis, in place of `format`; the first is the main one.
        language: for example `en-gb`; default: the voice's own.
        speed: 0.25 to 4.
        model: one of `models()`.
        webhook: an address, or `{"url": …, "events": […]}`.
        priority: `interactive`, or `batch`, which gives way to it.
        deadline_s: seconds the job may take; then it is `expired`.
        ttl_s: seconds its audio is kept.
        custom_id: yours, to find it by in lists.
        normalize: say numbers, dates, addresses and the like as one does; the server's default is
            in its OpenAPI document.
        timestamps: tell when each word is heard: captions in all kinds.
        metadata: up to 16 texts, handed back as they came.
        segments: several speakers, in place of the text: `[{"voice": …, "input": …}, …]`.
        chapters: parts with titles, in place of the text: `[{"title": …, "input": …}, …]`.
        title, author: of the work, as files that can say it will.
        split: `chapters`: besides the whole, a file of each chapter in each format.
        loudness_lufs: integrated loudness of the whole, -40 to -5.
        chapter_pause_s: silence that each chapter begins with.
        lexicons: stored ones to speak with, `name` or `name@version`; the first with a word counts.
    """

    voice: str
    format: str
    formats: Sequence[str]
    language: str
    speed: float
    model: str
    webhook: str | Mapping[str, Any]
    priority: str
    deadline_s: int
    ttl_s: int
    custom_id: str
    normalize: bool
    timestamps: bool
    metadata: Mapping[str, str]
    segments: Sequence[Mapping[str, str]]
    chapters: Sequence[Mapping[str, str]]
    title: str
    author: str
    split: str
    loudness_lufs: float
    chapter_pause_s: float
    lexicons: Sequence[str]


class RedoOptions(TypedDict, total=False):
    """What can be said of a segment that is said anew, and of the job it makes.

    `voice`, `language`, `speed`, `normalize` and `lexicons` are as they were for the segment unless
    they are given; the rest is as for any job.
    """

    voice: str
    language: str
    speed: float
    normalize: bool
    lexicons: Sequence[str]
    webhook: str | Mapping[str, Any]
    priority: str
    deadline_s: int
    ttl_s: int
    custom_id: str
    metadata: Mapping[str, str]


class JobFilter(TypedDict, total=False):
    """Which jobs to list; times need a time zone."""

    status: str | None
    custom_id: str | None
    created_after: datetime | None
    created_before: datetime | None


def job_body(text: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a submission; options that are None are left to the server.

    Raises:
        InvalidUse: there is not one text, or `format` and `formats` are both given.
    """
    body = options_body(options) | ({} if text is None else {"input": text})
    if len(body.keys() & TEXTS) != 1 or text == "":
        raise InvalidUse("Give the text in one of: the first argument, segments, chapters.")
    return body


def options_body(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of what is said of a job beside its text.

    Raises:
        InvalidUse: `format` and `formats` are both given.
    """
    body: dict[str, Any] = {}
    given = {name: value for name, value in options.items() if value is not None}
    if "format" in given and "formats" in given:
        raise InvalidUse("Give either format or formats, not both.")
    for name, value in given.items():
        if name == "webhook" and isinstance(value, str):
            body[name] = {"url": value}
        elif isinstance(value, tuple):
            body[RENAMED.get(name, name)] = list(value)
        else:
            body[RENAMED.get(name, name)] = value
    return body
