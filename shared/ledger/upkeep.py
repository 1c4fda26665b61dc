"""The ledger as the reconciler sees it: what time alone puts right."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from shared.ledger.batch_record import SLICE_JOBS
from shared.ledger.scripts import script, text

HELPING = 500
"""Members of a sorted set that are read at a time."""


@dataclass(frozen=True)
class Backlog:
    """What waits, by stage: how many, and for how long the oldest has.

    Attributes:
        plan: jobs with text to plan.
        synth: jobs with segments to render.
        assemble: jobs with audio to encode.
        deliver: hosts with a webhook due.
        segments: that wait for a device.
        phonemes: in those segments.
    """

    plan: int
    synth: int
    assemble: int
    deliver: int
    plan_age_s: float
    synth_age_s: float
    assemble_age_s: float
    deliver_age_s: float
    segments: int
    phonemes: int

    @classmethod
    def from_row(cls, row: list[Any]) -> "Backlog":
        """Read the answer of the script `claimable`."""
        numbers = [int(item) for item in row]
        return cls(*numbers[:4], *(ms / 1000 for ms in numbers[4:8]), *numbers[8:])


class Upkeep:
    """Expiry, retention and garbage. Every method is idempotent; raises `RedisError`."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._scripts: dict[str, Any] = {}

    def _run(self, name: str, *args: str | int) -> Any:
        if name not in self._scripts:
            self._scripts[name] = self.client.register_script(script(name))
        return self._scripts[name](args=args)

    def backlog(self) -> Backlog:
        """Return what waits at each stage."""
        return Backlog.from_row(self._run("claimable"))

    def synth_states(self) -> list[str]:
        """Return what each synth worker that was heard of in the last seconds is doing."""
        names = [text(name) for name in self.client.smembers("kc:workers")]
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            if name.startswith("synth."):
                pipe.get(f"kc:worker:{name}")
        return [str(json.loads(row)["state"]) for row in pipe.execute() if row is not None]

    def expire_jobs(self) -> int:
        """End open jobs past their deadline; return how many."""
        return int(self._run("expire_jobs"))

    def cancel_batches(self) -> int:
        """Finish canceling batches where the gateway has not, or not yet; return how many."""
        ids = [text(row) for row in self.client.smembers("kc:canceling")]
        for batch_id in ids:
            at = 0
            while at >= 0:
                _, at = self._run("cancel_batch", batch_id, at, SLICE_JOBS)
        return len(ids)

    def purge_audio(self, *, record_ttl_s: int) -> int:
        """Mark for sweeping the audio of jobs whose time to live is over; return how many."""
        return int(self._run("purge_audio", record_ttl_s * 1000))

    def stale_records(self) -> list[str]:
        """Return up to 100 jobs whose record has outlived its own time to live."""
        rows = self.client.zrangebyscore("kc:records", "-inf", self._now_ms(), start=0, num=100)
        return [text(row) for row in rows]

    def delete_job(self, uid: str) -> None:
        """Forget a finished job."""
        if "delete" not in self._scripts:
            self._scripts["delete"] = self.client.register_script(script("delete"))
        self._scripts["delete"](args=[uid])

    def forget_audio(self, *, unused_s: int) -> int:
        """Forget segment audio unused for that long, now garbage; return how many."""
        return int(self._run("forget_audio", unused_s * 1000))

    def due_audio(self) -> Iterator[str]:
        """Yield the jobs whose audio `purge_audio` would mark now."""
        yield from self._due("kc:expiries", self._now_ms())

    def due_records(self) -> Iterator[str]:
        """Yield the jobs whose record has outlived its own time to live, however many."""
        yield from self._due("kc:records", self._now_ms())

    def due_segments(self, *, unused_s: int) -> Iterator[str]:
        """Yield the keys of the segment audio that `forget_audio` would forget now."""
        before_ms = self._now_ms() - unused_s * 1000
        for digest in self._due("kc:audio_used", before_ms):
            key = self.client.hget(f"kc:audio:{digest}", "key")
            if key is not None:
                yield text(key)
        for orphan in self._due("kc:orphans", before_ms):
            digest, _, token = orphan.rpartition(":")
            key = f"segments/{digest[:2]}/{digest}/{token}.wav"
            if text(self.client.hget(f"kc:audio:{digest}", "key")) != key:
                yield key

    def _now_ms(self) -> int:
        now_s, micros = self.client.time()
        return int(now_s) * 1000 + int(micros) // 1000

    def _due(self, name: str, until_ms: int) -> Iterator[str]:
        """Yield a sorted set's members up to a time, however many; it must not change meanwhile."""
        start = 0
        while rows := self.client.zrangebyscore(name, "-inf", until_ms, start=start, num=HELPING):
            yield from map(text, rows)
            start += len(rows)

    def is_empty(self) -> bool:
        """Return whether the ledger knows no job and no audio."""
        return not (self.client.exists("kc:jobs_by_status") or self.client.exists("kc:audio_used"))

    def known_objects(self, keys: list[str]) -> set[str]:
        """Return those objects that a job's record, or a segment's audio, stands for."""
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            folder, second, *rest = key.split("/")
            if folder == "jobs":
                pipe.exists(f"kc:job:{second}")
            else:
                pipe.hget(f"kc:audio:{rest[0] if rest else ''}", "key")
        answers = pipe.execute()
        return {
            key
            for key, answer in zip(keys, answers, strict=True)
            if answer and (isinstance(answer, int) or text(answer) == key)
        }

    def garbage(self) -> list[str]:
        """Return what nothing refers to any more: an object's key, or a folder's with `/` after."""
        return [text(name) for name in self.client.smembers("kc:garbage")]

    def swept(self, name: str) -> None:
        """Take a name off the list, its objects being gone."""
        self.client.srem("kc:garbage", name)
