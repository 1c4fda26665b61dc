"""`/dev/phonemize`, `/dev/generate_from_phonemes` and `/dev/dialogue`, as in Kokoro-FastAPI."""

import re
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field, field_validator
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.offload import offload
from gateway.openapi import json_body, problems
from gateway.requests import parse_json, read_json_body
from gateway.schemas import Phonemes
from gateway.services import ServicesOf
from gateway.speech import SPEECH_ANSWERS, audio_body, speak
from gateway.speech_request import DialogueRequest, Lenient, SpeechRequest, read_speech_request
from shared.formats import FORMATS, AudioFormat
from shared.languages import parse_language
from shared.ledger.asks import AskKind
from shared.markup import MAX_MARK_PHONEMES, check_input

router = APIRouter(tags=["speech"])

ASK_WITHIN_S = 10.0
"""How long a planner may take over a text; it may have to load a dictionary first."""
MAX_TEXT_CHARS = 20_000

_OUTSIDE_A_MARK = re.compile(r"[()\[\]\n]")


class PhonemizeRequest(Lenient):
    """A text whose phonemes are wanted."""

    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARS, examples=["Hello there."])
    language: str = Field("a", max_length=20, description="`a`, `en-us`, …")


class PhonemesRequest(Lenient):
    """Phonemes to be spoken as they are."""

    phonemes: str = Field(min_length=1, max_length=MAX_MARK_PHONEMES, examples=["həlˈO ðɛɹ."])
    voice: str = Field("af_heart", min_length=1, max_length=1000)

    @field_validator("phonemes")
    @classmethod
    def _check_phonemes(cls, phonemes: str) -> str:
        if _OUTSIDE_A_MARK.search(phonemes):
            raise ValueError("brackets and line ends are no phonemes")
        return phonemes


def _body(example: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    schema.pop("title", None)
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/dev/phonemize",
    response_model=Phonemes,
    responses=problems(400, 408, 413, 415, 422),
    openapi_extra=_body({"text": "Hello there."}, PhonemizeRequest.model_json_schema()),
)
async def phonemize(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Say how a text is pronounced, and the model's numbers for it."""
    body = await read_json_body(request)
    wish = await offload(len(body), lambda: PhonemizeRequest.model_validate(parse_json(body)))
    language = parse_language(wish.language)
    check_input(wish.text)
    question = {"text": wish.text, "language": language.value}
    found = await services.asks.ask(AskKind.PHONEMIZE, question, ASK_WITHIN_S, owner=caller.owner)
    return JSONResponse({"phonemes": found["phonemes"], "tokens": found["tokens"]})


@router.post(
    "/dev/generate_from_phonemes",
    response_class=Response,
    responses={
        **SPEECH_ANSWERS,
        200: {
            "description": "The audio.",
            "content": {
                FORMATS[AudioFormat.WAV].media_type: {
                    "schema": {"type": "string", "format": "binary"}
                }
            },
        },
    },
    openapi_extra=_body({"phonemes": "həlˈO ðɛɹ."}, PhonemesRequest.model_json_schema()),
)
async def generate_from_phonemes(
    request: Request, services: ServicesOf, caller: CallerOf
) -> Response:
    """Speak phonemes, at most as many as one segment has."""
    body = await read_json_body(request)
    wish = await offload(len(body), lambda: PhonemesRequest.model_validate(parse_json(body)))
    speech = SpeechRequest(
        # A mark over a word says how it is spoken: here it is all there is to speak.
        input=f"[speech](/{wish.phonemes}/)",
        voice=wish.voice,
        response_format=AudioFormat.WAV,
    )
    return await speak(request, services, caller, speech, audio_body)


@router.post(
    "/dev/dialogue",
    response_class=Response,
    responses=SPEECH_ANSWERS,
    openapi_extra=json_body(DialogueRequest),
)
async def create_dialogue(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Speak what several speakers say, as `/v1/audio/speech` would with marks in its text."""
    wish = await read_speech_request(request, DialogueRequest)
    return await speak(request, services, caller, wish.speech(), audio_body)
