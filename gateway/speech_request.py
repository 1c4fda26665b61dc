"""What OpenAI's and Kokoro-FastAPI's clients send to be spoken, and the job that it means.

Their clients send fields that other servers know, so what is unknown is ignored. What is known and
can't be done here is refused: nobody should get other audio than asked for without a word.
"""

from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway.offload import offload
from gateway.requests import JobRequest, parse_json, read_json_body
from gateway.speech_names import check_model, voice_here
from shared.formats import STREAMABLE, AudioFormat, CaptionFormat
from shared.ledger.states import Lane
from shared.manifest import EngineManifest


class Lenient(BaseModel):
    """What is unknown in it is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class VoiceId(Lenient):
    """How OpenAI's clients name a voice of one's own."""

    id: str = Field(min_length=1, max_length=1000)


class NormalizationOptions(Lenient):
    """Kokoro-FastAPI's: all or nothing, what it could turn off one by one changes nothing."""

    normalize: bool = True


class SpeechRequest(Lenient):
    """A text to be spoken while one listens."""

    input: str = Field(min_length=1, max_length=2_000_000, examples=["Hello there."])
    model: str | None = Field(
        None, max_length=200, description="`tts-1`, `kokoro`, …: all mean the model loaded."
    )
    voice: str | VoiceId = Field(
        "af_heart",
        description="A voice, a mix such as `af_bella(2)+af_sky(1)`, or one of OpenAI's names.",
        examples=["alloy"],
    )
    response_format: AudioFormat = AudioFormat.MP3
    speed: float = Field(1.0, ge=0.25, le=4)
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="`sse`: events `speech.audio.delta` and `speech.audio.done`."
    )
    instructions: str | None = Field(
        None, max_length=100_000, description="Accepted and ignored: Kokoro takes none."
    )
    stream: bool = Field(
        True, description="False: answer when all is made, with the whole file and its length."
    )
    lang_code: str | None = Field(
        None, max_length=20, description="`a`, `en-us`, …; default: the voice's."
    )
    volume_multiplier: Annotated[float, Field(gt=0, le=10)] | None = None
    return_download_link: bool = Field(
        False, description="Name the finished file in the header `X-Download-Path`."
    )
    download_format: AudioFormat | None = Field(
        None, description="Of that file; default: `response_format`."
    )
    return_timing: bool = Field(False, description="Not with speech: ask a job for captions.")
    normalization_options: NormalizationOptions | None = None

    @field_validator("voice")
    @classmethod
    def _check_voice(cls, voice: str | VoiceId) -> str | VoiceId:
        if isinstance(voice, str) and not 0 < len(voice) <= 1000:
            raise ValueError("a voice has 1 to 1000 characters")
        return voice

    @field_validator("response_format")
    @classmethod
    def _check_format(cls, audio_format: AudioFormat) -> AudioFormat:
        if audio_format not in STREAMABLE:
            raise ValueError(f"can't be streamed; choose one of {', '.join(sorted(STREAMABLE))}")
        return audio_format

    @field_validator("return_timing")
    @classmethod
    def _check_timing(cls, wanted: bool) -> bool:
        if wanted:
            raise ValueError("can't be given with speech; ask a job for captions")
        return wanted

    @property
    def volume(self) -> float:
        """Factor on each sample."""
        return 1.0 if self.volume_multiplier is None else self.volume_multiplier

    def job(self, engine: EngineManifest) -> JobRequest:
        """Return the job this is.

        Raises:
            UnknownModel: the cluster speaks with another model.
            ValidationError: a field is bad in a way that only jobs know.
        """
        check_model(self.model, engine)
        named = self.voice if isinstance(self.voice, str) else self.voice.id
        outputs: list[AudioFormat | CaptionFormat] = [self.download_format or self.response_format]
        if not self.stream and self.response_format not in outputs:
            outputs.insert(0, self.response_format)
        return JobRequest(
            input=self.input,
            voice=voice_here(named, engine),
            speed=self.speed,
            language=self.lang_code,
            outputs=[*outputs],
            priority=Lane.INTERACTIVE,
            normalize=self.normalization_options is None or self.normalization_options.normalize,
        )


async def read_speech_request(request: Request) -> SpeechRequest:
    """Read and check the body of a request for speech, off the event loop.

    Raises:
        UnsupportedMediaType, MalformedJson: as for a job.
        ValidationError: a field is missing or bad.
    """
    body = await read_json_body(request)
    return await offload(len(body), lambda: SpeechRequest.model_validate(parse_json(body)))
