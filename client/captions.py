"""When each word of a job is heard: what it is, and the calls for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client.answers import Job, TextSpan, raw_field
from client.calls import Call, job_id_of, reader
from client.errors import InvalidUse

FILES = ("srt", "vtt", "json")
"""Kinds of caption files."""


@dataclass(frozen=True, kw_only=True)
class CaptionSentence:
    """A sentence, or a segment's part of one; times are in the audio, `span` is in the input."""

    text: str
    start_s: float
    end_s: float
    span: TextSpan | None = None
    segment: int = 0


@dataclass(frozen=True, kw_only=True)
class CaptionWord:
    """A word; `sentence` is its place among the sentences."""

    word: str
    start_s: float
    end_s: float
    span: TextSpan | None = None
    segment: int = 0
    sentence: int = 0


@dataclass(frozen=True, kw_only=True)
class Captions:
    """When words and sentences are heard.

    Attributes:
        audio_s: seconds of audio that this goes up to.
        exact: false where the times are shared out by length, not told by the engine.
        complete: whether it goes up to the end of the job.
        after: asks for what comes next, while the job runs.
    """

    language: str | None = None
    audio_s: float = 0.0
    exact: bool = True
    complete: bool = True
    after: str | None = None
    sentences: tuple[CaptionSentence, ...] = ()
    words: tuple[CaptionWord, ...] = ()
    raw: Mapping[str, Any] = raw_field()


def words(job: Job | str, *, partial: bool, after: str | None) -> Call[Captions]:
    """Fetch the times of words and sentences."""
    params = {"partial": "1"} if partial else {}
    if after is not None:
        params["after"] = after
    return Call("GET", _path(job, "json"), reader(Captions), params=params)


def file(job: Job | str, kind: str) -> Call[bytes]:
    """Fetch a caption file as it is.

    Raises:
        InvalidUse: there is no such kind.
    """
    if kind not in FILES:
        raise InvalidUse(f"Captions are {', '.join(FILES)}, not {kind!r}.")
    return Call("GET", _path(job, kind), lambda response: response.content, follow=True)


def _path(job: Job | str, kind: str) -> str:
    return f"/v1/jobs/{job_id_of(job)}/captions.{kind}"
