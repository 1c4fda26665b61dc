"""Audio in memory, and on the way to a file."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from client.answers import Job, OutputFile
from client.errors import BrokenAudio

PARTIAL = 206
"""The status of an answer that begins where `Range` says."""


@dataclass(frozen=True)
class Speech:
    """A finished job's audio.

    Attributes:
        job: what it was made by.
        format: of `data`.
        data: the file's bytes.
    """

    job: Job
    format: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, job: Job, data: bytes) -> "Speech":
        """Put a job and its main file together."""
        return cls(job, job.output.format if job.output else "", data)

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all; return its path."""
        path = Path(path)
        with whole_file(path) as file:
            file.write(self.data)
        return path


def document(file: str | Path | BinaryIO, name: str | None) -> tuple[str, bytes]:
    """Return a document's name, by whose ending a server tells its kind, and its bytes."""
    if isinstance(file, str | Path):
        path = Path(file)
        return name or path.name, path.read_bytes()
    own = getattr(file, "name", None)
    return name or (Path(own).name if isinstance(own, str) else "document"), file.read()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file that appears at `path` only when the block ends well.

    What is no plain file, such as `/dev/null` or a pipe, is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()  # through a link, to the file it means
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, _mode(path))
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _mode(path: Path) -> int:
    """Return the permissions the file has, or that a new one would get."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@dataclass
class Download:
    """A file on its way from the server, however often the connection breaks.

    Attributes:
        job: finished.
        format: of the file that is wanted; None: the job's main one.
        chapter: whose file is wanted; None: that of the whole.
        got: bytes so far.
    """

    job: Job
    format: str | None = None
    chapter: int | None = None
    got: int = 0
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for what is still missing."""
        # Bytes as they are stored: only those can be counted on from.
        own = {"Accept": "*/*", "Accept-Encoding": "identity"}
        return {**own, "Range": f"bytes={self.got}-"} if self.got else own

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, as far as the job says how much there is."""
        expected = self._expected()
        return expected is not None and 0 < expected.bytes <= self.got

    def to_skip(self, status: int) -> int:
        """Return how many bytes of an answer were here already: a store may know no ranges."""
        return 0 if status == PARTIAL else self.got

    def take(self, chunk: bytes) -> bytes:
        """Count a chunk and return it."""
        self.got += len(chunk)
        self._digest.update(chunk)
        return chunk

    def check(self) -> None:
        """Raise `BrokenAudio` unless all that came is what the job says it made."""
        expected = self._expected()
        if expected is None or not expected.sha256:
            return
        if (self.got, self._digest.hexdigest()) != (expected.bytes, expected.sha256):
            raise BrokenAudio(
                f"The {expected.format} file of {self.job.id} is not what was made: "
                f"{self.got} bytes came, of {expected.bytes}."
            )

    def _expected(self) -> OutputFile | None:
        return self.job.output.file(self.format, self.chapter) if self.job.output else None


def has_file(job: Job, format: str | None, chapter: int | None) -> bool:
    """Return whether a job says of a file how large it is: lists leave chapters' files out."""
    return job.output is not None and job.output.file(format, chapter) is not None
