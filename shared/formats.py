"""The files a job can ask for: audio in several formats, and captions beside it."""

from dataclasses import dataclass
from enum import StrEnum

SAMPLE_RATE_HZ = 24_000
"""Kokoro's only sample rate; mono throughout."""


class AudioFormat(StrEnum):
    """A file the assembler can write."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"
    M4B = "m4b"
    """An audiobook: AAC in MP4 with chapter marks. The only one that is no stream."""


class CaptionFormat(StrEnum):
    """What the assembler can write of when each word is heard."""

    SRT = "srt"
    VTT = "vtt"
    WORDS = "words"
    """JSON: every sentence and every word with its time and its place in the input."""


@dataclass(frozen=True)
class FormatInfo:
    """How a format is served.

    Attributes:
        media_type: the `Content-Type` of the file.
        extension: the file name's ending, without a dot.
    """

    media_type: str
    extension: str


FORMATS: dict[AudioFormat, FormatInfo] = {
    AudioFormat.MP3: FormatInfo("audio/mpeg", "mp3"),
    AudioFormat.OPUS: FormatInfo("audio/ogg", "opus"),  # Opus in Ogg, as RFC 7845 has it
    AudioFormat.AAC: FormatInfo("audio/aac", "aac"),  # ADTS frames
    AudioFormat.FLAC: FormatInfo("audio/flac", "flac"),
    AudioFormat.WAV: FormatInfo("audio/wav", "wav"),
    AudioFormat.PCM: FormatInfo("audio/pcm", "pcm"),  # signed 16-bit little-endian, headerless
    AudioFormat.M4B: FormatInfo("audio/mp4", "m4b"),
}

STREAMABLE = frozenset(
    {
        AudioFormat.MP3,
        AudioFormat.OPUS,
        AudioFormat.AAC,
        AudioFormat.FLAC,
        AudioFormat.WAV,
        AudioFormat.PCM,
    }
)
"""Those that can be sent while the audio is being made."""
CAPTIONS: dict[CaptionFormat, FormatInfo] = {
    CaptionFormat.SRT: FormatInfo("application/x-subrip; charset=utf-8", "srt"),
    CaptionFormat.VTT: FormatInfo("text/vtt; charset=utf-8", "vtt"),
    CaptionFormat.WORDS: FormatInfo("application/json", "json"),
}
