"""What a job costs when texts grow to 2,000,000 characters, and when 100,000 jobs wait.

In: nothing. Out: two tables. Cost per job and per character must stay flat, memory in proportion.

Long texts go through a whole cluster with the scripted engine, one after another. Waiting jobs are
recorded by the ledger's own scripts (thousands a second, where the gateway takes hundreds), and at
each decade the real gateway is asked beside them: to accept a job, and to show one. Claims are made
by the workers' side of the ledger; what they cost is the time Redis itself says its scripts took.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
import redis

from benchmarks.corpus import Length, describe, select
from benchmarks.long_text import make_text
from benchmarks.report import Report, Table, Target, options, percentile
from benchmarks.rig import (
    MANY_PER_MIN,
    NO_LIMIT,
    bench,
    cluster,
    peak_resident_mib,
    settings_for,
    workplace,
)
from gateway.job_ids import new_uid
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.intake import Limits
from shared.ledger.messages import NewSegment, SegmentPayload
from shared.ledger.records import JobSpec, NewJob
from shared.ledger.scripts import script
from shared.ledger.states import Lane
from shared.ledger.work import WorkLedger
from shared.voices import parse_voice
from worker.engines.scripted import ScriptedEngine

LENGTHS, QUICK_LENGTHS = (1_000, 10_000, 100_000, 2_000_000), (1_000, 10_000)
WAITING, QUICK_WAITING = (10, 100, 1_000, 10_000, 100_000), (10, 100, 1_000)
SAMPLES = 60
PIPELINE = 200
BATCH = 8
GIVE_UP_AFTER_S = 900.0
FLAT_MOST = 2.0
"""A cost is called flat if over four decades it does not double."""
OWNERS = 20

TEXT = select(length=Length.SHORT, languages=[Language.AMERICAN_ENGLISH])[0]
LIMITS = Limits(
    rate_per_min=MANY_PER_MIN,
    key_max_queued_chars=NO_LIMIT,
    max_queued_chars=NO_LIMIT,
    max_queued_jobs=NO_LIMIT,
    idempotency_ttl_s=3600,
)


# Long texts


def speak_lengths(lengths: tuple[int, ...]) -> list[dict[str, Any]]:
    """Speak one text of each length; return what each cost."""
    found = []
    with workplace() as folder, cluster(settings_for(folder)) as running:
        running.submit({"input": "Warm.", "response_format": "flac"}, headers={"Prefer": "wait=60"})
        for n, chars in enumerate(lengths):
            text = make_text(chars, first=n * 1_000_000)
            before = running.ledger.info("memory")["used_memory"]
            peak = before
            began = time.monotonic()
            job = running.submit({"input": text, "speed": 4.0, "response_format": "flac"})
            accepted_s = time.monotonic() - began
            while job["status"] in {"queued", "processing"}:
                if time.monotonic() - began > GIVE_UP_AFTER_S:
                    raise TimeoutError(f"{job['id']} has not ended")
                peak = max(peak, running.ledger.info("memory")["used_memory"])
                time.sleep(0.05 if chars <= 100_000 else 0.5)
                job = running.job(job["id"])
            took_s = time.monotonic() - began
            if job["status"] != "succeeded":
                raise RuntimeError(f"{job['id']} {job['status']}: {job['error']}")
            found.append(
                {
                    "chars": chars,
                    "segments": job["progress"]["segments_total"],
                    "accepted_ms": accepted_s * 1000,
                    "took_s": took_s,
                    "ms_per_1000_chars": took_s * 1e6 / chars,
                    "redis_peak_bytes_per_char": max(0, peak - before) / chars,
                    "gateway_peak_mib": peak_resident_mib(running.pids("gateway")[0]),
                    "children_resident_mib": sum(
                        row["resident_bytes"] / 2**20
                        for row in running.local.request("GET", "/v1/workers").json()["data"]
                    ),
                }
            )
    return found


# Waiting jobs


class Waiting:
    """Jobs made to wait, first for a planner, then for an engine."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.ledger = WorkLedger(client, incarnation="bench/0", lease_s=300, attempts_max=1000)
        self.engine = ScriptedEngine().manifest
        self.ledger.register_engine(self.engine)
        self.jobs = 0
        self._scripts = {
            name: client.script_load(script(name))
            for name in ("create", "claim_plan", "add_segments")
        }

    def record(self, count: int) -> None:
        """Record more jobs, `PIPELINE` at a time."""
        stamp = self.engine.stamp(parse_voice(TEXT.voice))
        spec = JobSpec(TEXT.voice, TEXT.language, 1.0, (AudioFormat.MP3,), self.engine.model)
        while count > 0:
            pipe = self.client.pipeline(transaction=False)
            for _ in range(min(count, PIPELINE)):
                job = NewJob(
                    uid=new_uid(),
                    owner=f"key{self.jobs % OWNERS}",
                    spec=spec,
                    input=TEXT.text,
                    engine=stamp,
                    payload="0" * 64,
                    lane=Lane.BATCH,
                    deadline_s=86_400,
                    ttl_s=86_400,
                )
                self._call(pipe, "create", job.to_json(), TEXT.text, json.dumps(vars(LIMITS)))
                self.jobs += 1
                count -= 1
            for answer in pipe.execute():
                if answer[0] != b"created":
                    raise RuntimeError(f"a job was not recorded: {answer}")

    def _call(self, pipe: Any, name: str, *arguments: str | int) -> None:
        pipe.evalsha(self._scripts[name], 0, *arguments)

    def plan_all(self) -> None:
        """Plan every job: one segment each, none like another, as it would be with a real text."""
        number = 0
        while True:
            pipe = self.client.pipeline(transaction=False)
            for _ in range(PIPELINE):
                self._call(pipe, "claim_plan", self.ledger.incarnation, 300_000, 1000, 10**5)
            claims = [row for row in pipe.execute() if row]
            for uid, token, *_ in claims:
                number += 1
                slice_ = {
                    "segments": [self._segment(uid.decode(), number).to_wire()],
                    "bytes": len(TEXT.text.encode()),
                    "chars": len(TEXT.text),
                    "final": True,
                    "speech": True,
                    "warnings": [],
                }
                self._call(
                    pipe, "add_segments", uid, token, self.ledger.incarnation, json.dumps(slice_)
                )
            pipe.execute()
            if len(claims) < PIPELINE:
                return

    def _segment(self, uid: str, number: int) -> NewSegment:
        length = 30 + 37 * number % 200
        payload = SegmentPayload(
            phonemes="a" * length,
            text=TEXT.text,
            language=TEXT.language,
            voice=TEXT.voice,
            speed=1.0,
            seed=0,
            hash=hashlib.sha256(uid.encode()).hexdigest(),
            engine=self.engine.fingerprint,
        )
        return NewSegment(0, len(TEXT.text), payload=payload)

    def script_us(self, work: Callable[[], Any]) -> float:
        """Return the median microseconds that Redis spends on its scripts in one call of `work`.

        What was claimed is given back after each call, outside the measurement.
        """
        found = []
        for _ in range(SAMPLES):
            before = _script_us(self.client)
            work()
            found.append(_script_us(self.client) - before)
            self.ledger.let_go(stopped=True)
        return statistics.median(found)


def _script_us(client: redis.Redis) -> float:
    stats = client.info("commandstats")
    return float(
        sum(stats.get(f"cmdstat_{name}", {}).get("usec", 0) for name in ("evalsha", "eval"))
    )


def ask_gateway(client: httpx.Client) -> dict[str, float]:
    """Return what accepting and showing a job take now, in milliseconds."""
    body = {"input": TEXT.text, "voice": TEXT.voice, "priority": "batch"}
    posts, gets = [], []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        answer = client.post("/v1/jobs", json=body)
        posts.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 202:
            raise RuntimeError(f"{answer.status_code}: {answer.text}")
        uid = answer.json()["id"]
        began = time.perf_counter()
        client.get(f"/v1/jobs/{uid}").raise_for_status()
        gets.append((time.perf_counter() - began) * 1000)
    return {
        "post_p50_ms": percentile(posts, 50),
        "post_p99_ms": percentile(posts, 99),
        "get_p50_ms": percentile(gets, 50),
    }


def wait_in_numbers(numbers: tuple[int, ...]) -> list[dict[str, Any]]:
    """Make ever more jobs wait; return at each number what a job costs."""
    found = []
    with (
        workplace() as folder,
        bench(settings_for(folder)) as made,
        redis.Redis(port=made.server.port) as client,
        httpx.Client(base_url=made.url, trust_env=False, timeout=30) as asking,
    ):
        waiting = Waiting(client)
        gateway = made.start_gateway()
        ask_gateway(asking)  # warms it up
        waiting.jobs += SAMPLES
        waiting.plan_all()
        empty = client.info("memory")["used_memory"]
        made_before = waiting.jobs
        for number in numbers:
            waiting.record(max(0, number - waiting.jobs + made_before))
            to_plan = client.info("memory")["used_memory"]
            row: dict[str, Any] = {"waiting": number, **ask_gateway(asking)}
            waiting.jobs += SAMPLES
            row["claim_plan_us"] = waiting.script_us(
                lambda: waiting.ledger.claim_plan(bytes_most=80_004)
            )
            row["redis_bytes_per_job_to_plan"] = (to_plan - empty) / (
                waiting.jobs - SAMPLES - made_before
            )
            waiting.plan_all()
            row["claim_segments_us"] = waiting.script_us(
                lambda: waiting.ledger.claim_segments(BATCH)
            )
            used = client.info("memory")["used_memory"]
            row["redis_bytes_per_job_to_render"] = (used - empty) / (waiting.jobs - made_before)
            row["redis_mib"] = used / 2**20
            row["gateway_peak_mib"] = peak_resident_mib(gateway.pid)
            found.append(row)
            print(f"  {number:,} waiting: {row}", flush=True)
    return found


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    chosen = parser.parse_args()
    lengths = speak_lengths(QUICK_LENGTHS if chosen.quick else LENGTHS)
    waiting = wait_in_numbers(QUICK_WAITING if chosen.quick else WAITING)
    report = Report(
        "growth",
        "what a job costs as texts grow long and as many wait",
        corpus=f"long: four sentences with numbers in them; waiting: {describe([TEXT])}",
        precision="no model: scripted engine, FLAC at speed 4",
        quick=chosen.quick,
        figures={"lengths": lengths, "waiting": waiting},
        notes=[
            f"waiting jobs were recorded by the ledger's script, of {OWNERS} keys in turn; at each "
            f"number {SAMPLES} more went through the gateway and {SAMPLES} claims were made",
            "bytes a job: all that Redis holds more than before the first, text and phonemes too",
        ],
    )
    report.tables.append(
        Table(
            "One text, longer and longer",
            [
                "characters",
                "segments",
                "accepted, ms",
                "in all, s",
                "ms per 1,000 characters",
                "Redis's peak, bytes a character",
                "gateway's peak, MiB",
                "all workers' children, MiB",
            ],
            [list(row.values()) for row in lengths],
        )
    )
    keys = [
        "waiting",
        "post_p50_ms",
        "post_p99_ms",
        "get_p50_ms",
        "claim_plan_us",
        "claim_segments_us",
        "redis_bytes_per_job_to_plan",
        "redis_bytes_per_job_to_render",
        "redis_mib",
        "gateway_peak_mib",
    ]
    report.tables.append(
        Table(
            "More and more jobs waiting",
            [
                "jobs",
                "POST p50, ms",
                "POST p99, ms",
                "GET p50, ms",
                "claim to plan, µs of Redis",
                f"claim of {BATCH} segments, µs of Redis",
                "bytes a job, to plan",
                "bytes a job, to render",
                "Redis, MiB",
                "gateway's peak, MiB",
            ],
            [[row[key] for key in keys] for row in waiting],
        )
    )
    first, last = waiting[0], waiting[-1]
    report.targets += [
        Target(
            f"{what}, {last['waiting']:,} jobs beside {first['waiting']:,}",
            last[key] / first[key],
            most=FLAT_MOST,
        )
        for what, key in (
            ("POST p50", "post_p50_ms"),
            ("claim to plan", "claim_plan_us"),
            ("claim of segments", "claim_segments_us"),
            ("bytes a job", "redis_bytes_per_job_to_render"),
        )
    ]
    report.targets.append(
        Target(
            f"ms per 1,000 characters, {lengths[-1]['chars']:,} beside {lengths[1]['chars']:,}",
            lengths[-1]["ms_per_1000_chars"] / lengths[1]["ms_per_1000_chars"],
            most=FLAT_MOST,
        )
    )
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
