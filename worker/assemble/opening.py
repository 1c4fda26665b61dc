"""The encoder of each format, with the settings that speech at 24 kHz is written with."""

from pathlib import Path

from shared.formats import AudioFormat
from worker.assemble.encoders import (
    AAC_BIT_RATE,
    AAC_OPTIONS,
    MP3_BIT_RATE,
    MP3_OPTIONS,
    OPUS_BIT_RATE,
    OPUS_OPTIONS,
    Encoder,
    FlacEncoder,
    LossyEncoder,
    RawEncoder,
)
from worker.assemble.m4b import M4bEncoder, Tags
from worker.wav import wav_header

NO_TAGS = Tags()


def open_encoder(
    audio_format: AudioFormat, path: Path, *, total_samples: int, tags: Tags = NO_TAGS
) -> Encoder:
    """Start a file in `audio_format` at `path` that will hold `total_samples` samples.

    Of all formats M4B has its `tags`.

    Raises:
        One of `ENCODER_ERRORS`: the file cannot be made.
    """
    match audio_format:
        case AudioFormat.PCM | AudioFormat.WAV:
            headed = audio_format is AudioFormat.WAV
            return RawEncoder(path, wav_header(total_samples) if headed else b"")
        case AudioFormat.FLAC:
            return FlacEncoder(path)
        case AudioFormat.MP3:
            return LossyEncoder(path, "mp3", "libmp3lame", MP3_BIT_RATE, MP3_OPTIONS)
        case AudioFormat.OPUS:
            return LossyEncoder(path, "ogg", "libopus", OPUS_BIT_RATE, OPUS_OPTIONS)
        case AudioFormat.AAC:
            return LossyEncoder(path, "adts", "aac", AAC_BIT_RATE, AAC_OPTIONS)
        case AudioFormat.M4B:
            return M4bEncoder(path, tags)
