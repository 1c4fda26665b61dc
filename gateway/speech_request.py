"""What OpenAI's and Kokoro-FastAPI's clients send to be spoken, and the job that it means.

Their clients send fields that other servers know, so what is unknown is ignored. What is known and
can't be done here is refused: nobody should get other audio than asked for without a word.
"""

from typing import Annotated, Literal, Self, TypeVar

from fastapi import Request
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from gateway.offload import offload
from gateway.requests import JobRequest, parse_json, read_json_body
from gateway.speech_names import check_model, voice_here
from gateway.texts import MAX_SEGMENTS, with_voices
from shared.formats import STREAMABLE, AudioFormat, CaptionFormat
from shared.ledger.states import Lane
from shared.manifest import EngineManifest
from shared.markup import MAX_VOICE_CHARS

W = TypeVar("W", bound=BaseModel)


class Lenient(BaseModel):
    """What is unknown in it is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class VoiceId(Lenient):
    """How OpenAI's clients name a voice of one's own."""

    id: str = Field(min_length=1, max_length=1000)


class NormalizationOptions(Lenient):
    """Kokoro-FastAPI's: all or nothing, what it could turn off one by one changes nothing."""

    normalize: bool = True


class VoiceAlias(Lenient):
    """What a short name stands for."""

    voice: str = Field(min_length=1, max_length=1000)
    rate: float | None = Field(None, description="Only 1: a voice has no pace of its own here.")

    @field_validator("rate")
    @classmethod
    def _check_rate(cls, rate: float | None) -> float | None:
        if rate not in {None, 1.0}:
            raise ValueError("a voice has no pace of its own here; use speed for all of the text")
        return rate


_Alias = Annotated[str, Field(min_length=1, max_length=200)]


class SpokenRequest(Lenient):
    """How something is to be spoken while one listens, whatever it is."""

    model: str | None = Field(
        None, max_length=200, description="`tts-1`, `kokoro`, …: all mean the model loaded."
    )
    response_format: AudioFormat = AudioFormat.MP3
    speed: float = Field(1.0, ge=0.25, le=4)
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
    return_timing: bool = Field(
        False,
        description="With `return_download_link`: name in the header `X-Timing-Path` what tells "
        "when each segment is heard.",
    )
    normalization_options: NormalizationOptions | None = None
    voice_aliases: dict[_Alias, _Alias | VoiceAlias] | None = Field(
        None,
        max_length=100,
        description="Short names for voices, in `voice` and in marks, whatever their case.",
        examples=[{"narrator": "af_bella(2)+af_sky(1)"}],
    )

    @field_validator("response_format")
    @classmethod
    def _check_format(cls, audio_format: AudioFormat) -> AudioFormat:
        if audio_format not in STREAMABLE:
            raise ValueError(f"can't be streamed; choose one of {', '.join(sorted(STREAMABLE))}")
        return audio_format

    @property
    def volume(self) -> float:
        """Factor on each sample."""
        return 1.0 if self.volume_multiplier is None else self.volume_multiplier

    @property
    def file_format(self) -> AudioFormat:
        """What can be downloaded in the end."""
        return self.download_format or self.response_format

    @property
    def timing(self) -> bool:
        """Whether there is something to tell when each segment is heard, as there."""
        return self.return_timing and self.return_download_link

    def voice_meant(self, name: str, engine: EngineManifest) -> str:
        """Return the voice or mix of voices that are loaded which a name stands for."""
        wanted = name.strip().casefold()
        for alias, target in (self.voice_aliases or {}).items():
            if alias.strip().casefold() == wanted:
                name = target if isinstance(target, str) else target.voice
                break
        return voice_here(name, engine)


class SpeechRequest(SpokenRequest):
    """A text to be spoken while one listens."""

    input: str = Field(min_length=1, max_length=2_000_000, examples=["Hello there."])
    voice: str | VoiceId = Field(
        "af_heart",
        description="A voice, a mix such as `af_bella(2)+af_sky(1)`, or one of OpenAI's names.",
        examples=["alloy"],
    )
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="`sse`: events `speech.audio.delta` and `speech.audio.done`."
    )
    instructions: str | None = Field(
        None, max_length=100_000, description="Accepted and ignored: Kokoro takes none."
    )
    ssml: bool = Field(False, description="Only false: markup of that kind is not understood here.")

    @field_validator("voice")
    @classmethod
    def _check_voice(cls, voice: str | VoiceId) -> str | VoiceId:
        if isinstance(voice, str) and not 0 < len(voice) <= 1000:
            raise ValueError("a voice has 1 to 1000 characters")
        return voice

    @field_validator("ssml")
    @classmethod
    def _check_ssml(cls, wanted: bool) -> bool:
        if wanted:
            raise ValueError(
                "is not understood here; write [pause:1.5s], [voice:am_adam], [word](/phonemes/)"
            )
        return wanted

    @property
    def timestamps(self) -> bool:
        """Whether it has to be known when each word is heard."""
        return self.timing

    def resolved(self, engine: EngineManifest) -> Self:
        """Return the same with every voice by the name it has here, in marks too.

        Raises:
            InvalidMarkup: a mark in the text is malformed.
        """
        named = self.voice if isinstance(self.voice, str) else self.voice.id
        spoken = {
            "input": with_voices(self.input, lambda name: self.voice_meant(name, engine)),
            "voice": self.voice_meant(named, engine),
        }
        return self.model_copy(update=spoken)

    def job(self, engine: EngineManifest) -> JobRequest:
        """Return the job this is, once it is `resolved`.

        Raises:
            UnknownModel: the cluster speaks with another model.
            ValidationError: a field is bad in a way that only jobs know.
        """
        check_model(self.model, engine)
        outputs: list[AudioFormat | CaptionFormat] = [self.file_format]
        if not self.stream and self.response_format not in outputs:
            outputs.insert(0, self.response_format)
        return JobRequest(
            input=self.input,
            voice=self.voice if isinstance(self.voice, str) else self.voice.id,
            speed=self.speed,
            language=self.lang_code,
            outputs=[*outputs],
            timestamps=self.timestamps,
            priority=Lane.INTERACTIVE,
            normalize=self.normalization_options is None or self.normalization_options.normalize,
        )


class CaptionedSpeechRequest(SpeechRequest):
    """A text to be spoken, with word of when each of its words is heard."""

    return_timestamps: bool = Field(True, description="False: the audio in the same shape.")
    allow_voice_tags: bool = Field(
        False, description="Tell who speaks each word; marks are understood in any case."
    )
    stream: bool = Field(
        True, description="False: answer when all is made, with one object instead of lines."
    )

    @field_validator("stream_format")
    @classmethod
    def _check_stream_format(cls, wanted: str) -> str:
        if wanted != "audio":
            raise ValueError("can't be given with captions, which have a form of their own")
        return wanted

    @property
    def timestamps(self) -> bool:
        """Whether it has to be known when each word is heard."""
        return self.return_timestamps or self.timing


class DialogueTurn(Lenient):
    """What one speaker says."""

    voice: str = Field(
        validation_alias=AliasChoices("voice", "voice_id"),
        max_length=MAX_VOICE_CHARS,
        # What a mark may hold.
        pattern=r"^\s*[A-Za-z0-9_][A-Za-z0-9_+().\- ]*$",
        examples=["af_bella"],
    )
    text: str = Field(min_length=1, max_length=2_000_000, examples=["Did it work?"])

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("there is nothing in it to speak")
        return text.strip()


class DialogueRequest(SpokenRequest):
    """What several speakers say, one after the other."""

    turns: list[DialogueTurn] = Field(
        validation_alias=AliasChoices("turns", "inputs"), min_length=1, max_length=MAX_SEGMENTS
    )
    pause_between_turns: float = Field(0.0, ge=0, le=10, description="Seconds of silence.")

    def speech(self) -> SpeechRequest:
        """Return the one text that this is, with marks.

        Raises:
            ValidationError: it is too long.
        """
        # Fixed, as a mark knows no exponents; less than a sample is no pause.
        pause_s = f"{self.pause_between_turns:.3f}"
        between = f"\n\n[pause:{pause_s}s]\n\n" if float(pause_s) else "\n\n"
        text = between.join(f"[voice:{turn.voice.strip()}]{turn.text}" for turn in self.turns)
        shared = {name: getattr(self, name) for name in SpokenRequest.model_fields}
        return SpeechRequest(input=text, voice=self.turns[0].voice, **shared)


async def read_speech_request(request: Request, kind: type[W]) -> W:
    """Read and check the body of a request for speech, off the event loop.

    Raises:
        UnsupportedMediaType, MalformedJson: as for a job.
        ValidationError: a field is missing or bad.
    """
    body = await read_json_body(request)
    return await offload(len(body), lambda: kind.model_validate(parse_json(body)))
