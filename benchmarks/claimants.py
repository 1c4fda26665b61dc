"""Light claimants of the ledger: a worker's calls without its engine, its storage and Celery.

In: a planned backlog, a number of claimants and the speed of a device each. Out: what they got
through, how long each claim kept them waiting, and what it cost Redis. Each is a process of its own
with a connection of its own, which claims a batch, begins it, sleeps for as long as a device of the
stated speed would compute, and finishes it.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

import redis

from benchmarks.claim import MOST, PHONEMES, Jobs, fill_ledger, plan_all
from benchmarks.report import percentile
from shared.connections import connect
from shared.formats import SAMPLE_RATE_HZ, AudioFormat
from shared.ledger.messages import RenderedSegment, SegmentClaim
from shared.ledger.records import OutputFile
from shared.ledger.work import WorkLedger
from shared.manifest import EngineManifest, EngineName

AUDIO_S_PER_PHONEME = 0.07
ENDS_WITHIN_S = 120.0
LEASE_S = 60.0
SCRIPTS = ("evalsha", "eval")
ENGINE = EngineManifest(
    engine=EngineName.SCRIPTED,
    model="none",
    fingerprint="f" * 64,
    stand_in=True,
    precision="exact",
    voices={"af_heart": "0" * 64},
)


@dataclass(frozen=True)
class Spent:
    """What Redis has done since it was started.

    Attributes:
        cpu_s: of its main thread, which runs all commands.
        scripts: that clients had it run.
        operations: commands, those that scripts call among them.
    """

    cpu_s: float
    scripts: int
    operations: int

    @classmethod
    def of(cls, client: redis.Redis) -> "Spent":
        """Ask Redis."""
        cpu: dict[str, Any] = client.info("cpu")
        stats: dict[str, Any] = client.info("commandstats")
        # Before Redis 7 there is one figure for all threads.
        thread = "_main_thread" if "used_cpu_user_main_thread" in cpu else ""
        names = [f"used_cpu_{mode}{thread}" for mode in ("user", "sys")]
        scripts = sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SCRIPTS)
        operations = int(client.info("stats")["total_commands_processed"])
        return cls(sum(float(cpu[name]) for name in names), scripts, operations)

    def since(self, before: "Spent") -> "Spent":
        """Return what was done in between."""
        return Spent(
            self.cpu_s - before.cpu_s,
            self.scripts - before.scripts,
            self.operations - before.operations,
        )


@dataclass(frozen=True)
class Done:
    """What one claimant did.

    Attributes:
        claim_ms: how long each claim took, seen from here.
        began: by a clock that all claimants share.
        ended: its last batch.
    """

    segments: int
    audio_s: float
    claim_ms: list[float]
    began: float
    ended: float


def _audio_s(claim: SegmentClaim) -> float:
    return len(claim.payload.phonemes) * AUDIO_S_PER_PHONEME


def finish(ledger: WorkLedger, claims: Sequence[SegmentClaim], synthesis_s: float) -> None:
    """Record a batch as a worker does once its audio is stored."""
    rendered = [
        RenderedSegment(
            claim,
            f"segments/{claim.payload.hash[:2]}/{claim.payload.hash}/{claim.token}.wav",
            round(_audio_s(claim) * SAMPLE_RATE_HZ),
        )
        for claim in claims
    ]
    ledger.finish_segments(rendered, synthesis_s=synthesis_s, engine=ENGINE, store_s=0.001)


def _claim_all(
    url: str, name: str, *, device: float, seconds: float, start: Barrier, answers: Any
) -> None:
    client = connect(url)
    ledger = WorkLedger(client, incarnation=name, lease_s=LEASE_S, attempts_max=3)
    client.ping()
    segments, audio_s, waited = 0, 0.0, []
    start.wait(ENDS_WITHIN_S)
    began = ended = time.monotonic()
    while ended - began < seconds:
        asked = time.perf_counter()
        claims = ledger.claim_segments(MOST, phonemes=PHONEMES, ahead=True)
        waited.append((time.perf_counter() - asked) * 1000)
        if not claims:
            break
        ours = ledger.begin_segments(claims)
        audio = sum(map(_audio_s, ours))
        if device:
            time.sleep(audio / device)
        finish(ledger, ours, audio / device if device else 0.0)
        segments, audio_s, ended = segments + len(ours), audio_s + audio, time.monotonic()
    client.close()
    answers.put(Done(segments, audio_s, waited, began, ended))


def claim_together(
    url: str, claimants: int, *, device_audio_s_per_s: float, seconds: float
) -> dict[str, Any]:
    """Let so many claim from the ledger as it stands; return what came of it.

    Args:
        url: of Redis.
        claimants: processes.
        device_audio_s_per_s: speed of each one's device; 0: it takes no time.
        seconds: they begin nothing new after so many.
    """
    # Forked: sixty-four interpreters that import everything would be most of the run.
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(claimants + 1), context.Queue()
    processes = [
        context.Process(
            target=_claim_all,
            args=(url, f"synth.{n}/1"),
            kwargs={
                "device": device_audio_s_per_s,
                "seconds": seconds,
                "start": start,
                "answers": answers,
            },
            daemon=True,
        )
        for n in range(claimants)
    ]
    for process in processes:
        process.start()
    try:
        with redis.Redis.from_url(url) as client:
            start.wait(ENDS_WITHIN_S)
            before = Spent.of(client)
            done = [answers.get(timeout=seconds + ENDS_WITHIN_S) for _ in processes]
            spent = Spent.of(client).since(before)
    finally:
        for process in processes:
            process.join(timeout=5)
            if process.is_alive():
                process.kill()
                process.join()
    took_s = max(one.ended for one in done) - min(one.began for one in done)
    segments, audio_s = sum(one.segments for one in done), sum(one.audio_s for one in done)
    waits = [wait for one in done for wait in one.claim_ms]
    return {
        "claimants": claimants,
        "segments": segments,
        "took_s": took_s,
        "segments_per_s": segments / took_s,
        "audio_s_per_s": audio_s / took_s,
        "claim_p50_ms": percentile(waits, 50),
        "claim_p99_ms": percentile(waits, 99),
        "redis_share_of_a_core": spent.cpu_s / took_s,
        "redis_us_per_segment": 1e6 * spent.cpu_s / segments,
        "redis_scripts_per_segment": spent.scripts / segments,
        "redis_operations_per_segment": spent.operations / segments,
    }


def accept_and_plan(url: str, jobs: Jobs) -> dict[str, float]:
    """Fill the ledger with planned jobs; return what that cost Redis, a job."""
    with redis.Redis.from_url(url) as client:
        begun = Spent.of(client)
        asyncio.run(fill_ledger(url, jobs))
        accepted = Spent.of(client)
        plan_all(client, jobs)
        planned = Spent.of(client)
    parts = {"accept": accepted.since(begun), "plan": planned.since(accepted)}
    return _a_job(parts, len(jobs))


def assemble_all(url: str) -> dict[str, float]:
    """Assemble every job whose segments are done; return what that cost Redis, a job."""
    with redis.Redis.from_url(url) as client:
        ledger = WorkLedger(client, incarnation="assemble.0/1", lease_s=LEASE_S, attempts_max=3)
        before, count = Spent.of(client), 0
        while (claim := ledger.claim_assembly(long_most=10**6)) is not None:
            ledger.segments(claim.uid, 0, claim.segments_total)
            output = OutputFile(AudioFormat.MP3, f"jobs/{claim.uid}/a.mp3", 1000, 1.0, "0" * 64)
            ledger.finish_job(claim, [output], encode_s=0.1)
            count += 1
        spent = Spent.of(client).since(before)
    return {"assembled": count, **_a_job({"assemble": spent}, max(1, count))}


def _a_job(parts: dict[str, Spent], jobs: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, spent in parts.items():
        found[f"{name}_us"] = 1e6 * spent.cpu_s / jobs
        found[f"{name}_scripts"] = spent.scripts / jobs
        found[f"{name}_operations"] = spent.operations / jobs
    return found
