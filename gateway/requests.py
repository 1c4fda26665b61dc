"""What a client may ask for, and reading it from a request's body."""

import json
import math
import re
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Annotated, Any, Literal, NoReturn

from fastapi import Request
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from gateway.errors import MalformedJson, UnsupportedMediaType
from gateway.offload import offload
from gateway.texts import MAX_SEGMENTS, ChapterPart, SpokenPart, join_chapters, join_segments
from shared.addresses import MAX_URL_CHARS
from shared.errors import InvalidInput, InvalidLexicon
from shared.formats import AudioFormat, CaptionFormat
from shared.ledger.states import Lane
from shared.lexicon import MAX_JOB_LEXICONS, check_reference
from shared.markup import MAX_CHAPTERS
from shared.settings import Settings

MAX_PARTS = 40_000
"""Strings of a body, marks between them, and what is between those.

A request has some 300, and a dozen more for each of at most 2,000 chapters.
"""

MAX_OUTSIDE_BYTES = 256 * 1024
"""Of a body's marks, numbers, words and blanks: all that is in no string."""

MAX_NAME_BYTES = 1024
"""Of a field's name as it is sent; the longest allowed is 64 characters of 12 bytes."""

# Possessive, so that a text of a million escapes leaves nothing behind to come back to.
_PART = re.compile(rb'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+"?)|[\[{,:]|[^"\[{,:]++', re.DOTALL)


class Event(StrEnum):
    """What a webhook can tell of."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELED = "job.canceled"
    EXPIRED = "job.expired"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


# Strict mode would want members of the enum, which JSON does not have.
_Event = Annotated[Event, Field(strict=False)]
_Format = Annotated[AudioFormat, Field(strict=False)]


def _printable(text: str | None) -> str | None:
    if text is not None and not text.isprintable():
        raise ValueError("only printable characters are allowed")
    return text


def _named_once(lexicons: list[str]) -> list[str]:
    names = [check_reference(lexicon).partition("@")[0] for lexicon in lexicons]
    if len(set(names)) != len(names):
        raise InvalidLexicon("A lexicon is named twice.", param="lexicons")
    return lexicons


_Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]

# Fields of every request that makes a job.
Priority = Annotated[
    Lane, Field(strict=False, description="`batch` gives way to `interactive` work.")
]
DeadlineSeconds = Annotated[
    int | None, Field(ge=1, description="Seconds the job may take; then it is `expired`.")
]
TtlSeconds = Annotated[
    int | None, Field(ge=1, description="Seconds its audio is kept once finished.")
]
CustomId = Annotated[
    str | None,
    Field(min_length=1, max_length=64, description="Yours, to find the job by in lists."),
    AfterValidator(_printable),
]
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16, description="Handed back as it came."),
]
LexiconNames = Annotated[
    list[Annotated[str, Field(max_length=80)]],
    Field(max_length=MAX_JOB_LEXICONS),
    AfterValidator(_named_once),
]


def check_bounds(
    settings: Settings, text_field: str, chars: int, deadline_s: int | None, ttl_s: int | None
) -> None:
    """Raise `InvalidInput` for what this cluster's settings do not allow.

    Args:
        settings: of the cluster.
        text_field: the name of the field that has the text.
        chars: of the text.
        deadline_s: as asked for.
        ttl_s: as asked for.
    """
    for name, size, most, unit in (
        (text_field, chars, settings.max_input_chars, "characters"),
        ("deadline_s", deadline_s or 0, settings.job_deadline_max_s, "seconds"),
        ("ttl_s", ttl_s or 0, settings.job_ttl_max_s, "seconds"),
    ):
        if size > most:
            raise InvalidInput(f"{name}: at most {most} {unit} are allowed here.", param=name)


_FIRST_FIELDS = frozenset(
    {
        *("input", "voice", "model", "language", "speed", "response_format", "outputs"),
        *("webhook", "priority", "deadline_s", "ttl_s", "custom_id", "metadata"),
    }
)


def _known_output(name: object, read: ValidatorFunctionWrapHandler) -> object:
    # Else there would be an error for each of the two kinds, under names of pydantic's.
    try:
        return read(name)
    except ValidationError as error:
        known = ", ".join((*AudioFormat, *CaptionFormat))
        raise ValueError(f"must be one of {known}") from error


_Output = Annotated[
    _Format | Annotated[CaptionFormat, Field(strict=False)], WrapValidator(_known_output)
]


class WebhookRequest(_Strict):
    """Where to tell of the job's end."""

    url: str = Field(max_length=MAX_URL_CHARS, examples=["https://example.com/hooks/speech"])
    events: list[_Event] = Field(
        default_factory=lambda: list(Event), min_length=1, max_length=len(Event)
    )


class JobRequest(_Strict):
    """A job to be made. Its text is in one of `input`, `segments` and `chapters`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in ("input", "segments", "chapters")]
        }
    )

    segments: list[SpokenPart] | None = Field(
        None,
        min_length=1,
        max_length=MAX_SEGMENTS,
        description="Several speakers: parts of the text, a voice each. They become one text "
        "with marks, `[voice:…]part`, with a blank line between parts; spans count in that.",
    )
    chapters: list[ChapterPart] | None = Field(
        None,
        min_length=1,
        max_length=MAX_CHAPTERS,
        description="Parts of the text, a title each. They become one text with marks, "
        "`[chapter:…]`, a blank line, part, with a blank line between parts; spans count in that.",
    )
    input: str = Field(
        "",
        validate_default=True,
        max_length=2_000_000,
        json_schema_extra={"minLength": 1},
        description="The text; `[pause:1.5s]`, `[word](/phonemes/)`, `[voice:am_adam]` (until the "
        "next one) and `[chapter:Title]` are understood in it.",
        examples=["Hello from your own machine. [pause:0.5s] It works."],
    )
    voice: str = Field(
        "af_heart",
        max_length=1000,
        description="A name, or a mix such as `af_bella(2)+af_sky(1)`.",
        examples=["af_heart"],
    )
    model: str | None = Field(None, max_length=200, description="One of GET /v1/models.")
    language: str | None = Field(
        None,
        max_length=20,
        description="Of all the text. Default: the voice's own, also of voices that marks name.",
        examples=["en-us"],
    )
    chapter_pause_s: float = Field(
        1.0, ge=0, le=10, description="Seconds of silence that each chapter begins with."
    )
    speed: float = Field(1.0, ge=0.25, le=4)
    response_format: _Format | None = Field(None, description="Default: mp3.")
    outputs: list[_Output] | None = Field(
        None,
        min_length=1,
        max_length=len(AudioFormat) + len(CaptionFormat),
        description=(
            "Several files from one synthesis, in place of `response_format`; captions "
            "(`srt`, `vtt`, `words`) beside at least one audio format."
        ),
    )
    timestamps: bool = Field(
        False, description="Tell when each word is heard: all three kinds of captions."
    )
    webhook: WebhookRequest | None = None
    priority: Priority = Lane.INTERACTIVE
    deadline_s: DeadlineSeconds = None
    ttl_s: TtlSeconds = None
    custom_id: CustomId = None
    metadata: Metadata = Field(default_factory=dict)
    normalize: bool = Field(
        True,
        description="Write out what would be misread: dates, times, measures, addresses, "
        "abbreviations, Roman numerals. `false`: read the text as it stands.",
    )
    title: _Name | None = Field(None, description="Of the work; M4B files say it.")
    author: _Name | None = Field(None, description="Of the work; M4B files say it.")
    split: Literal["chapters"] | None = Field(
        None,
        description="`chapters`: besides the whole, files of each chapter in each format; they are "
        "among `output.others`. Chapters times formats are at most 2,000.",
    )
    loudness_lufs: float | None = Field(
        None,
        ge=-40,
        le=-5,
        description="Integrated loudness of the whole, by ITU-R BS.1770; less where a true peak "
        "would pass -1 dBFS, and then a warning says so. The files are so loud, while "
        "`audio?partial=1` and single segments are as rendered. Default: as it is rendered.",
        examples=[-18.0],
    )
    lexicons: LexiconNames = Field(
        default_factory=list,
        description="Your stored lexicons to speak with, `name` or `name@version`; the first that "
        "has a word decides. A later change to a lexicon does not change the job.",
        examples=[["names", "products@3"]],
    )

    @field_validator("input")
    @classmethod
    def _check_one_text(cls, text: str, info: ValidationInfo) -> str:
        # A list that is bad itself is not among the data, and has an error of its own.
        parts = [info.data[name] for name in ("segments", "chapters") if name in info.data]
        given = bool(text) + sum(part is not None for part in parts)
        if given > 1:
            raise ValueError("give only one of input, segments and chapters")
        if given == 0 and len(parts) == 2:
            raise ValueError("the text is missing; give it here, or in segments or chapters")
        return text

    @field_validator("outputs")
    @classmethod
    def _check_outputs(
        cls, outputs: list[AudioFormat | CaptionFormat] | None, info: ValidationInfo
    ) -> list[AudioFormat | CaptionFormat] | None:
        if outputs is not None and info.data.get("response_format") is not None:
            raise ValueError("give either response_format or outputs, not both")
        if outputs is not None and len(set(outputs)) != len(outputs):
            raise ValueError("a format is named twice")
        if outputs is not None and not any(isinstance(name, AudioFormat) for name in outputs):
            raise ValueError("captions belong to audio: name at least one audio format too")
        return outputs

    @property
    def formats(self) -> tuple[AudioFormat, ...]:
        """The audio files to make, the main one first."""
        if self.outputs is None:
            return (self.response_format or AudioFormat.MP3,)
        return tuple(name for name in self.outputs if isinstance(name, AudioFormat))

    @property
    def captions(self) -> tuple[CaptionFormat, ...]:
        """The captions to make beside them."""
        asked = self.outputs or ()
        return tuple(name for name in CaptionFormat if self.timestamps or name in asked)

    @property
    def text_field(self) -> str:
        """The name of the field that has the text."""
        return "segments" if self.segments else "chapters" if self.chapters else "input"

    @property
    def text_chars(self) -> int:
        """How long the text is, without the marks that it is put together with."""
        return len(self.input) + sum(
            len(part.input) for part in (*(self.segments or ()), *(self.chapters or ()))
        )

    def text(self) -> str:
        """Return the text, put together if it came in parts.

        Raises:
            InvalidInput: a part has a malformed voice or mark; `param` names it.
        """
        if self.segments is not None:
            return join_segments(self.segments, self.voice)
        return self.input if self.chapters is None else join_chapters(self.chapters)

    def check_bounds(self, settings: Settings) -> None:
        """Raise `InvalidInput` for what this cluster's settings do not allow."""
        check_bounds(settings, self.text_field, self.text_chars, self.deadline_s, self.ttl_s)

    def canonical(self) -> bytes:
        """Return the request as bytes that are equal for requests that mean the same.

        A field that came later than the first release is not in them when it says nothing new, so
        that a request is still itself after an upgrade.
        """
        fields = self.model_dump(mode="json")
        for name, default in _later_defaults(type(self)):
            if getattr(self, name) == default:
                del fields[name]
        return json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()


@cache
def _later_defaults(model: type[BaseModel]) -> list[tuple[str, Any]]:
    # Once a class: pydantic reads a factory's signature anew each time it is asked for a default.
    fields = model.model_fields.items()
    return [(name, field.get_default()) for name, field in fields if name not in _FIRST_FIELDS]


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"The body is not JSON: {name} is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedJson("The body has a number too large for any field.")
    return number


def _check_size(body: bytes, max_parts: int, max_outside_bytes: int) -> None:
    # Parsed, `[[],[],…` takes 25 times the memory that it is sent in.
    parts = outside = string_bytes = 0
    for part in islice(_PART.finditer(body), max_parts):
        parts += 1
        if part.lastgroup:
            string_bytes = part.end() - part.start()
        else:
            outside += part.end() - part.start()
            # An unknown name is quoted in the error that tells of it, several times over.
            if string_bytes > MAX_NAME_BYTES and part.group() == b":":
                raise MalformedJson("The body has a field with a name longer than any field's.")
    if parts == max_parts or outside > max_outside_bytes:
        raise MalformedJson("The body has far more names, values or blanks than any that is asked.")


def parse_json(
    body: bytes, *, max_parts: int = MAX_PARTS, max_outside_bytes: int = MAX_OUTSIDE_BYTES
) -> Any:
    """Parse a request's body, strictly.

    Args:
        body: as it came.
        max_parts: see `MAX_PARTS`; its default is a job's.
        max_outside_bytes: see `MAX_OUTSIDE_BYTES`; its default is a job's.

    Raises:
        MalformedJson: it is not UTF-8, not JSON, has too many parts, or a number too large.
    """
    _check_size(body, max_parts, max_outside_bytes)
    try:
        return json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise MalformedJson("The body is nested too deeply.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise MalformedJson("The body has a number too large for any field.") from error


async def read_json_body(request: Request) -> bytes:
    """Return the body of a request that says it is JSON.

    Raises:
        UnsupportedMediaType: it does not say so, or is compressed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType()
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        # Nothing is ever decompressed here, so that a small body stays small.
        raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    return await request.body()


async def read_job_request(request: Request) -> JobRequest:
    """Read and check the body of a submission, off the event loop.

    Raises:
        UnsupportedMediaType: it does not say that it is JSON, or is compressed.
        MalformedJson: it is not.
        ValidationError: a field is missing, unknown or bad.
    """
    body = await read_json_body(request)
    return await offload(len(body), lambda: JobRequest.model_validate(parse_json(body)))
