"""A lexicon as a client puts it, read from a request's body."""

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.offload import offload
from gateway.requests import parse_json, read_json_body
from shared.errors import InvalidLexicon
from shared.languages import parse_language
from shared.lexicon import (
    MAX_ENTRIES,
    MAX_LEXICON_BYTES,
    MAX_SAID_CHARS,
    MAX_WORD_CHARS,
    Entry,
    Lexicon,
    make_lexicon,
)

MAX_PARTS = 40 * MAX_ENTRIES
"""See `gateway.requests.MAX_PARTS`: four names and four values an entry, and marks between them."""

MAX_OUTSIDE_BYTES = 200 * MAX_ENTRIES
"""See `gateway.requests.MAX_OUTSIDE_BYTES`: room for generous indentation."""

_GENEROUS = 4
"""What is a little too long gets the error that names its entry."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LexiconEntryRequest(_Strict):
    """A word and how it is said: give either `phonemes` or `respelling`."""

    word: str = Field(
        max_length=_GENEROUS * MAX_WORD_CHARS,
        description=f"A word or a phrase of at most {MAX_WORD_CHARS} characters.",
        examples=["Kubernetes"],
    )
    phonemes: str | None = Field(
        None,
        max_length=_GENEROUS * MAX_SAID_CHARS,
        description="Of the model's alphabet.",
        examples=["kˌubəɹnˈɛTiz"],
    )
    respelling: str | None = Field(
        None, max_length=_GENEROUS * MAX_SAID_CHARS, description="Text to be read instead."
    )
    case_sensitive: bool = Field(False, description="Whether capitals have to agree.")


class LexiconRequest(_Strict):
    """A lexicon's content, in place of what it had."""

    language: str | None = Field(
        None,
        max_length=20,
        description="Of the jobs it counts for; null: of all.",
        examples=["en-us"],
    )
    entries: list[LexiconEntryRequest] = Field(min_length=1, max_length=MAX_ENTRIES)


async def read_lexicon(request: Request) -> tuple[Lexicon, str]:
    """Read and check a lexicon, off the event loop.

    Returns:
        The lexicon, and its content as it is stored.

    Raises:
        UnsupportedMediaType: the body does not say that it is JSON, or is compressed.
        MalformedJson: it is not.
        ValidationError: a field is missing, unknown or bad.
        InvalidLexicon: an entry can't be spoken, or all together are too large.
        UnknownLanguage: Kokoro does not speak it.
    """
    body = await read_json_body(request)
    return await offload(len(body), lambda: _parse(body))


def _parse(body: bytes) -> tuple[Lexicon, str]:
    parsed = parse_json(body, max_parts=MAX_PARTS, max_outside_bytes=MAX_OUTSIDE_BYTES)
    wanted = LexiconRequest.model_validate(parsed)
    language = parse_language(wanted.language) if wanted.language is not None else None
    lexicon = make_lexicon(
        language,
        (
            Entry(entry.word, entry.phonemes or "", entry.respelling or "", entry.case_sensitive)
            for entry in wanted.entries
        ),
    )
    content = lexicon.to_json()
    size = len(content.encode())
    if size > MAX_LEXICON_BYTES:
        raise InvalidLexicon(
            f"The lexicon has {size} bytes; at most {MAX_LEXICON_BYTES} are allowed.",
            param="entries",
        )
    return lexicon, content
