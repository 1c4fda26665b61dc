"""An encoder beside a gateway: stored segments in by their keys, a stream's bytes out.

    gateway ─ SEGMENT key ─▶ storage ─▶ one encoder a stream ─ bytes ─▶ gateway ─▶ client

It is a process of its own, as the gateway loads no audio, and it ends with the gateway: then its
standard input, the socket between them, is closed. It keeps nothing that a new one could not make
again, since the same segments always give the same bytes.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from shared.errors import ClusterError, EncodingFailed, StorageUnavailable
from shared.formats import AudioFormat
from shared.frames import HEAD, Frame, Message, pack, unpack_head
from shared.process import begin_process
from shared.settings import load_settings
from shared.storage import Storage, open_storage
from worker.assemble.encoders import ENCODER_ERRORS
from worker.assemble.streaming import StreamEncoder
from worker.segment_audio import BLOCK_SAMPLES, read_blocks

log = structlog.get_logger()

THREADS = 16
"""Streams that are read from storage or encoded at a time; the others wait their turn."""
ANSWER_BYTES = 64 * 1024
"""An answer with so many bytes is given before all that was asked for is encoded…"""
ANSWER_BLOCKS = 10
"""…or when so many seconds of audio are."""


@dataclass
class _Stream:
    """One client's stream."""

    encoder: StreamEncoder
    blocks: Iterator[NDArray[np.int16]] = field(default_factory=lambda: iter(()))
    begun: bool = False


def _silence(samples: int) -> Iterator[NDArray[np.int16]]:
    for start in range(0, samples, BLOCK_SAMPLES):
        yield np.zeros(min(BLOCK_SAMPLES, samples - start), np.int16)


class LiveEncoding:
    """Answers the gateway's questions, each in a thread of a pool.

    Args:
        storage: where the segments are.
        connection: to the gateway.
    """

    def __init__(self, storage: Storage, connection: socket.socket) -> None:
        self._storage = storage
        self._connection = connection
        self._streams: dict[int, _Stream] = {}
        self._sending = threading.Lock()

    def run(self) -> None:
        """Answer until the gateway is gone."""
        self._send(pack(Frame.READY))
        # Not as a context: what is under way when the gateway is gone is of no use to anybody.
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="encode")
        while (message := self._receive()) is not None:
            if message.kind is Frame.OPEN:
                wish = json.loads(message.payload)
                encoder = StreamEncoder(AudioFormat(wish["format"]), volume=wish["volume"])
                self._streams[message.stream] = _Stream(encoder)
            elif message.kind is Frame.DROP:
                self._streams.pop(message.stream, None)
            else:
                pool.submit(self._answer_or_end, message)

    def _answer_or_end(self, message: Message) -> None:
        try:
            self._answer(message)
        except BaseException:
            # A question without an answer would hold its client up for ever.
            log.critical("encoder ends", action="encode", exc_info=True)
            os._exit(os.EX_SOFTWARE)

    def _answer(self, message: Message) -> None:
        stream = self._streams.get(message.stream)
        if stream is None:  # dropped meanwhile
            return
        try:
            kind, data = self._step(stream, message)
        except ClusterError as error:
            reason = {
                "code": error.code,
                "message": error.message,
                # Of an encoder that failed nobody knows how much it has swallowed.
                "transient": isinstance(error, StorageUnavailable),
            }
            kind, data = Frame.FAILED, json.dumps(reason).encode()
        self._send(pack(kind, message.stream, data))

    def _step(self, stream: _Stream, message: Message) -> tuple[Frame, bytes]:
        match message.kind:
            case Frame.SEGMENT:
                stream.blocks = read_blocks(self._storage.get(message.payload.decode()))
            case Frame.SILENCE:
                stream.blocks = _silence(int(message.payload))
        out = bytearray()
        try:
            if message.kind is Frame.END:
                return Frame.DONE, stream.encoder.finish()
            # The first second is what somebody waits for.
            most, stream.begun = ANSWER_BLOCKS if stream.begun else 1, True
            for _ in range(most):
                block = next(stream.blocks, None)
                if block is None:
                    return Frame.DONE, bytes(out)
                out += stream.encoder.encode(block)
                if len(out) >= ANSWER_BYTES:
                    break
        except ENCODER_ERRORS as error:
            raise EncodingFailed(f"Encoding failed: {error}") from error
        return Frame.PART, bytes(out)

    def _receive(self) -> Message | None:
        head = self._read(HEAD.size)
        if head is None:
            return None
        size, stream, kind = unpack_head(head)
        payload = self._read(size)
        return None if payload is None else Message(kind, stream, payload)

    def _read(self, size: int) -> bytes | None:
        """Return so many bytes; None when the gateway is gone."""
        data = bytearray()
        while len(data) < size:
            try:
                chunk = self._connection.recv(size - len(data))
            except ConnectionError:
                return None
            if not chunk:
                return None
            data += chunk
        return bytes(data)

    def _send(self, data: bytes) -> None:
        try:
            with self._sending:
                self._connection.sendall(data)
        except OSError:  # the gateway is gone: the next read says so too
            return


def main() -> None:
    """Encode for the gateway at the other end of standard input."""
    settings = load_settings()
    begin_process(settings, "live-encoding")
    # Ctrl-C is the gateway's to act on, and this process ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(settings.nice)
    storage = open_storage(settings.storage, endpoint=settings.storage_endpoint)
    with socket.socket(fileno=os.dup(0)) as connection:
        LiveEncoding(storage, connection).run()
    # Threads may be at work for a client who is gone; none of it is worth waiting for.
    os._exit(0)


if __name__ == "__main__":
    main()
