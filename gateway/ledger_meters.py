"""What the ledger's numbers are shown as in `/metrics`; `docs/metrics.md` lists the same.

Labels are of bounded number: enumerations, error codes, and names of workers that are alive.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from shared.bell import Stage
from shared.ledger.meters import Histogram, Measured
from shared.ledger.states import BatchStatus, JobStatus, Lane, Recycled
from shared.ledger.upkeep import Backlog
from shared.manifest import EngineManifest

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

TOTALS: dict[str, tuple[str, str]] = {
    "jobs_accepted": ("kc_accepted_jobs", "Jobs accepted."),
    "batches_accepted": ("kc_accepted_batches", "Batches (`/v1/batches`) accepted."),
    "plan_chars": ("kc_planned_chars", "Characters of text planned."),
    "chars": ("kc_rendered_chars", "Characters of text rendered, without what was reused."),
    "phonemes": ("kc_rendered_phonemes", "Phonemes rendered."),
    "padded_phonemes": (
        "kc_padded_phonemes",
        "The same with each batch's padding: rendered over padded is how full batches are.",
    ),
    "audio_s": ("kc_audio_seconds", "Audio rendered."),
    "synthesis_s": ("kc_synthesis_seconds", "Time devices rendered, without what failed."),
    "encode_s": ("kc_encode_seconds", "Time files were encoded."),
    "batches": ("kc_batches", "Batches of segments rendered."),
    "segments_rendered": ("kc_segments_rendered", "Segments rendered."),
    "segments_reused": ("kc_segments_reused", "Segments whose audio was there already."),
    "segments_lost": ("kc_segments_lost", "Segments rendered that nobody waited for any more."),
    "segment_releases": (
        "kc_segments_released",
        "Segments given back because the process that held them ended.",
    ),
    "segment_failures": ("kc_segments_failed", "Attempts at a segment that failed with an error."),
    "ledger_losses": ("kc_ledger_losses", "Times that Redis was seen to have lost its data."),
}
"""The ledger's running totals → the counters they are shown as, and what they count."""

ASK_OUTCOMES = ("answered", "failed", "refused", "unanswered")
"""What became of questions to plan workers: `failed` says why, `refused` found no room."""

WEBHOOK_OUTCOMES = ("delivered", "retried", "gone", "exhausted")

ENDS = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED)

FAILURES = (
    "poison",
    "engine_failed",
    "implausible_audio",
    "encoding_failed",
    "storage_unavailable",
    "object_missing",
    "damaged_segment",
    "incomplete_audio",
    "source_gone",
    "nothing_to_speak",
    "invalid_input",
    "invalid_markup",
    "invalid_lexicon",
    "unknown_lexicon",
    "unknown_voice",
    "unknown_language",
    "language_unavailable",
    "model_unavailable",
    "internal",
)
"""Codes that jobs fail with: shown before the first one does, whose increase is else not seen."""

TIMED = ("plan", "synth", "store", "assemble", "deliver")
"""Steps whose durations the ledger keeps."""


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
    measured: Measured
    engine: EngineManifest | None

    @property
    def synth_workers(self) -> int:
        """Synth workers that are alive."""
        return sum(worker.get("role") == Stage.SYNTH for worker in self.workers)


class LedgerCollector(Collector):
    """Shows a snapshot to prometheus_client; None when the ledger could not be read."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        up = float(self._snapshot is not None)
        yield _gauge("kc_ledger_up", "1 when Redis answered this scrape.", up)
        if self._snapshot is not None:
            yield from _jobs(self._snapshot)
            yield from _queues(self._snapshot)
            yield from _totals(self._snapshot.totals)
            yield from _durations(self._snapshot.measured)
            yield _batch_sizes(self._snapshot.batch_sizes)
            yield from _workers(self._snapshot)
            yield from _devices(self._snapshot.workers)
            yield from _redis(self._snapshot.measured)


def _gauge(name: str, help_: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, help_)
    if value is not None:
        family.add_metric([], value)
    return family


def _gauges(name: str, help_: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _counters(name: str, help_: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, help_, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _jobs(snapshot: Snapshot) -> Iterator[Metric]:
    totals = snapshot.totals
    yield _gauges("kc_jobs", "Jobs kept, by status.", "status", snapshot.jobs)
    yield _gauges(
        "kc_job_batches", "Batches (`/v1/batches`) kept, by status.", "status", snapshot.batches
    )
    ended = {status: totals.get(f"ended.{status}", 0.0) for status in ENDS}
    yield _counters("kc_ended_jobs", "Jobs ended, by status.", "status", ended)
    failed = dict.fromkeys(FAILURES, 0.0) | {
        name.removeprefix("failed."): number
        for name, number in sorted(totals.items())
        if name.startswith("failed.")
    }
    yield _counters("kc_failed_jobs", "Jobs failed, by error code.", "code", failed)
    chars = float(snapshot.queued_chars)
    yield _gauge("kc_queued_chars", "Characters accepted and not finished.", chars)


def _queues(snapshot: Snapshot) -> Iterator[Metric]:
    backlog = snapshot.backlog
    depth = {stage: float(getattr(backlog, stage)) for stage in Stage}
    yield _gauges(
        "kc_queue_depth",
        "What waits at a stage: jobs, and hosts with a webhook due.",
        "stage",
        depth,
    )
    age = {stage: float(getattr(backlog, f"{stage}_age_s")) for stage in Stage}
    yield _gauges(
        "kc_queue_age_seconds", "How long the first in a stage's queue waits.", "stage", age
    )
    yield _gauge("kc_waiting_segments", "Segments that wait for a device.", float(backlog.segments))
    yield _gauge("kc_waiting_phonemes", "Phonemes in those segments.", float(backlog.phonemes))
    waiting_s = snapshot.measured.waiting_audio_s
    yield _gauge(
        "kc_waiting_audio_seconds",
        "Audio still to be rendered, about, of texts that are not planned yet too.",
        waiting_s,
    )
    yield _gauge(
        "kc_waiting_audio_seconds_per_worker",
        "The same for each synth worker that is alive, or all of it where none is.",
        waiting_s / max(1, snapshot.synth_workers),
    )


def _totals(totals: Mapping[str, float]) -> Iterator[Metric]:
    for source, (name, help_) in TOTALS.items():
        counter = CounterMetricFamily(name, help_)
        counter.add_metric([], totals.get(source, 0))
        yield counter
    recycled = {reason: totals.get(f"recycled.{reason}", 0.0) for reason in Recycled}
    yield _counters("kc_recycles", "Children of workers replaced, by reason.", "reason", recycled)
    webhooks = {outcome: totals.get(f"webhook_{outcome}", 0.0) for outcome in WEBHOOK_OUTCOMES}
    yield _counters("kc_webhook_attempts", "Webhook attempts, by outcome.", "outcome", webhooks)
    asks = {outcome: totals.get(f"asks_{outcome}", 0.0) for outcome in ASK_OUTCOMES}
    yield _counters("kc_asks", "Questions to plan workers, by outcome.", "outcome", asks)


def _durations(measured: Measured) -> Iterator[Metric]:
    start = "From a job's acceptance until a plan worker began it."
    lanes = {lane: measured.histogram(f"start.{lane}") for lane in Lane}
    yield _histograms("kc_job_start_seconds", start, "lane", lanes)
    whole = "From the acceptance of a job that succeeded to its end."
    lanes = {lane: measured.histogram(f"job.{lane}") for lane in Lane}
    yield _histograms("kc_job_seconds", whole, "lane", lanes)
    step = (
        "One step of work: a slice of a text planned, a batch rendered (synth), its audio stored,"
        " a job's files made (assemble), a webhook sent (deliver)."
    )
    steps = {name: measured.histogram(name) for name in TIMED}
    yield _histograms("kc_stage_seconds", step, "stage", steps)


def _histograms(name: str, help_: str, label: str, values: Mapping[Any, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, help_, labels=[label])
    for key, found in values.items():
        buckets = [(str(float(bound)), float(number)) for bound, number in found.cumulative]
        family.add_metric([str(key)], [*buckets, ("+Inf", found.number)], found.sum_s)
    return family


def _batch_sizes(sizes: dict[int, int]) -> Metric:
    buckets: list[tuple[str, float]] = [
        (str(float(bound)), sum(number for size, number in sizes.items() if size <= bound))
        for bound in BATCH_BUCKETS
    ]
    buckets.append(("+Inf", sum(sizes.values())))
    family = HistogramMetricFamily("kc_batch_size", "Segments in a batch.")
    family.add_metric([], buckets, sum(size * number for size, number in sizes.items()))
    return family


def _workers(snapshot: Snapshot) -> Iterator[Metric]:
    workers, engine = snapshot.workers, snapshot.engine
    family = GaugeMetricFamily(
        "kc_workers", "Workers heard of in the last seconds.", labels=["role", "state"]
    )
    counts = Counter((str(w.get("role", "")), str(w.get("state", ""))) for w in workers)
    for labels, number in sorted(counts.items()):
        family.add_metric(list(labels), number)
    yield family
    yield _gauge(
        "kc_synth_workers", "Synth workers heard of in the last seconds.", snapshot.synth_workers
    )
    yield _of_each(
        workers, "kc_worker_resident_bytes", "Memory of a worker's children.", "resident_bytes"
    )
    yield _of_each(
        workers,
        "kc_worker_start_time_seconds",
        "When a worker started, in seconds since 1970.",
        "started_at",
    )
    named = ["model", "precision", "stand_in"]
    info = GaugeMetricFamily("kc_engine_info", "1: what the cluster speaks with.", labels=named)
    if engine is not None:
        stand_in = str(engine.stand_in).lower()
        info.add_metric([engine.model, engine.precision, stand_in], 1)
    yield info


def _of_each(workers: list[dict[str, Any]], name: str, help_: str, fact: str) -> Metric:
    known = {str(worker.get("id", "")): worker[fact] for worker in workers if fact in worker}
    return _gauges(name, help_, "worker", known)


def _devices(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield what each synth worker counts since its start; the ratio is how busy it is."""
    known = [worker for worker in workers if "busy_s" in worker]
    yield _counters(
        "kc_synth_busy_seconds",
        "Time a worker's device rendered, since the worker was started.",
        "worker",
        {str(worker.get("id", "")): worker["busy_s"] for worker in known},
    )
    yield _counters(
        "kc_synth_shift_seconds",
        "Time there was something to render for it.",
        "worker",
        {str(worker.get("id", "")): worker["shift_s"] for worker in known},
    )
    yield _of_each(
        workers,
        "kc_worker_device_bytes",
        "Memory in use on a synth worker's device, by all processes.",
        "device_bytes",
    )
    yield _of_each(
        workers,
        "kc_worker_device_capacity_bytes",
        "Memory that its device has.",
        "device_total_bytes",
    )


def _redis(measured: Measured) -> Iterator[Metric]:
    state = measured.redis
    yield _gauge(
        "kc_redis_used_bytes",
        "Memory Redis uses; absent where it does not tell.",
        state.used_bytes if state else None,
    )
    yield _gauge(
        "kc_redis_limit_bytes",
        "Its `maxmemory`; 0 without one.",
        state.most_bytes if state else None,
    )
    yield _gauge("kc_redis_clients", "Connections to Redis.", state.clients if state else None)
    yield _gauge(
        "kc_redis_start_time_seconds",
        "When Redis was started, in seconds since 1970.",
        state.started_at if state else None,
    )
    yield _gauge(
        "kc_redis_answer_seconds",
        "How long Redis took to answer a question of this scrape.",
        state.answer_s if state else None,
    )
    yield _gauge(
        "kc_reconciled_age_seconds",
        "How long ago a reconciler last did its round; +Inf if never.",
        measured.reconciled_age_s,
    )
