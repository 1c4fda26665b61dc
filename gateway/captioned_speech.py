"""`/dev/captioned_speech`: audio and when its words are heard, as Kokoro-FastAPI's clients know it.

A line, or all of the answer, is `{"audio": base64, "audio_format", "timestamps"}`. The words of a
segment come with its first bytes. Nothing is held but what is sent next, with `stream: false` too.
"""

import base64
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.callers import CallerOf
from gateway.captions import captions_file
from gateway.errors import JobNotFound
from gateway.live_audio import Piece, live_pieces
from gateway.live_response import begun
from gateway.live_words import LiveWords
from gateway.offload import offload
from gateway.openapi import json_body
from gateway.services import Services, ServicesOf
from gateway.speech import SPEECH_ANSWERS, Body, speak, whole_audio
from gateway.speech_request import CaptionedSpeechRequest, read_speech_request
from gateway.stored_captions import stored_rows
from shared.captions import to_json
from shared.formats import FORMATS, CaptionFormat
from shared.ledger.records import JobRecord
from shared.markup import find_marks

router = APIRouter(tags=["speech"])

ROWS_AT_ONCE = 256
"""Words of a finished job that are sent together."""

Stamp = Callable[[dict[str, Any]], dict[str, Any]]


class WordTimestamp(BaseModel):
    """When a word is heard."""

    word: str
    start_time: float = Field(description="Seconds from the beginning of all audio.")
    end_time: float
    voice: str | None = Field(None, description="Who speaks it; only with `allow_voice_tags`.")


class CaptionedSpeech(BaseModel):
    """Some audio, or all of it, and its words."""

    audio: str = Field(description="Base64. Lines' audio, put together, is one stream.")
    audio_format: str = Field(description="Its media type.", examples=["audio/mpeg"])
    timestamps: list[WordTimestamp] | None = Field(
        description="Null without a stream and without `return_timestamps`. Where the engine "
        "predicts no durations they are shared out by length; the job's warnings then say so."
    )


_EXAMPLE = {
    "audio": "SUQzBAAA…",
    "audio_format": "audio/mpeg",
    "timestamps": [{"word": "Hello", "start_time": 0.1, "end_time": 0.4875}],
}


@router.post(
    "/dev/captioned_speech",
    response_class=Response,
    responses={
        **SPEECH_ANSWERS,
        200: {
            "model": CaptionedSpeech,
            "description": "Lines of such objects, each as soon as its audio is made; with "
            "`stream: false` one. A connection that is closed without the answer's end is of audio "
            "that could not be completed.",
            "headers": SPEECH_ANSWERS[200]["headers"],
            "content": {"application/json": {"example": _EXAMPLE}},
        },
    },
    openapi_extra=json_body(CaptionedSpeechRequest),
)
async def create_captioned_speech(
    request: Request, services: ServicesOf, caller: CallerOf
) -> Response:
    """Speak a text and tell when each word is heard. Who hangs up wants no more of it."""
    wish = await read_speech_request(request, CaptionedSpeechRequest)
    return await speak(request, services, caller, wish, _captioned)


async def _captioned(
    request: Request, services: Services, wish: CaptionedSpeechRequest, record: JobRecord
) -> Body:
    media_type = FORMATS[wish.response_format].media_type
    stamp = await offload(len(wish.input), lambda: _stamp(wish))
    if wish.stream:
        pieces = live_pieces(services, record.uid, wish.response_format, volume=wish.volume)
        words = LiveWords(services, record) if wish.return_timestamps else None
        lines = _lines(pieces, words, stamp, media_type)
        return Body(await begun(request, lines), "application/json", {})
    audio, _ = await whole_audio(request, services, wish, record)
    rows = None
    if wish.return_timestamps:
        ended = await services.intake.get(record.owner, record.uid)
        if ended is None:
            raise JobNotFound()
        key = captions_file(ended, CaptionFormat.WORDS).key
        rows = stored_rows(services.storage, key, "words")
    return Body(_whole(audio, rows, stamp, media_type), "application/json", {})


def _stamp(wish: CaptionedSpeechRequest) -> Stamp:
    """Return what makes a timestamp of a row of the job's captions."""

    def plain(row: dict[str, Any]) -> dict[str, Any]:
        return {"word": row["word"], "start_time": row["start_s"], "end_time": row["end_s"]}

    if not wish.allow_voice_tags:
        return plain
    places, voices = [0], [wish.voice]
    for mark in find_marks(wish.input):
        if mark.voice:
            places.append(mark.end)
            voices.append(mark.voice)

    def voiced(row: dict[str, Any]) -> dict[str, Any]:
        speaks = bisect_right(places, row["span"]["start"]) - 1
        return {**plain(row), "voice": voices[speaks]}

    return voiced


async def _lines(
    pieces: AsyncGenerator[Piece, None], words: LiveWords | None, stamp: Stamp, media_type: str
) -> AsyncIterator[bytes]:
    coming: list[dict[str, Any]] = []
    async with aclosing(pieces):
        async for piece in pieces:
            if piece.begins is not None and words is not None:
                coming += map(stamp, await words.of(piece.begins))
            if piece.data:
                yield _line(piece.data, media_type, coming)
                coming = []
    if coming:  # an encoder that held the last bytes back would have had them with the end
        yield _line(b"", media_type, coming)


def _line(data: bytes, media_type: str, timestamps: list[dict[str, Any]]) -> bytes:
    audio = base64.b64encode(data).decode()
    line = {"audio": audio, "audio_format": media_type, "timestamps": timestamps}
    return f"{to_json(line)}\n".encode()


async def _whole(
    audio: AsyncIterator[bytes],
    rows: AsyncIterator[dict[str, Any]] | None,
    stamp: Stamp,
    media_type: str,
) -> AsyncIterator[bytes]:
    yield b'{"audio":"'
    async for part in _in_base64(audio):
        yield part
    yield f'","audio_format":{to_json(media_type)},"timestamps":'.encode()
    if rows is None:
        yield b"null}\n"
        return
    before, some = "[", []
    async for row in rows:
        some.append(to_json(stamp(row)))
        if len(some) == ROWS_AT_ONCE:
            yield (before + ",".join(some)).encode()
            before, some = ",", []
    if some or before == "[":
        yield (before + ",".join(some)).encode()
    yield b"]}\n"


async def _in_base64(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        yield base64.b64encode(data[:whole])
    yield base64.b64encode(rest)
