"""An upload's way: spooled to an unnamed file, read by a process of its own, made a job request."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import structlog
from anyio import to_thread
from fastapi import Request

from gateway.documents.faults import FAULTS, DocumentBroken, DocumentTooCostly
from gateway.documents.task import Answer, Task
from gateway.errors import UnsupportedMediaType, UploadsFull
from gateway.turns import Turns
from shared.errors import ClusterError, DiskFull, InvalidInput
from shared.settings import Settings

log = structlog.get_logger()

FORM = "multipart/form-data"
FORM_BYTES = 384 * 1024
"""Of a form beside its file: fields, headers and boundaries."""

MAX_UPLOADS = 16
"""Forms that are received or read at a time; whoever comes then is asked to come again."""

OWN_PART = 0.75
"""Of these, for one API key at most: there is always room for another's."""

BUFFER_BYTES = 256 * 1024
"""Of a form, held until they are written to its file."""

MEMORY_BYTES = 1024 * 1024 * 1024
CPU_S, WALL_S = 20, 60
"""What reading one document may take; 2,000,000 characters of Markdown take 1.5 s of the CPU."""

WAIT_S = 30
"""How long a form waits for its turn to be read."""

GRACE_S = 5
RETRY_AFTER_S = 10
ABOUT_BYTES = 1024 * 1024
"""Of an answer beside its text."""


@dataclass(frozen=True)
class Upload:
    """A form with a document in it, read.

    Attributes:
        about: all but the text.
        text: with marks, as a job's input.
    """

    about: Answer
    text: str


class Uploads:
    """Receives and reads forms, a few at a time.

    Nothing is left of any of them, whatever happens: their files have no name, so the system frees
    them with the process that holds them open, and a reader that outlives the gateway is ended by
    its own clock.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir
        self._under_way: Counter[str] = Counter()
        self._readers = Turns(settings.document_readers)

    async def read(self, request: Request, owner: str) -> Upload:
        """Receive and read a request's form; keys have their turns at being read.

        Args:
            request: with the form.
            owner: id of the key it comes with.

        Raises:
            UploadsFull: too many are under way, in all or of this key.
            UnsupportedMediaType: the body is compressed.
            ClientDisconnect: the client left before all of it had come.
            DiskFull: there is no room for it.
            ClusterError: what `gateway.documents.faults` has a name for.
        """
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
        with self._place(owner), await to_thread.run_sync(self._open) as form:
            await self._receive(request, form)
            task = self._task(request.headers.get("content-type", ""))
            async with self._reader(owner):
                return await to_thread.run_sync(partial(self._read, form, task))

    @contextmanager
    def _place(self, owner: str) -> Iterator[None]:
        own_most = math.ceil(MAX_UPLOADS * OWN_PART)
        if self._under_way.total() >= MAX_UPLOADS or self._under_way[owner] >= own_most:
            raise UploadsFull(retry_after_s=RETRY_AFTER_S)
        self._under_way[owner] += 1
        try:
            yield
        finally:
            self._under_way[owner] -= 1
            if not self._under_way[owner]:
                del self._under_way[owner]

    @asynccontextmanager
    async def _reader(self, owner: str) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._readers.place(owner, wait_s=WAIT_S))
            except TimeoutError as error:
                raise UploadsFull(retry_after_s=RETRY_AFTER_S) from error
            yield

    def _open(self) -> BinaryIO:
        try:
            Path(self._folder).mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._folder)
        except OSError as error:
            raise DiskFull(f"No room for uploads in {self._folder}: {error}") from error

    async def _receive(self, request: Request, form: BinaryIO) -> None:
        """Write the body into the form's file."""
        held = bytearray()
        async for chunk in request.stream():
            held += chunk
            if len(held) >= BUFFER_BYTES:
                await to_thread.run_sync(self._write, form, bytes(held))
                held.clear()
        await to_thread.run_sync(self._write, form, bytes(held))

    def _write(self, form: BinaryIO, data: bytes) -> None:
        try:
            form.write(data)
            form.flush()
        except OSError as error:
            raise DiskFull(f"No room for uploads in {self._folder}: {error}") from error

    def _task(self, content_type: str) -> Task:
        most = self._settings.max_input_chars
        return Task(
            content_type=content_type[:1000],
            file_bytes=self._settings.max_upload_bytes,
            text_chars=most,
            memory_bytes=MEMORY_BYTES,
            cpu_s=CPU_S,
            wall_s=WALL_S,
            answer_bytes=4 * most + ABOUT_BYTES,
        )

    def _read(self, form: BinaryIO, task: Task) -> Upload:
        """Have the form read; runs in a thread."""
        form.seek(0)
        with self._open() as answer:
            status = _run(task, form, answer)
            answer.seek(0)
            head, _, text = answer.read(task.answer_bytes).partition(b"\n")
        if status < 0:
            log.warning("document too costly", action="upload", signal=-status, bytes=_size(form))
            raise DocumentTooCostly(param="file")
        about = json.loads(head)
        if "crash" in about:
            log.error("document not read", action="upload", crash=about["crash"])
            raise DocumentBroken("The file can't be read; it may be damaged.", param="file")
        if "error" in about:
            raise _fault(about["error"])
        return Upload(Answer.from_dict(about), text.decode())


def is_form(request: Request) -> bool:
    """Tell whether a request's body is a form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def _run(task: Task, form: BinaryIO, answer: BinaryIO) -> int:
    """Run the reading process to its end; return its exit status, negative for a signal."""
    # Of this process's environment, which has secrets, it gets what Python needs to start.
    kept = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
    with subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "gateway.documents", task.to_json()],
        stdin=form,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in kept if name in os.environ},
        start_new_session=True,
    ) as process:
        try:
            return process.wait(timeout=task.wall_s + GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _fault(error: dict[str, str | None]) -> ClusterError:
    kind = FAULTS.get(str(error["code"]), InvalidInput)
    return kind(error["message"], param=error["param"])


def _size(form: BinaryIO) -> int:
    return os.fstat(form.fileno()).st_size
