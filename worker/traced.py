"""A stage's work as spans of the jobs that it is done for.

A job's record says what its spans stand beneath. It is asked for only where this process traces,
with a question of its own, so that claims are the same with and without. A job that says nothing,
because a gateway accepted it that traced nothing, has no spans.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis
from redis.exceptions import RedisError

from shared import tracing
from shared.bell import Stage
from shared.formats import SAMPLE_RATE_HZ
from shared.ledger.batch_record import BATCH_PREFIX
from shared.ledger.messages import SegmentClaim
from shared.ledger.scripts import text


@dataclass(frozen=True)
class Traced:
    """What is to be known of a job, or of a batch of jobs, for its spans.

    Attributes:
        traceparent: what they stand beneath.
        facts: that all of them have.
        attempts: of the stage, this one among them; None where that is not the record's to know.
    """

    traceparent: str
    facts: tracing.Facts
    attempts: int | None


def look(client: redis.Redis, uids: Iterable[str], stage: Stage | None = None) -> dict[str, Traced]:
    """Return what is known of the jobs or batches that are traced; nothing where Redis is away."""
    if not tracing.is_on():
        return {}
    names = ("traceparent", "lane", f"{stage}_attempts")
    asked = list(dict.fromkeys(uids))
    pipe = client.pipeline(transaction=False)
    for uid in asked:
        pipe.hmget(f"kc:{'batch' if uid.startswith(BATCH_PREFIX) else 'job'}:{uid}", names)
    try:
        rows = pipe.execute()
    except RedisError:
        return {}
    found = {}
    for uid, (context, lane, attempts) in zip(asked, rows, strict=True):
        if context is not None:
            what = "batch" if uid.startswith(BATCH_PREFIX) else "job"
            facts = {f"kc.{what}.id": uid}
            if lane is not None:
                facts["kc.lane"] = text(lane)
            number = None if attempts is None else int(attempts)
            found[uid] = Traced(text(context), facts, number)
    return found


@contextmanager
def attempt(
    client: redis.Redis,
    stage: Stage,
    uid: str,
    facts: tracing.Facts,
    *,
    kind: tracing.Kind = tracing.Kind.CONSUMER,
) -> Iterator[None]:
    """Have a span around a block in which a stage works for a job, if that is traced."""
    traced = look(client, [uid], stage).get(uid)
    if traced is None:
        yield
        return
    known = {**traced.facts, **facts}
    if traced.attempts is not None:
        known["kc.attempt"] = traced.attempts
    with tracing.span(stage.value, kind, known, parent=traced.traceparent):
        yield


@dataclass
class Part:
    """What of a batch on the device is one job's.

    Attributes:
        attempt: the highest of its segments'.
        segments: how many.
        samples: of the good audio, at 24 kHz.
        error: the code of what failed one of them.
    """

    attempt: int = 0
    segments: int = 0
    samples: int = 0
    error: str | None = None


@dataclass
class Parts:
    """A batch on the device, as a span of each job that has a part in it."""

    traced: Mapping[str, Traced]
    claims: Sequence[SegmentClaim]
    began_ns: int = 0
    _parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def of(cls, client: redis.Redis, claims: Sequence[SegmentClaim]) -> "Parts | None":
        """Return the parts of a claimed batch; None if no job in it is traced."""
        traced = look(client, (claim.uid for claim in claims))
        return cls(traced, claims) if traced else None

    def begin(self) -> None:
        """Say that the device begins."""
        self.began_ns = time.time_ns()

    def take(self, claims: Sequence[SegmentClaim]) -> None:
        """Say which members were this process's to render."""
        for claim in claims:
            part = self._parts.setdefault(claim.uid, Part())
            part.segments += 1
            part.attempt = max(part.attempt, claim.attempt)

    def heard(self, claim: SegmentClaim, samples: int) -> None:
        """Say that a member's audio is good."""
        self._parts.setdefault(claim.uid, Part()).samples += samples

    def fail(self, claim: SegmentClaim, code: str) -> None:
        """Say that a member has failed."""
        self._parts.setdefault(claim.uid, Part()).error = code

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Store and record the batch for a block; with its end the spans end."""
        try:
            with tracing.logged_as({uid: one.traceparent for uid, one in self.traced.items()}):
                yield
        except BaseException as error:
            self.end(tracing.code_of(error))
            raise
        self.end()

    def end(self, error: str | None = None) -> None:
        """Have the spans, from the device's beginning to now."""
        for uid, part in self._parts.items():
            traced = self.traced.get(uid)
            if traced is None:
                continue
            facts: dict[str, str | int | float | bool] = {
                **traced.facts,
                "kc.attempt": part.attempt,
                "kc.segments": part.segments,
                "kc.audio_s": round(part.samples / SAMPLE_RATE_HZ, 3),
                # The same in every trace that has a part of it.
                "kc.device_batch.id": str(self.claims[0].token),
                "kc.device_batch.segments": len(self.claims),
            }
            tracing.past(
                Stage.SYNTH.value,
                tracing.Kind.CONSUMER,
                facts,
                parent=traced.traceparent,
                began_ns=self.began_ns,
                error=error or part.error,
            )
