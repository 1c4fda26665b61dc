"""Measure the engine on a CUDA device: throughput, latency, what each measure gains, and equality.

In: nothing; it makes a synthetic checkpoint of full size, and speaks the mixed corpus, or phonemes
of the same lengths where no G2P is installed. Out: tables as they are measured, targets at the end,
and with --json everything. Needs torch, numpy, and what upstream's model imports (transformers,
huggingface_hub, loguru): no Redis, no Celery. See docs/gpu-bench.md.

It is made to run unattended: each section has its own time and its own failure, and groups of them
run in processes of their own, so that a device error takes no other group with it. Exit codes: 0
measured, 1 a section failed, 2 no CUDA device.
"""

import argparse
import json
import logging
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import Cell, Report, Table, Target, options, percentile
from benchmarks.upstream import (
    Upstream,
    heard_harmonics,
    load_kmodel,
    load_network,
    log_mel_distance,
    relative_rms,
    snr_db,
)
from shared.formats import SAMPLE_RATE_HZ
from worker.engines.base import SegmentAudio
from worker.engines.checkpoint import write_checkpoint
from worker.engines.cuda import CudaRunner
from worker.engines.facts import FRAME_SAMPLES, PACK_ROWS, model_config
from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import Affine, Extent, full_float32, normalise, snake
from worker.engines.network.network import HARMONICS, Network
from worker.engines.runner import Prepared, draw_noise

GROUPS = ("main", "variants", "details")
SHARES = {"main": 0.55, "variants": 0.25, "details": 0.20}
"""Of the budget; what a group leaves goes to the next."""
ALIKE_RATIO = 1.5
"""As the ledger claims; importing it would need Redis's client."""
MIXED_LENGTHS = (
    8, 19, 25, 32, 35, 43, 47, 58, 71, 79, 88, 102, 118, 132, 157, 179, 206, 213, 238, 263, 474,
)  # fmt: skip
"""Every twentieth of the phonemes of a segment in the mixed corpus (60 texts, no chapters)."""
SHORT_PHONEMES = 40
PUBLISHED = 698.0
"""Audio seconds a second of upstream's sequential loop on an H100, the best that was published."""
TARGETS = {"exact": 1500.0, "fast": 3000.0}
FIRST_MS = 20.0
FORWARD_GFLOP = 55.0
"""Of an audio second: counted over the network's convolutions and products."""

Section = Callable[["Bench"], None]


# What is spoken


def synthetic_items(count: int, packs: Sequence[Tensor], *, seed: int = 0) -> list[Prepared]:
    """Return items whose lengths are spread as the mixed corpus's, of random phonemes."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    found = []
    for number in range(count):
        place = chance.random() * (len(MIXED_LENGTHS) - 1)
        low, high = MIXED_LENGTHS[int(place)], MIXED_LENGTHS[int(place) + 1]
        length = round(low + (place % 1) * (high - low))
        found.append(item_of(length, packs, number, chance))
    return found


def item_of(length: int, packs: Sequence[Tensor], number: int, chance: random.Random) -> Prepared:
    """Return an item of so many random phonemes."""
    ids = list(model_config()["vocab"].values())
    pack = packs[number % len(packs)]
    tokens = (0, *(chance.choice(ids) for _ in range(length)), 0)
    return Prepared(tokens, pack[min(length, PACK_ROWS) - 1].squeeze(0), 1.0, number)


def corpus_items(count: int, packs: Sequence[Tensor]) -> tuple[list[Prepared], str]:
    """Return segments of the mixed corpus as the planner makes them, and what they are."""
    # Only here, since they need the planner's packages.
    from benchmarks.corpus import MIX, describe, mixed  # noqa: PLC0415
    from shared.languages import Language  # noqa: PLC0415
    from worker.plan.planner import Planner  # noqa: PLC0415

    planner, vocab = Planner(), model_config()["vocab"]
    english = [Language.AMERICAN_ENGLISH, Language.BRITISH_ENGLISH]
    texts = mixed(200, languages=english, shares=MIX)
    found: dict[str, Prepared] = {}
    for text in texts:
        plan = planner.plan_slice(text.text, language=text.language, offset=0, final=True)
        for segment in plan.segments:
            known = [vocab[phoneme] for phoneme in segment.phonemes if phoneme in vocab]
            if known and segment.phonemes not in found:
                pack = packs[len(found) % len(packs)]
                style = pack[len(segment.phonemes) - 1].squeeze(0)
                found[segment.phonemes] = Prepared((0, *known, 0), style, 1.0, len(found))
    items = list(found.values())
    random.Random(0).shuffle(items)  # noqa: S311 - a reproducible choice, no secret
    return items[:count], describe(texts)


def claims(items: Sequence[Prepared], *, most: int, phonemes: int) -> Iterator[list[Prepared]]:
    """Yield batches as the ledger's claim bounds them: members, padded phonemes, alike lengths."""
    batch: list[Prepared] = []
    for item in sorted(items, key=lambda one: -len(one.tokens)):
        longest = len(batch[0].tokens) if batch else 0
        full = len(batch) >= most or (len(batch) + 1) * longest > phonemes
        if batch and (full or longest > ALIKE_RATIO * len(item.tokens)):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def audio_s(rendered: Sequence[SegmentAudio]) -> float:
    """Return how long it all is, in seconds."""
    return sum(audio.samples.size for audio in rendered) / SAMPLE_RATE_HZ


# The run


class OutOfTime(Exception):
    """A section has used its time."""


@dataclass
class Bench:
    """One process's measurements.

    Attributes:
        folder: of the checkpoint.
        device: `cuda:0`, or `cpu` to try the script.
        tiny: whether everything is as small as it can be.
        plain: without Triton and graphs, because they failed before.
        ends: when this process must be done, by `time.monotonic`.
        until: when the running section must be done.
    """

    folder: Path
    device: str
    tiny: bool
    plain: bool
    ends: float
    report: Report
    until: float = 0.0
    failed: list[str] = field(default_factory=list)
    headline: dict[str, float] = field(default_factory=dict)

    @property
    def on_cuda(self) -> bool:
        """Whether there is a device to speak of."""
        return self.device != "cpu"

    def count(self, full: int, tiny: int) -> int:
        """Return a size for this run."""
        return tiny if self.tiny else full

    def sync(self) -> None:
        """Wait for the device."""
        if self.on_cuda:
            torch.cuda.synchronize()

    def left_s(self) -> float:
        """Return the seconds left to the running section."""
        return self.until - time.monotonic()

    def check(self) -> None:
        """Raise `OutOfTime` where the section has used its time."""
        if self.left_s() <= 0:
            raise OutOfTime

    def timed(self, call: Callable[[], object]) -> float:
        """Return the seconds of a call, with all it asks of the device."""
        self.sync()
        began = time.perf_counter()
        call()
        self.sync()
        return time.perf_counter() - began

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Show a table at once, and keep it for the report."""
        table = Table(title, list(columns), [list(row) for row in rows])
        self.report.tables.append(table)
        print(f"\n{table.markdown()}", flush=True)

    def note(self, text: str) -> None:
        """Show a line at once, and keep it."""
        self.report.notes.append(text)
        print(f"\n- {text}", flush=True)

    @cached_property
    def packs(self) -> list[Tensor]:
        """Return the voice packs."""
        paths = sorted((self.folder / "voices").glob("*.pt"))
        return [torch.load(path, weights_only=True) for path in paths]

    @cached_property
    def items(self) -> list[Prepared]:
        """Return what is spoken: the mixed corpus."""
        count = self.count(1500, 2)
        if not self.tiny:
            try:
                found, described = corpus_items(count, self.packs)
            except Exception as error:  # whatever the planner lacks here
                self.note(f"no G2P here ({type(error).__name__}: {first_line(error)})")
            else:
                self.report.corpus = f"{described}, repeated to {count} segments"
                return [
                    Prepared(item.tokens, item.style, item.speed, number)
                    for number, item in enumerate((found * (count // len(found) + 1))[:count])
                ]
        self.report.corpus = (
            f"{count} segments of random phonemes, their lengths as in the mixed corpus"
        )
        if self.tiny:
            chance = random.Random(0)  # noqa: S311
            return [item_of(1 + i, self.packs, i, chance) for i in range(count)]
        return synthetic_items(count, self.packs)

    def short(self) -> Prepared:
        """Return a short sentence."""
        chance = random.Random(1)  # noqa: S311
        return item_of(self.count(SHORT_PHONEMES, 1), self.packs, 0, chance)

    def network(self, precision: str) -> Network:
        """Return a fresh network on the CPU."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = load_network(self.folder)
        if precision == "fast" and self.on_cuda:
            network.halve(torch.float16)
        return network

    def runner(self, precision: str, **choices: Any) -> CudaRunner:
        """Return a fresh runner, as the engine makes it but for the choices."""
        if self.plain or not self.on_cuda:
            choices = {**choices, "triton": False, "graphs": False}
        return CudaRunner(self.network(precision), self.device, precision, **choices)


def run_section(bench: Bench, name: str, section: Section, share: float) -> None:
    """Run one section within its time; what it raises is shown, and the next one runs."""
    left = bench.ends - time.monotonic()
    if left <= 1:
        bench.note(f"{name}: skipped, no time left")
        return
    bench.until = time.monotonic() + left * share
    began = time.monotonic()
    print(f"\n### {name}", flush=True)
    try:
        section(bench)
    except OutOfTime:
        bench.note(f"{name}: stopped after {time.monotonic() - began:.0f} s, its share of the time")
    except Exception as error:  # unattended: show it and go on
        traceback.print_exc()
        bench.failed.append(name)
        bench.note(f"{name}: FAILED, {type(error).__name__}: {first_line(error)}")
    if bench.on_cuda:
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:
            bench.note(f"the device does not answer after {name}: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """Return what an exception says, shortly."""
    return str(error).splitlines()[0][:300] if str(error) else "no message"


# Main: what was promised


def measure_throughput(
    bench: Bench, runner: CudaRunner, batches: list[list[Prepared]]
) -> tuple[float, float, float, float]:
    """Return how long all batches took at first, and audio s/s, audio s, s of a second pass.

    cuDNN plans each new shape, once in a process; a worker lives for many batches.
    """
    began = time.perf_counter()
    if not bench.tiny:
        for batch in batches:
            runner.run(batch)
            bench.check()
    first = time.perf_counter() - began
    spoken = 0.0
    bench.sync()
    began = time.perf_counter()
    for batch in batches:
        spoken += audio_s(runner.run(batch))
        if bench.left_s() <= 0:
            break
    took = time.perf_counter() - began
    return first, spoken / took, spoken, took


def upstream_loop(bench: Bench) -> None:
    """Measure upstream as its users run it: one segment after another, audio to the host."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load_kmodel(bench.folder).to(bench.device)
    items = bench.items[: bench.count(120, 1)]

    def speak(item: Prepared) -> int:
        style = item.style.unsqueeze(0).to(bench.device)
        tokens = torch.tensor([item.tokens], device=bench.device)
        audio, _ = model.forward_with_tokens(tokens, style, item.speed)
        return int(audio.cpu().numel())

    for item in [*items[: bench.count(20, 0)], bench.short()]:
        speak(item)
    latencies = [1e3 * bench.timed(lambda: speak(bench.short())) for _ in range(bench.count(30, 1))]
    spoken = 0
    bench.sync()
    began = time.perf_counter()
    for item in items:
        spoken += speak(item)
        if bench.left_s() <= 0:
            break
    took = time.perf_counter() - began
    rate = spoken / SAMPLE_RATE_HZ / took
    bench.headline["upstream_audio_s_per_s"] = rate
    bench.note(
        f"upstream's loop here: {rate:,.0f} audio-s/s; the best published: {PUBLISHED:,.0f} (H100)"
    )
    bench.table(
        "Upstream's own loop: eager, batch 1, this device",
        ["audio-s/s", "audio s", "took s", "short sentence p50 ms", "p99 ms"],
        [
            [
                rate,
                spoken / SAMPLE_RATE_HZ,
                took,
                percentile(latencies, 50),
                percentile(latencies, 99),
            ]
        ],
    )


def precision_section(precision: str) -> Section:
    """Return the section that measures a precision: load, throughput, latency, equality, memory."""

    def section(bench: Bench) -> None:
        began = time.monotonic()
        runner = bench.runner(precision)
        took = time.monotonic() - began
        bench.note(
            f"{precision}: kernels: {runner.kernels_state}; graphs: {runner.graphs.state}; made in "
            f"{took:.1f} s; batch_most {runner.batch_most}, batch_phonemes {runner.batch_phonemes}"
        )
        bench.headline[f"{precision}_load_s"] = took
        if bench.on_cuda:
            torch.cuda.reset_peak_memory_stats()
        rows: list[list[Cell]] = []
        # 8 is `KC_BATCH_MAX` unless it is raised.
        for most in (runner.batch_most, 8)[: bench.count(2, 1)]:
            batches = list(claims(bench.items, most=most, phonemes=runner.batch_phonemes))
            random.Random(0).shuffle(batches)  # noqa: S311
            first, rate, spoken, seconds = measure_throughput(bench, runner, batches)
            if most == runner.batch_most:
                bench.headline[f"{precision}_audio_s_per_s"] = rate
            peak = torch.cuda.max_memory_allocated() / 2**30 if bench.on_cuda else None
            rows.append(
                [most, rate, spoken, seconds, first, len(batches), rate * FORWARD_GFLOP / 1e3, peak]
            )
        bench.table(
            f"Throughput on the mixed corpus, {precision}",
            [
                "batch_most",
                "audio-s/s",
                "audio s",
                "took s",
                "first pass s",
                "batches",
                "TFLOP/s",
                "peak GiB",
            ],
            rows,
        )
        latency_of(bench, runner, precision)
        memory_of(bench, runner, precision)

    return section


def latency_of(bench: Bench, runner: CudaRunner, precision: str) -> None:
    """Measure a short sentence by itself, and after another thread's worth of idling."""
    item = bench.short()
    rows: list[list[Cell]] = []
    for name, one in (("as it is", runner), ("no graphs", without_graphs(runner))):
        for _ in range(bench.count(5, 0)):
            one.run([item])
        times = []
        for _ in range(bench.count(200, 1)):
            times.append(1e3 * bench.timed(lambda one=one: one.run([item])))  # type: ignore[misc]
            bench.check()
        rows.append([name, percentile(times, 50), percentile(times, 99), min(times)])
        if one is runner:
            bench.headline[f"{precision}_first_p50_ms"] = percentile(times, 50)
            bench.headline[f"{precision}_first_p99_ms"] = percentile(times, 99)
    bench.table(
        f"A short sentence ({len(item.tokens)} tokens), from tokens to the host, {precision}",
        ["graphs", "p50 ms", "p99 ms", "least ms"],
        rows,
    )


def without_graphs(runner: CudaRunner) -> CudaRunner:
    """Return the same runner, its graphs not found."""
    other = object.__new__(CudaRunner)
    other.__dict__.update(runner.__dict__)
    other.graphs = type(runner.graphs)(None)
    return other


def memory_of(bench: Bench, runner: CudaRunner, precision: str) -> None:
    """Measure memory over a thousand segments, and what emptying the cache after a task costs."""
    if not bench.on_cuda:
        return
    items = bench.items[:1000]
    batches = list(claims(items, most=32, phonemes=runner.batch_phonemes))
    held: list[float] = []
    for batch in batches:
        runner.run(batch)
        held.append(torch.cuda.memory_allocated() / 2**20)
        bench.check()
    reserved = torch.cuda.memory_reserved() / 2**20
    emptying = 1e3 * bench.timed(torch.cuda.empty_cache)
    kept = torch.cuda.memory_reserved() / 2**20
    middle = batches[len(batches) // 2]
    cold = 1e3 * bench.timed(lambda: runner.run(middle))
    warm = 1e3 * statistics.median(bench.timed(lambda: runner.run(middle)) for _ in range(3))
    bench.headline[f"{precision}_memory_growth_mib"] = held[-1] - held[len(held) // 2]
    bench.table(
        f"Memory over {len(items)} segments, and a task's end, {precision}",
        [
            "allocated first MiB", "half-way", "last", "reserved", "after empty_cache",
            "empty_cache ms", "next batch ms", "usual ms",
        ],
        [[held[0], held[len(held) // 2], held[-1], reserved, kept, emptying, cold, warm]],
    )  # fmt: skip


@torch.no_grad()
def equality(bench: Bench) -> None:
    """Compare with upstream on this device, each item alone, and in one padded batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        upstream = Upstream(load_kmodel(bench.folder).to(bench.device))
    items = sorted(bench.items[: bench.count(24, 1)], key=lambda item: len(item.tokens))
    rows: list[list[Cell]] = []
    references = []
    found = Compared()
    for item in items:
        with full_float32():
            right = upstream(item)
        references.append(right)
        found.add_durations(upstream(item).durations, right.durations)
        found.add_samples(upstream(item, right.harmonics).samples, right.samples)
        bench.check()
    rows.append(["upstream as it comes", *found.row()])
    for precision in TARGETS:
        runner = bench.runner(precision, warm_up_s=0.0)
        found = Compared()
        for item, audio, right in zip(items, runner.run(items), references, strict=True):
            found.add_durations(audio.durations, right.durations)
            _, samples = render_alone(runner._network, item, right.harmonics)
            found.add_samples(samples, right.samples)
            found.add_sound(torch.from_numpy(audio.samples.copy()), right.samples)
            bench.check()
        rows.append([precision, *found.row()])
        bench.headline[f"{precision}_durations_same"] = found.same / max(1, found.items)
    bench.table(
        "Against upstream in full float32 on this device; the worst of the items",
        [
            "what", "items", "same durations", "relative RMS, same source", "SNR dB, same source",
            "log-mel distance, own source",
        ],
        rows,
    )  # fmt: skip


class Compared:
    """How far renderings are from their references."""

    def __init__(self) -> None:
        self.items = self.same = 0
        self._errors: list[float] = []
        self._ratios: list[float] = []
        self._distances: list[float] = []

    def add_durations(self, got: Any, right: Tensor) -> None:
        """Compare durations, a tensor's or an array's."""
        self.items += 1
        self.same += list(map(int, got.flatten())) == right.flatten().tolist()

    def add_samples(self, got: Tensor, right: Tensor) -> None:
        """Compare samples that were made from the same source, if they are as many."""
        if got.numel() == right.numel():
            self._errors.append(relative_rms(got.cpu(), right.cpu()))
            self._ratios.append(snr_db(got.cpu(), right.cpu()))

    def add_sound(self, got: Tensor, right: Tensor) -> None:
        """Compare sounds whose sources may have drifted apart, if they are as long."""
        if got.numel() == right.numel():
            self._distances.append(log_mel_distance(got, right.cpu()))

    def row(self) -> list[Cell]:
        """Return the worst of each."""
        return [
            self.items,
            self.same,
            f"{max(self._errors):.1e}" if self._errors else None,
            min(self._ratios, default=None),
            max(self._distances, default=None),
        ]


def render_alone(network: Network, item: Prepared, harmonics: Tensor) -> tuple[Tensor, Tensor]:
    """Return an item's durations and samples, the vocoder hearing the given source."""
    device = harmonics.device
    style = item.style.unsqueeze(0).to(device)
    spoken = network.text(
        torch.tensor([item.tokens], device=device),
        torch.tensor([len(item.tokens)], device=device),
        style,
        torch.tensor([item.speed], device=device),
        full=True,
    )
    frames = spoken.durations.sum(1)
    width = int(frames)
    noise = torch.empty(1, HARMONICS, FRAME_SAMPLES * width, device=device)
    draw_noise(item.seed, noise[0], width)
    given = harmonics if harmonics.shape[1] == width * 120 + 1 else None
    with heard_harmonics(network, given):
        samples = network.speech(spoken, frames, width, style, noise, full=True)
    return spoken.durations[0], samples[0]


# Variants: what each measure gains

Variant = tuple[str, str, dict[str, Any], Callable[[CudaRunner], None]]
"""Precision, name, choices of the runner, and what is changed in it."""


class CompiledKernels(Kernels):
    """The plain form as `torch.compile` fuses it."""

    name = "compiled"

    def __init__(self, backend: str) -> None:
        self._snake = torch.compile(_masked_snake, dynamic=True, backend=backend)

    def norm_snake(self, x: Tensor, extent: Extent, affine: Affine, alpha: Tensor) -> Tensor:
        """Return Snake of the styled norm."""
        found: Tensor = self._snake(x, extent.lengths, affine[0], affine[1], alpha)
        return found


def _masked_snake(
    x: Tensor, lengths: Tensor, scale: Tensor, shift: Tensor, alpha: Tensor
) -> Tensor:
    extent = Extent(lengths, x.shape[1], full=False)
    return snake(normalise(x, extent, (scale, shift)), alpha).to(x.dtype)


def variants(bench: Bench) -> None:
    """Measure one large and one middling batch with each choice, none with graphs."""
    size, phonemes = bench.count(32, 1), bench.count(150, 1)
    chance = random.Random(2)  # noqa: S311
    large = [item_of(phonemes, bench.packs, i, chance) for i in range(size)]
    backend = "inductor" if bench.on_cuda else "eager"

    def compiled(runner: CudaRunner) -> None:
        runner._network.kernels = CompiledKernels(backend)

    def tuned(_: CudaRunner) -> None:
        torch.backends.cudnn.benchmark = True

    cases: list[Variant] = [
        ("fast", "Triton", {}, lambda _: None),
        ("fast", "plain kernels", {"triton": False}, lambda _: None),
        ("exact", "Triton", {}, lambda _: None),
        ("exact", "plain kernels", {"triton": False}, lambda _: None),
        ("fast", "Triton, two streams for LSTMs", {"two_streams": True}, lambda _: None),
        ("fast", "torch.compile for norm and Snake", {"triton": False}, compiled),
        ("fast", "Triton, cuDNN tuned for the shape", {}, tuned),
    ]
    rows: list[list[Cell]] = []
    try:
        for case in cases if not bench.tiny else cases[5:]:
            bench.check()
            rows.append(measure_variant(bench, case, large))
    finally:
        torch.backends.cudnn.benchmark = False
        bench.table(
            f"{size} segments of {phonemes} phonemes, no graphs",
            ["precision", "kernels", "ran", "audio-s/s", "text ms", "all ms", "first call s"],
            rows,
        )


def measure_variant(bench: Bench, case: Variant, items: list[Prepared]) -> list[Cell]:
    """Return a row; a variant that fails has its reason in it."""
    precision, name, choices, change = case
    try:
        runner = bench.runner(precision, graphs=False, **choices)
        change(runner)
        first = bench.timed(lambda: runner.run(items))
        spoken = audio_s(runner.run(items)) if not bench.tiny else 1.0
        times = [bench.timed(lambda: runner.run(items)) for _ in range(bench.count(5, 1))]
        with torch.no_grad():
            text = [bench.timed(lambda: runner._say(items)) for _ in range(bench.count(5, 1))]
        took = statistics.median(times)
        ran = runner._network.kernels.name
        return [
            precision, name, ran, spoken / took, 1e3 * statistics.median(text), 1e3 * took, first,
        ]  # fmt: skip
    except Exception as error:  # a compiler that is absent, an option that a version lacks
        reason = f"{type(error).__name__}: {first_line(error)}"[:120]
        return [precision, name, reason, None, None, None, None]


def batch_table(bench: Bench) -> None:
    """Measure batches of every size and length."""
    runner = bench.runner("fast", graphs=False)
    sizes, lengths = (1, 4, 8, 16, 32, 64), (20, 60, 120, 250, 500)
    if bench.tiny:
        sizes, lengths = (1,), (1,)  # type: ignore[assignment]
    rows: list[list[Cell]] = []
    try:
        for length in lengths:
            row: list[Cell] = [length]
            rows.append(row)
            for size in sizes:
                bench.check()
                chance = random.Random(size)  # noqa: S311
                items = [item_of(length, bench.packs, i, chance) for i in range(size)]
                spoken = audio_s(runner.run(items))
                again = range(bench.count(2, 1))
                row.append(spoken / min(bench.timed(lambda: runner.run(items)) for _ in again))  # noqa: B023
    finally:
        padded = [[*row, *[None] * (len(sizes) + 1 - len(row))] for row in rows]
        bench.table(
            "fast: audio-s/s by phonemes of a segment and segments of a batch, no graphs",
            ["phonemes", *map(str, sizes)],
            padded,
        )


# Details: where the time goes


@torch.no_grad()
def convolutions(bench: Bench) -> None:
    """Measure the generator's convolutions by themselves, in both layouts and types."""
    rows: list[list[Cell]] = []
    items, seconds = bench.count(32, 1), bench.count(6, 1)
    types = (torch.float16, torch.bfloat16, torch.float32) if bench.on_cuda else (torch.float32,)
    stages = ((256, 800), (128, 4800)) if not bench.tiny else ((16, 80),)
    try:
        for channels, rate in stages:
            for taps, dilation in ((3, 1), (7, 3), (11, 5)):
                row: list[Cell] = [f"{channels} at {rate}/s", f"{taps} x {dilation}"]
                for dtype in types:
                    for last in (True, False):
                        bench.check()
                        shape = (items, channels, rate * seconds, taps, dilation)
                        row.append(convolution(bench, shape, dtype, last=last))
                rows.append(row)
    finally:
        heads = [f"{str(t)[6:]} {way}" for t in types for way in ("channels last", "first")]
        bench.table(
            f"Convolutions alone, {items} segments of {seconds} s, TFLOP/s (float32 in TF32)",
            ["channels", "taps x dilation", *heads],
            [[*row, *[None] * (2 + len(heads) - len(row))] for row in rows],
        )


def convolution(
    bench: Bench, shape: tuple[int, int, int, int, int], dtype: torch.dtype, *, last: bool
) -> float:
    """Return TFLOP/s of a convolution of `shape`: items, channels, steps, taps, dilation."""
    items, channels, steps, taps, dilation = shape
    layout = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(items, channels, 1, steps, device=bench.device).to(dtype, memory_format=layout)
    weight = torch.randn(channels, channels, 1, taps, device=bench.device)
    weight = weight.to(dtype, memory_format=layout)
    pad = dilation * (taps - 1) // 2

    def call() -> Tensor:
        return torch.nn.functional.conv2d(x, weight, None, 1, (0, pad), (1, dilation))

    call()
    times = bench.count(10, 1)
    took = bench.timed(lambda: [call() for _ in range(times)]) / times
    return 2 * items * steps * channels * channels * taps / took / 1e12


def profile(bench: Bench) -> None:
    """Show the kernels that take longest, for a large batch of each precision."""
    from torch.profiler import ProfilerActivity  # noqa: PLC0415
    from torch.profiler import profile as record  # noqa: PLC0415

    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if bench.on_cuda else [])
    chance = random.Random(3)  # noqa: S311
    items = [
        item_of(bench.count(150, 1), bench.packs, i, chance) for i in range(bench.count(32, 1))
    ]
    for precision in TARGETS:
        bench.check()
        runner = bench.runner(precision, graphs=False)
        runner.run(items)
        with record(activities=kinds) as found:
            runner.run(items)
            bench.sync()
        name = "self_device_time_total" if bench.on_cuda else "self_cpu_time_total"
        events = [event for event in found.key_averages() if getattr(event, name, 0) > 0]
        total = sum(getattr(event, name) for event in events) or 1
        events.sort(key=lambda event: -getattr(event, name))
        bench.table(
            f"Where the device's time goes, {precision} ({total / 1e3:.1f} ms in all)",
            ["kernel", "calls", "ms", "share %"],
            [
                [e.key[:90].replace("|", "/"), e.count, getattr(e, name) / 1e3,
                 100 * getattr(e, name) / total]
                for e in events[:15]
            ],
        )  # fmt: skip


def norm_bandwidth(bench: Bench) -> None:
    """Measure norm and Snake by themselves, as bytes that must be moved at least, a second."""
    from worker.engines.cuda import make_triton_kernels  # noqa: PLC0415

    channels, steps, items = (128, 4800 * 6, 32) if not bench.tiny else (16, 64, 2)
    forms: list[tuple[str, Callable[[], Kernels]]] = [
        ("plain", Kernels),
        ("torch.compile", lambda: CompiledKernels("inductor" if bench.on_cuda else "eager")),
    ]
    if bench.on_cuda and not bench.plain:
        forms.insert(1, ("Triton", lambda: make_triton_kernels(torch.device(bench.device))))
    rows: list[list[Cell]] = []
    for name, make in forms:
        row: list[Cell] = [name]
        for dtype in (torch.float16, torch.float32):
            bench.check()
            try:
                kernels = make()
                x = torch.randn(items, steps, channels, device=bench.device).to(dtype)
                style = torch.randn(items, channels, device=bench.device)
                alpha = torch.ones(channels, device=bench.device)
                lengths = torch.full((items,), steps, device=bench.device)
                extent = Extent(lengths, steps, full=False)

                def call() -> Tensor:
                    return kernels.norm_snake(x, extent, (style, style), alpha)  # noqa: B023

                call()
                times = bench.count(10, 1)
                took = bench.timed(lambda: [call() for _ in range(times)]) / times  # noqa: B023
                row += [1e3 * took, 3 * x.numel() * x.element_size() / took / 1e12]
            except Exception as error:  # a compiler that is absent
                bench.note(f"norm and Snake, {name}: {type(error).__name__}: {first_line(error)}")
                row += [None, None]
        rows.append(row)
    bench.table(
        f"Norm and Snake alone, {items} x {steps} x {channels}: read twice, written once",
        ["form", "float16 ms", "TB/s", "float32 ms", "TB/s"],
        rows,
    )


SECTIONS: dict[str, list[tuple[str, Section, float]]] = {
    "main": [
        ("upstream's loop", upstream_loop, 0.2),
        ("fast", precision_section("fast"), 0.45),
        ("exact", precision_section("exact"), 0.65),
        ("equality", equality, 1.0),
    ],
    "variants": [("variants", variants, 0.6), ("batches", batch_table, 1.0)],
    "details": [
        ("convolutions", convolutions, 0.4),
        ("norm and Snake", norm_bandwidth, 0.5),
        ("profile", profile, 1.0),
    ],
}


# Processes


def measure_groups(groups: Sequence[str], bench: Bench) -> None:
    """Run groups of sections in this process."""
    torch.set_float32_matmul_precision("highest")
    if bench.tiny:
        torch.set_num_threads(1)  # a trial beside other work: threads would wait for each other
    if bench.on_cuda:
        torch.backends.cudnn.allow_tf32 = True
        torch.cuda.set_device(torch.device(bench.device))
    for group in groups:
        for name, section, share in SECTIONS[group]:
            run_section(bench, name, section, share)


def targets(headline: dict[str, float]) -> list[Target]:
    """Return what was promised beside what was measured."""
    got = headline.get
    return [
        *(
            Target(f"{p}: audio-s/s, mixed corpus", got(f"{p}_audio_s_per_s"), least=least)
            for p, least in TARGETS.items()
        ),
        *(
            Target(
                f"{p}: first segment of a short sentence, p50 ms",
                got(f"{p}_first_p50_ms"),
                most=FIRST_MS,
            )
            for p in TARGETS
        ),
        *(
            Target(f"{p}: durations as upstream's, share", got(f"{p}_durations_same"), least=1.0)
            for p in TARGETS
        ),
    ]


def child(
    arguments: argparse.Namespace, group: str, folder: Path, left_s: float, plain: bool
) -> Any:
    """Run a group in a process of its own; return what it found, or None where it died."""
    path = folder / f"{group}{'-plain' if plain else ''}.json"
    command = [
        sys.executable, "-m", "benchmarks.gpu", "--group", group, "--folder", str(folder),
        "--device", arguments.device, "--budget-s", str(left_s), "--json", str(path),
    ]  # fmt: skip
    command += ["--plain"] if plain else []
    command += ["--tiny"] if arguments.tiny else []
    try:
        subprocess.run(command, check=False, timeout=left_s + 60)  # noqa: S603 - this very script
    except subprocess.TimeoutExpired:
        print(f"\n- {group}: stopped, it overran its time", flush=True)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@contextmanager
def checkpoint(arguments: argparse.Namespace) -> Iterator[Path]:
    """Give a folder with the checkpoint in `model`."""
    if arguments.folder is not None:
        yield arguments.folder
        return
    folder = Path(tempfile.mkdtemp(prefix="kokoro-gpu-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_checkpoint(folder / "model", size="tiny" if arguments.tiny else "full")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_report(arguments: argparse.Namespace) -> Report:
    """Return an empty report."""
    report = Report(
        name="gpu",
        title="the engine on a CUDA device",
        corpus="",
        precision="exact and fast",
        quick=bool(arguments.quick or arguments.tiny),
    )
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    report.notes.append(
        f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN "
        f"{cudnn}, C compiler (Triton needs one): {compiler or 'none'}"
    )
    return report


def save(report: Report, bench_like: dict[str, Any], path: Path | None) -> None:
    """Write what there is so far."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**report.as_json(), **bench_like}, indent=1, default=str)
        path.write_text(text + "\n", encoding="utf-8")


def run_here(arguments: argparse.Namespace, folder: Path, groups: Sequence[str]) -> Bench:
    """Measure in this process, writing down each group as it ends."""
    bench = Bench(
        folder / "model",
        arguments.device,
        arguments.tiny,
        arguments.plain,
        time.monotonic() + arguments.budget_s,
        make_report(arguments),
    )
    for group in groups:
        measure_groups([group], bench)
        found = {"headline": bench.headline, "failed": bench.failed}
        save(bench.report, found, arguments.json)
    return bench


def run_apart(
    arguments: argparse.Namespace, folder: Path
) -> tuple[Report, dict[str, float], list[str]]:
    """Measure each group in a process of its own, and put together what they found."""
    report = make_report(arguments)
    headline: dict[str, float] = {}
    failed: list[str] = []
    ends, waiting = time.monotonic() + arguments.budget_s, sum(SHARES.values())
    plain = False
    for group in GROUPS:
        left = ends - time.monotonic()
        found = child(arguments, group, folder, left * SHARES[group] / waiting, plain)
        if group == "main" and (found is None or found["failed"]):
            # Whatever a kernel or a graph broke, the plain forms can still be measured.
            failed.append("main, with all")
            plain = found is None or "fast_audio_s_per_s" not in found["headline"]
            if plain:
                left = ends - time.monotonic()
                found = child(arguments, group, folder, left * 0.6, True) or found
        waiting -= SHARES[group]
        if found is None:
            failed.append(group)
            continue
        headline |= found["headline"]
        failed += found["failed"]
        report.corpus = report.corpus or found["corpus"]
        report.notes += found["notes"][1:]
        report.machine = found["machine"]
        report.tables += [Table(**table) for table in found["tables"]]
        save(report, {"headline": headline, "failed": failed}, arguments.json)
    return report, headline, failed


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = options(__doc__)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu to try the script")
    parser.add_argument("--tiny", action="store_true", help="a tiny checkpoint, all sizes least")
    parser.add_argument("--budget-s", type=float, default=480.0, help="seconds for everything")
    parser.add_argument("--plain", action="store_true", help="without Triton and CUDA graphs")
    parser.add_argument("--apart", action="store_true", help="groups in processes on a CPU too")
    parser.add_argument("--group", choices=GROUPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.budget_s = min(arguments.budget_s, 120.0)
    return arguments


def main() -> int:
    """Measure; return the exit code."""
    arguments = parse()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    if arguments.device != "cpu" and not torch.cuda.is_available():
        print("bench-gpu needs a CUDA device, and torch sees none; nothing was measured.")
        return 2
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    with checkpoint(arguments) as folder:
        if arguments.group or (arguments.device == "cpu" and not arguments.apart):
            groups = [arguments.group] if arguments.group else list(GROUPS)
            bench = run_here(arguments, folder, groups)
            report, headline, failed = bench.report, bench.headline, bench.failed
        else:
            report, headline, failed = run_apart(arguments, folder)
    if arguments.group:
        return 1 if failed else 0
    report.targets = targets(headline)
    report.figures = dict(headline)
    save(report, {"headline": headline, "failed": failed}, arguments.json)
    summary = Report(**{**vars(report), "tables": []})
    print("\n" + summary.markdown(), flush=True)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
