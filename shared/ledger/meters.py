"""What the ledger measures for `/metrics` beside its totals: durations, what is ahead, Redis."""

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from redis.exceptions import ResponseError

DURATION_BOUNDS_S = (
    "0.01",
    "0.05",
    "0.1",
    "0.25",
    "0.5",
    "1",
    "2.5",
    "5",
    "10",
    "30",
    "60",
    "300",
    "900",
    "3600",
    "14400",
    "86400",
)
"""Upper bounds of every histogram of durations, in seconds, written as the ledger's fields are."""

CHARS_PER_AUDIO_S = 15.0
"""Characters of text a second of speech at speed 1, until the cluster has measured its own."""

PHONEMES_PER_CHAR = 1.0
"""The same for phonemes a character."""


@dataclass(frozen=True)
class Histogram:
    """How often something took how long.

    Attributes:
        cumulative: for each bound, how many took at most that many seconds.
        number: of all.
        sum_s: seconds of all together.
    """

    cumulative: tuple[tuple[str, int], ...]
    number: int
    sum_s: float

    @classmethod
    def of(cls, name: str, rows: Mapping[str, str]) -> "Histogram":
        """Read the one called `name` out of `kc:durations`."""
        counts = [int(rows.get(f"{name}|{bound}", 0)) for bound in DURATION_BOUNDS_S]
        sums = list(itertools.accumulate(counts))
        number = sums[-1] + int(rows.get(f"{name}|+Inf", 0))
        buckets = tuple(zip(DURATION_BOUNDS_S, sums, strict=True))
        return cls(buckets, number, float(rows.get(f"{name}|sum", 0)))


@dataclass(frozen=True)
class RedisState:
    """How Redis itself does.

    Attributes:
        used_bytes: memory it uses for data.
        most_bytes: `maxmemory`; 0 without a limit.
        answer_s: seconds it took to answer.
        clients: connections to it.
        started_at: when it was started, in seconds since 1970.
    """

    used_bytes: int
    most_bytes: int
    answer_s: float
    clients: int
    started_at: float


@dataclass(frozen=True)
class Measured:
    """One reading.

    Attributes:
        durations: the fields of `kc:durations`.
        waiting_audio_s: seconds of audio still to be rendered, about.
        redis: None where Redis may not tell of itself.
        reconciled_age_s: since a reconciler did its round; infinite if none ever did.
    """

    durations: Mapping[str, str]
    waiting_audio_s: float
    redis: RedisState | None
    reconciled_age_s: float

    def histogram(self, name: str) -> Histogram:
        """Return the durations of one kind, for example `plan` or `job.interactive`."""
        return Histogram.of(name, self.durations)


async def measure(client: redis.asyncio.Redis) -> Measured:
    """Read what was measured.

    Raises:
        RedisError: Redis is away.
    """
    pipe = client.pipeline(transaction=False)
    for key in ("kc:durations", "kc:ahead", "kc:pace"):
        pipe.hgetall(key)
    pipe.get("kc:reconciled")
    pipe.time()
    durations, ahead, pace, reconciled_ms, (now_s, micros) = await pipe.execute()
    age_s = math.inf if reconciled_ms is None else now_s + micros / 1e6 - int(reconciled_ms) / 1000
    return Measured(
        durations,
        waiting_audio_s(_floats(ahead), _floats(pace)),
        await _state(client),
        max(0.0, age_s),
    )


def waiting_audio_s(ahead: Mapping[str, float], pace: Mapping[str, float]) -> float:
    """Return about how many seconds of audio are still to be rendered.

    Args:
        ahead: `<lane>.left` phonemes planned and not done, `<lane>.unplanned` characters.
        pace: sums over what was rendered of late: `phonemes`, `chars`, `audio_s`.
    """
    left = sum(max(0.0, by) for name, by in ahead.items() if name.endswith(".left"))
    unplanned = sum(max(0.0, by) for name, by in ahead.items() if name.endswith(".unplanned"))
    phonemes, chars = pace.get("phonemes", 0.0), pace.get("chars", 0.0)
    audio_s = pace.get("audio_s", 0.0)
    per_char = phonemes / chars if phonemes > 0 and chars > 0 else PHONEMES_PER_CHAR
    per_audio_s = phonemes / audio_s if phonemes > 0 and audio_s > 0 else 0.0
    return (left + unplanned * per_char) / (per_audio_s or CHARS_PER_AUDIO_S * per_char)


def _floats(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items()}


async def _state(client: redis.asyncio.Redis) -> RedisState | None:
    began = time.perf_counter()
    try:
        memory: dict[str, Any] = await client.info("memory")
        answer_s = time.perf_counter() - began
        clients: dict[str, Any] = await client.info("clients")
        server: dict[str, Any] = await client.info("server")
    except ResponseError:  # hosted ones may not tell
        return None
    return RedisState(
        int(memory.get("used_memory", 0)),
        int(memory.get("maxmemory", 0)),
        answer_s,
        int(clients.get("connected_clients", 0)),
        # Whole seconds of its own clock, as its uptime is: so it stays the same.
        int(server.get("server_time_usec", time.time() * 1e6)) // 1_000_000
        - int(server.get("uptime_in_seconds", 0)),
    )
