"""A request's text in parts, with a voice or a title each: put together into one text with marks.

Parts stand apart by a blank line, each after its mark. Spans and positions of the job count in the
text as it is put together:

    segments  [voice:af_heart]First.⏎⏎[voice:am_adam]Second.
    chapters  [chapter:One]⏎⏎First.⏎⏎[chapter:Two]⏎⏎Second.
"""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.errors import InvalidInput, InvalidMarkup
from shared.markup import MAX_TITLE_CHARS, MAX_VOICE_CHARS, find_marks
from shared.voices import parse_voice

MAX_SEGMENTS = 1000
"""Parts with a voice of their own that one request may have."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    input: str = Field(min_length=1, max_length=2_000_000, description="Text, with marks if any.")


class SpokenPart(_Part):
    """Text in a voice."""

    voice: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_VOICE_CHARS,
        description="Default: the job's `voice`.",
        examples=["am_adam"],
    )


class ChapterPart(_Part):
    """A chapter. Its title is shown, and spoken only where the text has it too."""

    title: str = Field(
        min_length=1,
        max_length=MAX_TITLE_CHARS,
        pattern=r"^[^\[\]\r\n]+$",
        description="On one line, without brackets.",
        examples=["The beginning"],
    )

    @field_validator("title")
    @classmethod
    def _check_title(cls, title: str) -> str:
        if not title.isprintable() or not title.strip():
            raise ValueError("it must have only printable characters, and not only blanks")
        return title


def join_segments(parts: Sequence[SpokenPart], voice: str) -> str:
    """Return the text of `parts`, each in its voice, or in `voice` where it has none.

    Raises:
        InvalidInput: a part's voice is malformed.
        InvalidMarkup: a mark in a part is; its position counts in that part.
    """
    several = any(part.voice is not None for part in parts)
    texts = []
    for index, part in enumerate(parts):
        _check_marks(part.input, f"segments.{index}.input")
        spoken = " ".join((part.voice or voice).split())
        try:
            parse_voice(spoken)
        except InvalidInput as error:
            param = f"segments.{index}.voice" if part.voice else "voice"
            raise InvalidInput(error.message, param=param) from error
        texts.append(f"[voice:{spoken}]{part.input}" if several else part.input)
    return "\n\n".join(texts)


def join_chapters(parts: Sequence[ChapterPart]) -> str:
    """Return the text of `parts`, each after its title's mark.

    Raises:
        InvalidMarkup: a mark in a part is malformed; its position counts in that part.
    """
    for index, part in enumerate(parts):
        _check_marks(part.input, f"chapters.{index}.input")
    return "\n\n".join(f"[chapter:{part.title.strip()}]\n\n{part.input}" for part in parts)


def with_voices(text: str, meant: Callable[[str], str]) -> str:
    """Return `text` with the voice of every mark replaced by the one that is meant by it.

    Raises:
        InvalidMarkup: a mark is malformed.
    """
    if "[" not in text:
        return text
    parts: list[str] = []
    at = 0
    for mark in find_marks(text):
        if mark.voice:
            parts += (text[at : mark.start], f"[voice:{meant(mark.voice)}]")
            at = mark.end
    return "".join((*parts, text[at:]))


def _check_marks(text: str, param: str) -> None:
    try:
        for _ in find_marks(text) if "[" in text else ():
            pass
    except InvalidMarkup as error:
        raise InvalidMarkup(error.message, param=param) from error
