"""Segments and pauses, in order, to finished files in one pass.

stored segments ─ read_blocks ─┬─ wav
pauses ─ zeros ────────────────┼─ mp3     (each block goes to every encoder, then is dropped)
                               ├─ …
                               └─ the files of the chapter it belongs to, if those are wanted
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.errors import DiskFull, EncodingFailed, IncompleteAudio
from shared.formats import FORMATS, SAMPLE_RATE_HZ, AudioFormat
from shared.ledger.encoding import EncodingCost
from worker.assemble.encoders import ENCODER_ERRORS, Encoder
from worker.assemble.loudness import amplified
from worker.assemble.m4b import Tags
from worker.assemble.opening import NO_TAGS, open_encoder
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
        cost: what its encoder took.
    """

    format: AudioFormat
    path: Path
    bytes: int
    audio_s: float
    sha256: str
    cost: EncodingCost = field(default_factory=EncodingCost, compare=False)


def pause_samples(seconds: float) -> int:
    """Return how many zero samples a pause becomes, rounded half to even."""
    return round(seconds * SAMPLE_RATE_HZ)


@dataclass(frozen=True)
class Part:
    """A stretch of the audio that gets files of its own.

    Attributes:
        number: 1 for the first chapter.
        samples: how long it is, above 0.
        tags: of its files.
    """

    number: int
    samples: int
    tags: Tags


class FileSet:
    """The same audio in several formats.

    Args:
        formats: each at most once.
        folder: where the files are made; names in it are unique.
        total_samples: what will be written.
        tags: what the files say of themselves.

    Whatever goes wrong, `abandon` leaves no file behind.
    """

    def __init__(
        self, formats: Sequence[AudioFormat], folder: Path, total_samples: int, tags: Tags
    ) -> None:
        self._total_samples = total_samples
        self._paths: dict[AudioFormat, Path] = {}
        self._encoders: dict[AudioFormat, Encoder] = {}
        self._costs = {audio_format: EncodingCost() for audio_format in formats}
        try:
            for audio_format in formats:
                path = self._paths[audio_format] = _new_file(folder, audio_format)
                self._encoders[audio_format] = open_encoder(
                    audio_format, path, total_samples=total_samples, tags=tags
                )
        except BaseException:
            self.abandon()
            raise

    def write(self, block: NDArray[np.int16]) -> None:
        """Encode the next samples, as `Encoder.write` has it."""
        for audio_format, encoder in self._encoders.items():
            with self._costs[audio_format].timed():
                encoder.write(block)

    def close(self) -> list[EncodedFile]:
        """Complete the files and return them, in the order of the formats."""
        for audio_format, encoder in self._encoders.items():
            with self._costs[audio_format].timed():
                encoder.close()
            self._costs[audio_format].add(audio_s=self._total_samples / SAMPLE_RATE_HZ)
        return [
            _finished(f, path, self._total_samples, self._costs[f])
            for f, path in self._paths.items()
        ]

    def abandon(self) -> None:
        """Remove what was made."""
        for path in self._paths.values():
            path.unlink(missing_ok=True)
        for encoder in self._encoders.values():
            with suppress(*ENCODER_ERRORS):
                encoder.close()


class _PartFiles:
    """Files of one part after the other, while the whole goes by."""

    def __init__(
        self,
        formats: Sequence[AudioFormat],
        folder: Path,
        parts: Sequence[Part],
        on_part: Callable[[Part, list[EncodedFile]], None],
    ) -> None:
        self._formats, self._folder = formats, folder
        self._waiting = list(reversed(parts))
        self._on_part = on_part
        self._files: FileSet | None = None
        self._left = 0

    def write(self, block: NDArray[np.int16]) -> None:
        while block.size and (self._files or self._waiting):
            if self._files is None:
                part = self._waiting[-1]
                with file_errors(self._folder):
                    self._files = FileSet(self._formats, self._folder, part.samples, part.tags)
                self._left = part.samples
            now, block = block[: self._left], block[self._left :]
            with file_errors(self._folder):
                self._files.write(now)
            self._left -= now.size
            if self._left == 0:
                with file_errors(self._folder):
                    files = self._files.close()
                self._files = None
                self._on_part(self._waiting.pop(), files)

    def abandon(self) -> None:
        if self._files is not None:
            self._files.abandon()


def no_parts(part: Part, files: list[EncodedFile]) -> None:
    """Take no files of parts: there are none."""


def assemble(
    items: Iterable[AssemblyItem],
    formats: Sequence[AudioFormat],
    folder: Path,
    *,
    total_samples: int,
    tags: Tags = NO_TAGS,
    gain: float = 1.0,
    parts: Sequence[Part] = (),
    on_part: Callable[[Part, list[EncodedFile]], None] = no_parts,
    on_progress: Callable[[], None] | None = None,
) -> list[EncodedFile]:
    """Encode `items` in every one of `formats`, reading them once and holding one at a time.

    Args:
        items: in order; what the iterator raises is passed on.
        formats: each at most once.
        folder: for the files, made if missing; names in it are unique to this call.
        total_samples: what `items` must add up to at 24 000 Hz.
        tags: what the files of the whole say of themselves.
        gain: what every sample is multiplied with.
        parts: that get files of their own besides, in every one of `formats`; in order, they begin
            with the audio and follow one another.
        on_part: called with a part's files as soon as they are complete, and takes them over.
        on_progress: called after each item; what it raises ends the work.

    Returns:
        The files of the whole, in the order of `formats`.

    Raises:
        ValueError: a format is named twice.
        IncompleteAudio: the items hold more or fewer samples than `total_samples`.
        DamagedSegment: a stored segment cannot be read.
        DiskFull: there is no room; trying again may help.
        EncodingFailed: an encoder or the disk failed.

    However it ends but by returning, no file is left behind but those taken over.
    """
    if len(set(formats)) != len(formats):
        raise ValueError("each format can be made once")
    part_files = _PartFiles(formats, folder, parts, on_part)
    with file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        whole = FileSet(formats, folder, total_samples, tags)
    try:
        samples = 0
        for item in items:
            for block in amplified(item_blocks(item), gain):
                samples += block.size
                if samples > total_samples:
                    raise IncompleteAudio(f"More audio than the {total_samples} samples planned.")
                with file_errors(folder):
                    whole.write(block)
                part_files.write(block)
            if on_progress is not None:
                on_progress()
        if samples != total_samples:
            raise IncompleteAudio(f"{samples} samples of audio instead of {total_samples}.")
        with file_errors(folder):
            return whole.close()
    except BaseException:
        part_files.abandon()
        whole.abandon()
        raise


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE_BYTES
    except OSError:
        return False


def item_blocks(item: AssemblyItem) -> Iterator[NDArray[np.int16]]:
    """Yield an item's samples: int16, mono, 24 000 Hz, at most a second at a time."""
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


def _finished(
    audio_format: AudioFormat, path: Path, total_samples: int, cost: EncodingCost
) -> EncodedFile:
    # Some encoders write their header last: hash what lies there, not what went by.
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return EncodedFile(
        audio_format,
        path,
        path.stat().st_size,
        total_samples / SAMPLE_RATE_HZ,
        digest.hexdigest(),
        cost,
    )


@contextmanager
def file_errors(folder: Path) -> Iterator[None]:
    """Turn the encoders' errors into the project's."""
    try:
        yield
    except ENCODER_ERRORS as error:
        # Not every encoder passes on why the system refused a write.
        if getattr(error, "errno", None) in NO_ROOM or _is_full(folder):
            raise DiskFull(f"No room for encoding in {folder}: {error}") from error
        raise EncodingFailed(f"Encoding failed: {error}") from error
