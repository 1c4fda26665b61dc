"""What a claim costs Redis, and how well the batches it forms are filled.

In: backlogs of made-up jobs. Out: for each, and for each number of waiting segments looked at
(`PEEK`), microseconds of Redis per claim, segments per batch, and the fill: the share of a padded
batch that is not padding. Uses a Redis of its own and the ledger's real scripts.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import redis
import redis.asyncio

from benchmarks.report import Report, Table, options
from benchmarks.rig import bench, settings_for, workplace
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger import work
from shared.ledger.intake import Intake, Limits
from shared.ledger.messages import NewSegment, SegmentClaim, SegmentPayload
from shared.ledger.records import JobSpec, NewJob
from shared.ledger.states import Lane
from shared.ledger.work import WorkLedger
from shared.manifest import EngineStamp

PEEKS = (16, 32, 64, 128, 256)
QUICK_PEEKS = (work.PEEK,)
QUICK_BACKLOGS = 2
MOST, PHONEMES = 32, 4080
"""A batch: 8 of the longest segments, or up to 32 short ones."""
CLAIMS = 100
LONGEST = 510
LIMITS = Limits(
    rate_per_min=6000,
    key_max_queued_chars=10**9,
    max_queued_chars=10**9,
    max_queued_jobs=10**6,
    idempotency_ttl_s=60,
)

Jobs = list[tuple[str, list[int]]]
"""An owner, and the phoneme counts of one job's segments."""


def sentences(count: int, chance: random.Random) -> list[int]:
    """Return phoneme counts of sentences in a row: log-normal, half below 75."""
    drawn = (round(chance.lognormvariate(math.log(75), 0.85)) for _ in range(count))
    return [min(LONGEST, max(5, length)) for length in drawn]


BACKLOGS: dict[str, Callable[[random.Random], Jobs]] = {
    "one book": lambda chance: [("a", sentences(8000, chance))],
    "a book and 40 short texts": lambda chance: [
        ("a", sentences(6000, chance)),
        *(("b", sentences(40, chance)) for _ in range(40)),
    ],
    "12 keys with 6 jobs each": lambda chance: [
        (f"k{key}", sentences(120, chance)) for key in range(12) for _ in range(6)
    ],
    "4,000 single sentences": lambda chance: [("a", sentences(1, chance)) for _ in range(4000)],
}


async def fill_ledger(url: str, jobs: Jobs) -> None:
    """Accept the jobs."""
    client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    spec = JobSpec("af_heart", Language.AMERICAN_ENGLISH, 1.0, (AudioFormat.MP3,), "kokoro")
    intake = Intake(client)
    for n, (owner, _) in enumerate(jobs):
        job = NewJob(
            uid=f"job_{n:026d}",
            owner=owner,
            spec=spec,
            input="x",
            engine=EngineStamp("f" * 64, "0" * 64, False),
            payload="x",
            lane=Lane.INTERACTIVE,
            deadline_s=3600,
            ttl_s=3600,
        )
        await intake.create(job, LIMITS)
    await client.aclose()


def plan_all(client: redis.Redis, jobs: Jobs) -> None:
    """Plan the accepted jobs into their segments."""
    planner = WorkLedger(client, incarnation="plan/1", lease_s=60, attempts_max=3)
    while (claim := planner.claim_plan(bytes_most=10**6)) is not None:
        n = int(claim.uid.removeprefix("job_"))
        segments = [
            NewSegment(i, i + 1, payload=payload(f"{n}-{i}", length))
            for i, length in enumerate(jobs[n][1])
        ]
        planner.add_segments(claim, segments, bytes_done=1, chars_done=1, final=True)


def payload(name: str, length: int) -> SegmentPayload:
    """Return a segment of so many phonemes."""
    text = "t" * length
    spoken = "p" * length
    return SegmentPayload(
        spoken, text, Language.AMERICAN_ENGLISH, "af_heart", 1.0, 1, name, "f" * 64
    )


def fill_of(batch: list[SegmentClaim]) -> tuple[int, int]:
    """Return a batch's phonemes, without and with padding."""
    lengths = [len(claim.payload.phonemes) for claim in batch]
    return sum(lengths), len(lengths) * max(lengths)


def measure(client: redis.Redis, peek: int) -> dict[str, Any]:
    """Claim from the ledger as it stands, and sum up."""
    work.PEEK = peek
    worker = WorkLedger(client, incarnation="synth/1", lease_s=60, attempts_max=3)
    client.config_resetstat()
    batches = []
    for _ in range(CLAIMS):
        claims = worker.claim_segments(MOST, phonemes=PHONEMES, ahead=True)
        if not claims:
            break
        batches.append(claims)
    spent = client.info("commandstats")["cmdstat_evalsha"]
    real, padded = (sum(column) for column in zip(*map(fill_of, batches), strict=True))
    worker.let_go(stopped=True)
    return {
        "us_per_claim": spent["usec"] / spent["calls"],
        "segments_per_batch": sum(map(len, batches)) / len(batches),
        "fill": real / padded,
    }


def in_order(jobs: Jobs) -> float:
    """Return the fill of batches of 8 taken in order, whatever their lengths."""
    lengths = [length for _, row in jobs for length in row]
    groups = [lengths[i : i + 8] for i in range(0, len(lengths), 8)]
    return sum(lengths) / sum(len(group) * max(group) for group in groups)


def run(url: str, names: Sequence[str], peeks: Sequence[int]) -> list[dict[str, Any]]:
    """Measure every backlog with every window."""
    rows = []
    with redis.Redis.from_url(url) as client:
        for name in names:
            jobs = BACKLOGS[name](random.Random(7))  # noqa: S311 - the same backlog at each run
            for peek in peeks:
                client.flushall()
                asyncio.run(fill_ledger(url, jobs))
                plan_all(client, jobs)
                rows.append(
                    {"backlog": name, "peek": peek, "in_order_fill": in_order(jobs)}
                    | measure(client, peek)
                )
    return rows


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__).parse_args()
    names = list(BACKLOGS)[: QUICK_BACKLOGS if chosen.quick else None]
    with workplace() as folder, bench(settings_for(folder)) as rig:
        rows = run(rig.server.url, names, QUICK_PEEKS if chosen.quick else PEEKS)
    report = Report(
        "claim",
        "what a claim costs Redis, and how well the batches it forms are filled",
        corpus="made-up phoneme counts of sentences: log-normal, half below 75, at most 510",
        precision="no engine",
        quick=chosen.quick,
        figures={"claims": rows},
        notes=[
            f"batches of at most {MOST} segments and {PHONEMES} phonemes with padding, "
            f"{CLAIMS} claims each",
            "fill: the share of a padded batch that is no padding",
        ],
    )
    report.tables.append(
        Table(
            "Claims",
            [
                "backlog",
                "looked at",
                "fill in order, by 8",
                "Redis, µs a claim",
                "segments a batch",
                "fill",
            ],
            [list(row.values()) for row in rows],
        )
    )
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
