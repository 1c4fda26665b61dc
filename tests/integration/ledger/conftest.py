"""Builders that take a job to any point of its way through the real scripts."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
import redis
import redis.asyncio

from shared.bell import Stage
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.intake import Intake, Limits, Submission
from shared.ledger.leases import Leases
from shared.ledger.messages import (
    NewSegment,
    PlanClaim,
    RenderedSegment,
    SegmentClaim,
    SegmentPayload,
)
from shared.ledger.records import JobRecord, JobSpec, NewJob, OutputFile
from shared.ledger.states import Lane
from shared.ledger.upkeep import Upkeep
from shared.ledger.work import WorkLedger
from shared.manifest import EngineManifest, EngineName, EngineStamp

MANIFEST = EngineManifest(
    engine=EngineName.SCRIPTED,
    model="test",
    fingerprint="f" * 64,
    stand_in=True,
    precision="exact",
    voices={"af_heart": "0" * 64},
)
LIMITS = Limits(
    rate_per_min=6000,
    key_max_queued_chars=10_000_000,
    max_queued_chars=20_000_000,
    max_queued_jobs=1000,
    idempotency_ttl_s=60,
)


@dataclass
class LedgerDriver:
    """Walks jobs through the ledger as gateway, workers and reconciler would."""

    client: redis.Redis
    url: str
    made: int = 0

    @property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.client)

    @property
    def leases(self) -> Leases:
        return Leases(self.client, lease_s=5)

    def worker(self, name: str = "w/1", *, lease_s: float = 5, attempts_max: int = 3) -> WorkLedger:
        return WorkLedger(self.client, incarnation=name, lease_s=lease_s, attempts_max=attempts_max)

    def ask(self, question: Callable[[Intake], Coroutine[Any, Any, Any]]) -> Any:
        """Run one of the gateway's calls on a connection of its own."""

        async def run() -> Any:
            client = redis.asyncio.Redis.from_url(self.url, decode_responses=True)
            try:
                return await question(Intake(client))
            finally:
                await client.aclose()

        return asyncio.run(run())

    def new_job(self, text: str = "Hello.", **changes: Any) -> NewJob:
        self.made += 1
        spec = JobSpec("af_heart", Language.AMERICAN_ENGLISH, 1.0, (AudioFormat.MP3,), "kokoro")
        fields: dict[str, Any] = {
            "uid": f"job_{self.made:026d}",
            "owner": "local",
            "spec": spec,
            "input": text,
            "engine": EngineStamp("f" * 64, "0" * 64, False),
            "payload": text,
            "lane": Lane.INTERACTIVE,
            "deadline_s": 3600,
            "ttl_s": 3600,
        }
        return NewJob(**{**fields, **changes})

    def submit(self, text: str = "Hello.", limits: Limits = LIMITS, **changes: Any) -> Submission:
        job = self.new_job(text, **changes)
        result = self.ask(lambda intake: intake.create(job, limits))
        assert isinstance(result, Submission)
        return result

    def accept(self, text: str = "Hello.", **changes: Any) -> str:
        uid = self.submit(text, **changes).uid
        assert uid is not None
        return uid

    def job(self, uid: str) -> JobRecord:
        fields = self.worker().job_fields(uid)
        return JobRecord.from_hash(fields)

    def rung(self) -> set[str]:
        """Return which stages were rung since it was last asked."""
        return {stage for stage in Stage if self.client.delete(stage.queue)}

    def plan(self, hashes: list[str], *, lengths: list[int] | None = None) -> str:
        """Plan the next job into one segment per hash."""
        worker = self.worker("p/1")
        claim = worker.claim_plan(bytes_most=10**6)
        assert claim is not None
        self.add(worker, claim, hashes, lengths=lengths)
        return claim.uid

    def add(
        self,
        worker: WorkLedger,
        claim: PlanClaim,
        hashes: list[str],
        *,
        lengths: list[int] | None = None,
        final: bool = True,
    ) -> None:
        sizes = lengths or [10] * len(hashes)
        segments = [
            NewSegment(i, i + 1, payload=self.payload(h, size))
            for i, (h, size) in enumerate(zip(hashes, sizes, strict=True))
        ]
        size = len(hashes)
        worker.add_segments(claim, segments, bytes_done=size, chars_done=size, final=final)

    def payload(self, digest: str, length: int = 10) -> SegmentPayload:
        return SegmentPayload(
            phonemes="a" * length,
            text="t",
            language=Language.AMERICAN_ENGLISH,
            voice="af_heart",
            speed=1.0,
            seed=1,
            hash=digest,
            engine="f" * 64,
        )

    def finish(self, worker: WorkLedger, claims: list[SegmentClaim]) -> list[str]:
        rendered = [
            RenderedSegment(claim, f"segments/{claim.payload.hash}/{claim.token}.wav", 24_000)
            for claim in claims
        ]
        return worker.finish_segments(rendered, synthesis_s=0.5, engine=MANIFEST)

    def record(self, worker: WorkLedger, claim: SegmentClaim, key: str) -> None:
        """Finish one segment whose audio lies under `key`."""
        worker.finish_segments(
            [RenderedSegment(claim, key, 24_000)], synthesis_s=0.5, engine=MANIFEST
        )

    def assemble(self, worker: WorkLedger) -> str:
        claim = worker.claim_assembly(long_most=1)
        assert claim is not None
        output = OutputFile(AudioFormat.MP3, f"jobs/{claim.uid}/a.mp3", 10, 1.0, "0" * 64)
        worker.finish_job(claim, [output], encode_s=0.1)
        return claim.uid

    def render_all(self, worker: WorkLedger, *, most: int = 8) -> int:
        """Render until nothing waits; return how many segments that took."""
        rendered = 0
        for _ in range(1000):
            claims = worker.claim_segments(most)
            if not claims:
                return rendered
            self.finish(worker, claims)
            rendered += len(claims)
        raise AssertionError("the backlog never ends")


@pytest.fixture
def ledger(redis_client: redis.Redis, redis_server: Any) -> LedgerDriver:
    """A driver over an empty ledger."""
    return LedgerDriver(redis_client, redis_server.url)
