"""What a job would come to: what is told of it, and the calls for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client.answers import raw_field
from client.calls import UPLOAD_TIMEOUT_S, Call, document_form, reader
from client.requests import job_body

FATAL = frozenset({"language_unavailable", "nothing_to_speak"})
"""Codes of problems with which the job would fail."""

TIMEOUT_S = 30.0
"""For the answer: a planner may have to load a language first."""


@dataclass(frozen=True, kw_only=True)
class UnknownWord:
    """A word that stands in no dictionary, and how rules have it said; None: it has no sound."""

    word: str
    phonemes: str | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a listener, or the job itself, would suffer from; `param` is the field it is about."""

    code: str
    detail: str = ""
    param: str | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a job would come to if it were submitted now.

    Attributes:
        segments: pauses too; None where that can't be told.
        audio_s: seconds of audio.
        wait_s: seconds until it would have ended; None where nothing was measured yet.
        oov: words that stand in no dictionary.
        problems: see `fatal`.
        sampled: parts of a long text stand for all of it.
        input_chars: of the text, as it would be put together.
        chapters: how many there are.
        lexicons: those it would be spoken with, each with its version.
        title, author: of the work, as a document says if the request does not.
    """

    segments: int | None = None
    audio_s: float | None = None
    wait_s: float | None = None
    oov: tuple[UnknownWord, ...] = ()
    problems: tuple[Problem, ...] = ()
    sampled: bool = False
    input_chars: int = 0
    chapters: int = 0
    lexicons: tuple[str, ...] = ()
    title: str | None = None
    author: str | None = None
    raw: Mapping[str, Any] = raw_field()

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """Those of the problems with which the job would fail."""
        return tuple(problem for problem in self.problems if problem.code in FATAL)


def estimate(text: str | None, options: Mapping[str, Any]) -> Call[Estimate]:
    """Ask what a job of a text would come to; nothing is made."""
    body = job_body(text, options)
    return Call("POST", "/v1/estimate", reader(Estimate), json=body, timeout_s=TIMEOUT_S)


def estimate_document(
    name: str, data: bytes, options: Mapping[str, Any], *, srt_timing: bool
) -> Call[Estimate]:
    """Ask what a job of a document would come to; nothing is made."""
    return Call(
        "POST",
        "/v1/estimate",
        reader(Estimate),
        form=document_form(options, srt_timing=srt_timing),
        file=(name, data),
        timeout_s=UPLOAD_TIMEOUT_S,
    )
