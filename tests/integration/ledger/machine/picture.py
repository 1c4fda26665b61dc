"""The whole ledger as one reads it in Redis, at one moment."""

import json
import re
from functools import lru_cache
from typing import Any

import redis

from shared.bell import Stage
from shared.ledger.states import TERMINAL

TAKE = """
local reads = { string = { 'GET' }, hash = { 'HGETALL' }, zset = { 'ZRANGE', 0, -1, 'WITHSCORES' },
  set = { 'SMEMBERS' }, list = { 'LRANGE', 0, -1 } }
local rows = {}
for _, key in ipairs(redis.call('KEYS', 'kc*')) do
  local kind = redis.call('TYPE', key).ok
  local r = reads[kind]
  rows[#rows + 1] = { key, kind, redis.call(r[1], key, unpack(r, 2)) }
  if string.sub(key, 1, 3) == 'kc.' then redis.call('DEL', key) end
end
local t = redis.call('TIME')
return cjson.encode({ t[1] * 1000 + math.floor(t[2] / 1000), rows })
"""
"""Reads everything and takes the wake-ups, as workers that find nothing to do would."""

NOISE = re.compile(
    r"kc:(token|claims|totals|durations|reconciled|batch_sizes|audio_used|pace|speech|encode|"
    r"(rate|rate_limit|alive|said):.*)$"
)
"""Keys that tell of time and of what was said, not of what is to be done."""

JOB = re.compile(r"kc:job:(job_[0-9A-Z]+)$")
BATCH = re.compile(r"kc:batch:(batch_[0-9A-Z]+)$")
DELIVERY = re.compile(r"kc:delivery:(msg_[0-9A-Z_]+)$")

Row = dict[str, str]
Item = tuple[str, ...]
"""What is held: a stage, then a uid, an index if it is a segment's, and a token."""


@lru_cache(maxsize=10_000)
def _decoded(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def _pairs(flat: list[str]) -> Row:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Picture:
    """What stood in the ledger after a step.

    Attributes:
        jobs: their hashes by uid.
        batches: their hashes by id.
        deliveries: their hashes by id.
        staged: keys of jobs that are written and not accepted.
        held: who holds what; the worker of an assembly is left out.
        rung: stages whose wake-up was sent since the last picture.
    """

    def __init__(self, client: redis.Redis) -> None:
        now_ms, rows = json.loads(client.eval(TAKE, 0))
        self.now_ms = int(now_ms)
        self._rows: dict[str, Any] = {}
        for key, kind, value in sorted(rows):
            if kind == "hash":
                self._rows[key] = _pairs(value)
            elif kind == "zset":
                self._rows[key] = {m: float(score) for m, score in _pairs(value).items()}
            else:
                self._rows[key] = set(value) if kind == "set" else value
        self.jobs = self._named(JOB)
        self.batches = self._named(BATCH)
        self.deliveries = self._named(DELIVERY)
        self.staged = {key for key in self._rows if key.startswith("kc:job:staged:")}
        self.rung = {stage.value for stage in Stage if stage.queue in self._rows}
        self.held: dict[Item, list[str]] = {}
        for key, items in self.under("kc:held:"):
            for item in items:
                parts = item.split("|")
                name = tuple(parts[:3] if parts[0] == "assemble" else parts)
                self.held.setdefault(name, []).append(key)

    def _named(self, pattern: re.Pattern[str]) -> dict[str, Row]:
        found = ((pattern.match(key), row) for key, row in self._rows.items())
        return {match[1]: row for match, row in found if match}

    def under(self, prefix: str) -> list[tuple[str, Any]]:
        """Return what stands in all keys that begin so, each with the rest of its name."""
        size = len(prefix)
        return [(key[size:], row) for key, row in self._rows.items() if key.startswith(prefix)]

    def hash(self, key: str) -> Row:
        row: Row = self._rows.get(key, {})
        return row

    def scores(self, key: str) -> dict[str, float]:
        row: dict[str, float] = self._rows.get(key, {})
        return row

    def members(self, key: str) -> set[str]:
        row: set[str] = self._rows.get(key, set())
        return row

    def list(self, key: str) -> list[str]:
        row: list[str] = self._rows.get(key, [])
        return row

    def number(self, key: str) -> int:
        return int(self._rows.get(key, 0))

    def text(self, key: str) -> str | None:
        row: str | None = self._rows.get(key)
        return row

    def is_open(self, uid: str) -> bool:
        return uid in self.jobs and self.jobs[uid]["status"] not in TERMINAL

    def segments(self, uid: str) -> dict[int, dict[str, Any]]:
        rows = self.hash(f"kc:job:{uid}:segments")
        return {int(index): _decoded(row) for index, row in rows.items()}

    def ready(self, uid: str) -> dict[str, float]:
        return self.scores(f"kc:job:{uid}:ready")

    def waiting(self) -> set[tuple[str, str]]:
        """Return all segments that a synth worker could claim."""
        return {(uid, member) for uid in self.jobs for member in self.ready(uid)}

    def sent_when(self) -> set[tuple[str, float]]:
        """Return all webhooks that a deliver worker could claim, with the time they are due."""
        return {
            (name, at_ms)
            for host in self.scores("kc:due")
            for name, at_ms in self.scores(f"kc:due:{host}").items()
        }

    def assembly_queue(self) -> set[str]:
        return {*self.scores("kc:queue:assemble"), *self.scores("kc:queue:assemble:long")}

    def work(self, *, held: bool = True, audio: bool = True) -> dict[str, Any]:
        """Return all that says what is done and to be done: what a repeat must leave alone.

        Args:
            held: and who holds it.
            audio: and what of it may be reused or is to be swept.
        """
        left_out = ["kc."]
        left_out += [] if held else ["kc:held:", "kc:long:"]
        left_out += [] if audio else ["kc:audio:", "kc:garbage", "kc:orphans"]
        return {
            key: row
            for key, row in self._rows.items()
            if not key.startswith(tuple(left_out)) and not NOISE.match(key)
        }
