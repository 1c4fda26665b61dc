"""`/metrics` for Prometheus: the ledger's numbers, read at each scrape, and the gateway's own.

It needs no key: it carries counts, no text, no names of keys or jobs. Where even that is too much,
keep the path from strangers at the proxy.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from starlette.responses import Response

from shared.ledger.batches import Batches
from shared.ledger.intake import Intake
from shared.ledger.states import BatchStatus, JobStatus
from shared.ledger.upkeep import Backlog

log = structlog.get_logger()

SCRAPE_TIMEOUT_S = 3.0

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

TOTALS: dict[str, str] = {
    "jobs_accepted": "kc_accepted_jobs",
    "batches_accepted": "kc_accepted_batches",
    "synthesis_s": "kc_synthesis_seconds",
    "audio_s": "kc_audio_seconds",
    "encode_s": "kc_encode_seconds",
    "batches": "kc_batches",
    "segments_rendered": "kc_segments_rendered",
    "segments_reused": "kc_segments_reused",
    "segments_lost": "kc_segments_lost",
    "segment_releases": "kc_segments_released",
    "recycles": "kc_recycles",
    "ledger_losses": "kc_ledger_losses",
}
"""The ledger's running totals → the counters they are shown as."""

ASK_OUTCOMES = ("answered", "failed", "refused", "unanswered")
"""What became of questions to plan workers: `failed` says why, `refused` found no room."""

WEBHOOK_OUTCOMES = ("delivered", "retried", "gone", "exhausted")


@dataclass(frozen=True)
class Snapshot:
    """The ledger's numbers at one moment."""

    jobs: dict[JobStatus, int]
    batches: dict[BatchStatus, int]
    backlog: Backlog
    totals: dict[str, float]
    batch_sizes: dict[int, int]
    workers: list[dict[str, Any]]
    queued_chars: int


async def take_snapshot(intake: Intake) -> Snapshot:
    """Read the ledger.

    Raises:
        RedisError: Redis is away.
    """
    return Snapshot(
        await intake.jobs_by_status(),
        await Batches(intake.client).by_status(),
        await intake.backlog(),
        await intake.totals(),
        await intake.batch_sizes(),
        await intake.workers(),
        await intake.queued_chars(),
    )


class LedgerCollector(Collector):
    """Shows a snapshot to prometheus_client; None when the ledger could not be read."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        up = GaugeMetricFamily("kc_ledger_up", "1 when Redis answered this scrape.")
        up.add_metric([], float(self._snapshot is not None))
        yield up
        if self._snapshot is not None:
            yield from _jobs(self._snapshot)
            yield from _queues(self._snapshot)
            yield from _totals(self._snapshot)
            yield _batch_sizes(self._snapshot.batch_sizes)
            yield _workers(self._snapshot.workers)
            yield from _devices(self._snapshot.workers)


def _jobs(snapshot: Snapshot) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("kc_jobs", "Jobs kept, by status.", labels=["status"])
    for status, number in snapshot.jobs.items():
        jobs.add_metric([status.value], number)
    yield jobs
    batches = GaugeMetricFamily("kc_job_batches", "Batches kept, by status.", labels=["status"])
    for state, count in snapshot.batches.items():
        batches.add_metric([state.value], count)
    yield batches
    chars = GaugeMetricFamily("kc_queued_chars", "Characters accepted and not finished.")
    chars.add_metric([], snapshot.queued_chars)
    yield chars


def _queues(snapshot: Snapshot) -> Iterator[Metric]:
    backlog = snapshot.backlog
    depth = GaugeMetricFamily("kc_queue_depth", "Items that wait at a stage.", labels=["stage"])
    age = GaugeMetricFamily(
        "kc_queue_age_seconds", "How long the first in a stage's queue waits.", labels=["stage"]
    )
    for stage in ("plan", "synth", "assemble", "deliver"):
        depth.add_metric([stage], getattr(backlog, stage))
        age.add_metric([stage], getattr(backlog, f"{stage}_age_s"))
    yield from (depth, age)
    segments = GaugeMetricFamily("kc_waiting_segments", "Segments that wait for a device.")
    segments.add_metric([], backlog.segments)
    phonemes = GaugeMetricFamily("kc_waiting_phonemes", "Phonemes in those segments.")
    phonemes.add_metric([], backlog.phonemes)
    yield from (segments, phonemes)


def _totals(snapshot: Snapshot) -> Iterator[Metric]:
    totals = snapshot.totals
    for source, name in TOTALS.items():
        counter = CounterMetricFamily(name, f"Running total of {source.replace('_', ' ')}.")
        counter.add_metric([], totals.get(source, 0))
        yield counter
    outcomes = CounterMetricFamily(
        "kc_webhook_attempts", "Webhook attempts by outcome.", labels=["outcome"]
    )
    for outcome in WEBHOOK_OUTCOMES:
        outcomes.add_metric([outcome], totals.get(f"webhook_{outcome}", 0))
    yield outcomes
    asks = CounterMetricFamily(
        "kc_asks", "Questions to plan workers by outcome.", labels=["outcome"]
    )
    for outcome in ASK_OUTCOMES:
        asks.add_metric([outcome], totals.get(f"asks_{outcome}", 0))
    yield asks


def _batch_sizes(sizes: dict[int, int]) -> Metric:
    buckets: list[tuple[str, float]] = [
        (str(float(bound)), sum(number for size, number in sizes.items() if size <= bound))
        for bound in BATCH_BUCKETS
    ]
    buckets.append(("+Inf", sum(sizes.values())))
    family = HistogramMetricFamily("kc_batch_size", "Segments in a batch.")
    family.add_metric([], buckets, sum(size * number for size, number in sizes.items()))
    return family


def _workers(workers: list[dict[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "kc_workers", "Workers heard of in the last seconds.", labels=["role", "state"]
    )
    counts = Counter((str(w.get("role", "")), str(w.get("state", ""))) for w in workers)
    for labels, number in sorted(counts.items()):
        family.add_metric(list(labels), number)
    return family


def _devices(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield what each synth worker counts since its child began; the ratio is how busy it is."""
    busy = CounterMetricFamily(
        "kc_synth_busy_seconds", "Time the device rendered.", labels=["worker"]
    )
    shift = CounterMetricFamily(
        "kc_synth_shift_seconds", "Time there was something to render.", labels=["worker"]
    )
    for worker in workers:
        if "busy_s" in worker:
            busy.add_metric([str(worker.get("id", ""))], worker["busy_s"])
            shift.add_metric([str(worker.get("id", ""))], worker["shift_s"])
    yield from (busy, shift)


router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Answer a scrape; when Redis is away, with `kc_ledger_up 0` and the gateway's own numbers."""
    snapshot: Snapshot | None = None
    try:
        async with asyncio.timeout(SCRAPE_TIMEOUT_S):
            snapshot = await take_snapshot(request.app.state.services.intake)
    except (RedisError, OSError) as error:
        log.warning("ledger does not answer", action="scrape", error=repr(error))
    ledger = CollectorRegistry()
    ledger.register(LedgerCollector(snapshot))
    body = generate_latest(ledger) + generate_latest(request.app.state.meters.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)
