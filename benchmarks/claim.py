"""What a claim costs Redis, and how well the batches it forms are filled.

In: backlogs of made-up jobs. Out: for each, and for each number of waiting segments looked at
(`PEEK`), microseconds of Redis per claim, segments per batch, and the fill: the share of a padded
batch that is not padding. Uses a Redis of its own and the ledger's real scripts.
"""

import argparse
import asyncio
import json
import math
import platform
import random
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from deploy.redis_server import RedisServer
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
    while (claim := planner.claim_plan()) is not None:
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
        claims, _ = worker.claim_segments(MOST, phonemes=PHONEMES, ahead=True)
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


def run(url: str) -> list[dict[str, Any]]:
    """Measure every backlog with every window."""
    rows = []
    with redis.Redis.from_url(url) as client:
        for name, make in BACKLOGS.items():
            jobs = make(random.Random(7))  # noqa: S311 - the same backlog at each run
            for peek in PEEKS:
                client.flushall()
                asyncio.run(fill_ledger(url, jobs))
                plan_all(client, jobs)
                rows.append(
                    {"backlog": name, "peek": peek, "in_order_fill": in_order(jobs)}
                    | measure(client, peek)
                )
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="kc-bench-") as folder:
        server = RedisServer(Path(folder), port)
        server.start()
        try:
            rows = run(server.url)
        finally:
            server.stop()
    print(
        f"\n{platform.machine()}, Python {platform.python_version()}; batches of at most {MOST} "
        f"segments and {PHONEMES} phonemes with padding, {CLAIMS} claims each\n"
    )
    print("| backlog | in order, by 8 | looked at | Redis µs a claim | segments a batch | fill |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['backlog']} | {row['in_order_fill']:.0%} | {row['peek']} | "
            f"{row['us_per_claim']:.0f} | {row['segments_per_batch']:.1f} | {row['fill']:.0%} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
