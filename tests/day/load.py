"""Clients of a day: the project's own client with its ordinary retries, at a rate that is planned.

Jobs come when they are due, whether or not the cluster keeps up, as people's do.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from client.errors import KokoroClusterError
from client.retrying import Again
from client.sync.cluster import KokoroCluster
from tests.day.cluster import DayCluster
from worker.engines.scripted import Fault

CLIENTS = 48
SIZES = (1, 1, 1, 2, 3, 5)
"""Segments of a job, chosen evenly."""
SPEED = 4.0
FORMATS = ("wav", "wav", "mp3", "flac")
STREAM_EVERY_S = 2.0
DOOMED = Fault.RAISE
"""The engine fails on it at every attempt."""


@dataclass
class Refusal:
    """A call that its client gave up."""

    phase: str
    what: str


@dataclass
class Load:
    """Submits jobs until told to stop.

    Attributes:
        per_s: jobs a second, to be changed at any time.
        phase: what the day is at, for whoever reads of retries.
        expected: what will become of each job, by its id: `succeeded` or `failed`.
        retries: calls that were made again, by phase and reason.
        refusals: calls that were given up.
        streams: streams heard to their end, and those that broke off and were asked for anew.
    """

    cluster: DayCluster
    seed: int
    per_s: float
    doomed_every: int = 150
    phase: str = "steady"
    expected: dict[str, str] = field(default_factory=dict)
    retries: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    streams: Counter[str] = field(default_factory=Counter)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _under_way: list[Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._client = KokoroCluster(self.cluster.url, on_retry=self._note_retry)
        self._pool = ThreadPoolExecutor(CLIENTS, thread_name_prefix="client")
        self._threads = [
            threading.Thread(target=call, daemon=True) for call in (self._submit, self._stream)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Submit no more; return when all clients have their answers."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
        self._pool.shutdown()
        for future in self._under_way:
            future.result()
        self._client.close()

    def _note_retry(self, again: Again) -> None:
        self.retries[self.phase, again.error.code] += 1

    def _submit(self) -> None:
        due, number = time.monotonic(), 0
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due += self._dice.expovariate(self.per_s)
            number += 1
            self._under_way.append(self._pool.submit(self._one, number, self._job(number)))

    def _job(self, number: int) -> tuple[str, dict[str, Any]]:
        words = self.cluster.words(self._dice.choice(SIZES))
        options: dict[str, Any] = {"format": self._dice.choice(FORMATS), "speed": SPEED}
        if number % self.doomed_every == 10:
            words = f"{words}\n\n{DOOMED} {number}."
        elif self._dice.random() < 0.3:
            kind = "once" if self._dice.random() < 0.1 else "ok"
            options["webhook"] = self.cluster.receivers.url(kind)
        return words, options

    def _one(self, number: int, job: tuple[str, dict[str, Any]]) -> None:
        words, options = job
        key = f"day-{self.seed}-{number}"

        def submit() -> None:
            found = self._client.submit(words, idempotency_key=key, **options)
            self.cluster.log.write("accepted", job=found.id, key=key)
            if found.id not in self.expected:
                self.expected[found.id] = "failed" if DOOMED in words else "succeeded"
                self.cluster.accepted.append(found.id)

        self._call(submit)
        if number % 40 == 0:  # somebody who is not sure, and asks once more under the same key
            self._call(submit)

    def _stream(self) -> None:
        """Listen to speech while it is made, one after another."""
        client = KokoroCluster(self.cluster.url, on_retry=self._note_retry)
        while not self._stopping.wait(STREAM_EVERY_S):
            words = self.cluster.words(2)
            for _ in range(3):
                try:
                    heard = sum(map(len, client.stream(words, format="mp3", speed=SPEED)))
                except KokoroClusterError as error:
                    self.streams[f"broke off: {error.code}"] += 1
                else:
                    self.streams["whole" if heard else "empty"] += 1
                    break
            else:
                self.refusals.append(Refusal(self.phase, "a stream broke off three times"))
        client.close()

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except KokoroClusterError as error:
            self.refusals.append(Refusal(self.phase, f"{error.code}: {error.message}"))
