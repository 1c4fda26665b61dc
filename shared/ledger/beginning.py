"""Tells the ledger that work begins, without waiting for what it says to that.

A device that waited for Redis's answer before each batch would idle for two changes of process.
What is sent is in the kernel's hands when `send` returns: it arrives even if this process dies at
once. The answer is read when there is time.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import RedisError

from shared.ledger.messages import SegmentClaim
from shared.ledger.scripts import script
from shared.ledger.work import WorkLedger


class Lines:
    """Connections of their own, each for one script under way. May be used from any thread."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._spare: list[Any] = []
        self._lock = threading.Lock()

    def take(self) -> Any:
        """Return a connection that is alive, as far as can be told. Raises `RedisError`."""
        with self._lock:
            line = self._spare.pop() if self._spare else self._pool.make_connection()
        with contextlib.suppress(RedisError):
            if line.is_connected and line.can_read(timeout=0):
                line.disconnect()  # nothing was asked: this is the end of it
        line.connect()
        line.check_health()
        return line

    def put(self, line: Any) -> None:
        """Keep a connection with nothing under way for the next."""
        with self._lock:
            self._spare.append(line)


class Beginning:
    """A batch claimed ahead, and the word that its rendering begins, ready to be sent.

    The script goes whole, not by its digest: a Redis that was restarted knows no digest, and if
    this process ended then nobody would learn that it had begun.

    Args:
        claims: the batch.
    """

    def __init__(self, ledger: WorkLedger, lines: Lines, claims: Sequence[SegmentClaim]) -> None:
        self._ledger = ledger
        self._lines = lines
        self._claims = claims
        self._line: Any = None
        self._ours: list[SegmentClaim] | None = None
        with contextlib.suppress(RedisError):
            self._line = lines.take()
            parts = [part for c in claims for part in (c.uid, c.index, c.token)]
            self._packed = self._line.pack_command(
                "EVAL", script("begin_segments"), 0, ledger.incarnation, *parts
            )

    def send(self) -> None:
        """Say that the rendering begins; wait for the answer only if it cannot be sent.

        Raises:
            RedisError: Redis is away.
        """
        if self._line is not None:
            try:
                self._line.send_packed_command(self._packed, check_health=False)
            except RedisError:
                self._line = None
        if self._line is None:
            self._ours = self._ledger.begin_segments(self._claims)

    def drop(self) -> None:
        """Keep the connection for another: this batch will not be begun."""
        line, self._line = self._line, None
        if line is not None:
            self._lines.put(line)

    def ours(self) -> list[SegmentClaim]:
        """Return what of the batch was this process's to render.

        What is missing was given to somebody else, or its job has ended.

        Raises:
            RedisError: Redis is away; ask again.
        """
        if self._ours is None:
            line, self._line = self._line, None
            if line is None:  # asked again: said twice, it counts once
                self._ours = self._ledger.begin_segments(self._claims)
            else:
                answer = line.read_response()
                self._lines.put(line)
                self._ours = [c for c, mine in zip(self._claims, answer, strict=True) if mine]
        return self._ours
