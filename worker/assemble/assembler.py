"""Segments and pauses, in order, to finished files in one pass.

stored segments ─ read_blocks ─┬─ wav
pauses ─ zeros ────────────────┼─ mp3     (each block goes to every encoder, then is dropped)
                               └─ …
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.errors import DiskFull, EncodingFailed, IncompleteAudio
from shared.formats import FORMATS, SAMPLE_RATE_HZ, AudioFormat
from worker.assemble.encoders import ENCODER_ERRORS, Encoder, open_encoder
from worker.segment_audio import BLOCK_SAMPLES, read_blocks

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
LEAST_FREE_BYTES = 256 * 1024
"""With less than this free, whatever an encoder failed of was the disk."""


@dataclass(frozen=True)
class Pause:
    """Silence between segments.

    Attributes:
        seconds: 0 or more.
    """

    seconds: float


AssemblyItem: TypeAlias = bytes | Pause
"""A stored segment, as `encode_segment` wrote it, or a pause."""


@dataclass(frozen=True)
class EncodedFile:
    """One finished file.

    Attributes:
        format: what it is in.
        path: where it lies; the caller moves or deletes it.
        bytes: its length.
        audio_s: seconds of sound put into it; AAC plays up to two frames longer.
        sha256: 64 hex digits over the file.
    """

    format: AudioFormat
    path: Path
    bytes: int
    audio_s: float
    sha256: str


def pause_samples(seconds: float) -> int:
    """Return how many zero samples a pause becomes, rounded half to even."""
    return round(seconds * SAMPLE_RATE_HZ)


def assemble(
    items: Iterable[AssemblyItem],
    formats: Sequence[AudioFormat],
    folder: Path,
    *,
    total_samples: int,
    on_progress: Callable[[], None] | None = None,
) -> list[EncodedFile]:
    """Encode `items` in every one of `formats`, reading them once and holding one at a time.

    Args:
        items: in order; what the iterator raises is passed on.
        formats: each at most once.
        folder: for the files, made if missing; names in it are unique to this call.
        total_samples: what `items` must add up to at 24 000 Hz.
        on_progress: called after each item; what it raises ends the work.

    Returns:
        The files, in the order of `formats`.

    Raises:
        ValueError: a format is named twice.
        IncompleteAudio: the items hold more or fewer samples than `total_samples`.
        DamagedSegment: a stored segment cannot be read.
        DiskFull: there is no room; trying again may help.
        EncodingFailed: an encoder or the disk failed.

    However it ends but by returning, no file is left behind.
    """
    if len(set(formats)) != len(formats):
        raise ValueError("each format can be made once")
    paths: dict[AudioFormat, Path] = {}
    encoders: list[Encoder] = []
    try:
        with _named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for audio_format in formats:
                paths[audio_format] = _new_file(folder, audio_format)
                encoders.append(
                    open_encoder(audio_format, paths[audio_format], total_samples=total_samples)
                )
        samples = 0
        for item in items:
            for block in _blocks(item):
                samples += block.size
                if samples > total_samples:
                    raise IncompleteAudio(f"More audio than the {total_samples} samples planned.")
                with _named(folder):
                    for encoder in encoders:
                        encoder.write(block)
            if on_progress is not None:
                on_progress()
        if samples != total_samples:
            raise IncompleteAudio(f"{samples} samples of audio instead of {total_samples}.")
        with _named(folder):
            for encoder in encoders:
                encoder.close()
            return [_finished(f, path, total_samples) for f, path in paths.items()]
    except BaseException:
        for path in paths.values():
            path.unlink(missing_ok=True)
        for encoder in encoders:
            with suppress(*ENCODER_ERRORS):
                encoder.close()
        raise


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE_BYTES
    except OSError:
        return False


def _blocks(item: AssemblyItem) -> Iterator[NDArray[np.int16]]:
    if isinstance(item, bytes):
        yield from read_blocks(item)
        return
    left = pause_samples(item.seconds)
    while left > 0:
        yield np.zeros(min(left, BLOCK_SAMPLES), np.int16)
        left -= BLOCK_SAMPLES


def _new_file(folder: Path, audio_format: AudioFormat) -> Path:
    handle, name = tempfile.mkstemp(
        prefix="assembly-", suffix=f".{FORMATS[audio_format].extension}", dir=folder
    )
    os.close(handle)
    return Path(name)


def _finished(audio_format: AudioFormat, path: Path, total_samples: int) -> EncodedFile:
    # Some encoders write their header last: hash what lies there, not what went by.
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return EncodedFile(
        audio_format, path, path.stat().st_size, total_samples / SAMPLE_RATE_HZ, digest.hexdigest()
    )


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn the encoders' errors into the project's."""
    try:
        yield
    except ENCODER_ERRORS as error:
        # Not every encoder passes on why the system refused a write.
        if getattr(error, "errno", None) in NO_ROOM or _is_full(folder):
            raise DiskFull(f"No room for encoding in {folder}: {error}") from error
        raise EncodingFailed(f"Encoding failed: {error}") from error
