"""The engine alone on this machine's CPU: its speed beside upstream's, memory, and recycling.

In: nothing but the corpus. Out: audio-seconds a second of upstream's eager `KModel` and of our
engine, by precision and length; resident memory over a thousand segments; what replacing the
process costs; how near the audio is to upstream's; with `--profile`, where the time goes.

Each side is a process of its own with the same number of threads; they take turns within one run,
so that whatever else the machine does meets them alike. Weights are synthetic, of full size: their
speed is the real model's. Segments are the corpus's, through the real planner, cut where a length
class wants them shorter.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.corpus import describe
from benchmarks.report import Cell, Report, Table, Target, options
from benchmarks.rig import ROOT, peak_resident_mib, resident_mib, run_module, workplace
from benchmarks.system import choose, plan
from shared.settings import Settings
from worker.engines import SPINS
from worker.engines.base import MAX_PHONEMES

EXACT = "exact"
UPSTREAM = "upstream"
MIXED = "mixed corpus"
FASTER_LEAST = {"exact": 1.7, "fast": 4.0}
"""Times upstream; `fast` on a processor with bfloat16 units."""
MEMORY_MOST_MIB = 1.6 * 1024
GROWTH_MOST_MIB = 50.0
RECYCLE_SHARE_MOST = 0.02
ANSWER_WITHIN_S = 600.0
PATIENCE = 3
"""On a machine that is busy with other things a class gets one round rather than an hour."""
PART_LEAST_SHARE = 0.005
Segment = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        checkpoint: of which size.
        precisions: of our engine; `exact` is among them.
        classes: name → phonemes and number of its segments.
        mixed: segments of the mixed corpus.
        rounds: each side's turns in each class, at least and at most.
        class_s: no further round once a class has taken so long.
        segments: counts at which memory is read.
        upstream_segments: rendered by upstream's bare loop.
        memory_s: the loop ends early after so long.
        items: compared with upstream in float32; none: nothing is compared.
    """

    checkpoint: str
    precisions: tuple[str, ...]
    classes: dict[str, tuple[int, int]]
    mixed: int
    rounds: tuple[int, int]
    class_s: float
    segments: tuple[int, ...]
    upstream_segments: int
    memory_s: float
    items: int


FULL = Size(
    checkpoint="full",
    precisions=(EXACT, "fast"),
    classes={"about 1 s": (14, 4), "about 3 s": (42, 2), "about 8 s": (115, 1), "25 s": (360, 1)},
    mixed=4,
    rounds=(2, 5),
    class_s=30.0,
    segments=(100, 500, 1000),
    upstream_segments=100,
    memory_s=270.0,
    items=6,
)
QUICK = Size(
    checkpoint="tiny",
    precisions=(EXACT,),
    classes={"about 1 s": (14, 2)},
    mixed=1,
    rounds=(1, 1),
    class_s=5.0,
    segments=(4, 8, 12),
    upstream_segments=4,
    memory_s=10.0,
    items=0,  # the unit tests hold the tiny checkpoint to more
)


# The two sides


def _spinning(side: str) -> dict[str, str]:
    """Return the environment: OpenMP as a worker sets it for us, as it comes for upstream."""
    ours = {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": SPINS}
    return {**os.environ, **({} if side == UPSTREAM else ours)}


class Side:
    """A long-lived process that renders when told to."""

    def __init__(self, model: Path, side: str, precision: str, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.engine_side", "--side", side]
        command += ["--model", str(model), "--precision", precision, "--threads", str(threads)]
        began = time.perf_counter()
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**_spinning(side), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        )
        try:
            self.facts = self._answer()
        except BaseException:
            self.stop()
            raise
        self.start_s = time.perf_counter() - began

    def ask(self, do: str, **turn: Any) -> dict[str, Any]:
        """Give it a turn and wait for its end."""
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        self.process.stdin.write(json.dumps({"do": do, **turn}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a side ended with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """End it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def side_of(model: Path, name: str, threads: int) -> Iterator[Side]:
    """Run upstream, or our engine in a precision, for the length of a block."""
    side = Side(model, UPSTREAM if name == UPSTREAM else "ours", name, threads)
    try:
        yield side
    finally:
        side.stop()


# What is spoken


def cut(segments: Sequence[Segment], phonemes: int, count: int, chance: random.Random) -> list[Any]:
    """Return so many segments of so many phonemes: beginnings of longer ones, joined if need be."""
    found = []
    for number in range(count):
        one = chance.choice(segments)
        whole = one["phonemes"]
        while len(whole) < phonemes:
            whole += f" {chance.choice(segments)['phonemes']}"
        found.append({**one, "phonemes": whole[:phonemes], "seed": number})
    return found


def short_segments(segments: Sequence[Segment], count: int, chance: random.Random) -> list[Any]:
    """Return prompts of 3 to 25 phonemes, every hundredth of 120: a new length nearly each time."""
    lengths = [120 if n % 100 == 99 else int(3 * 8 ** chance.random()) for n in range(count)]
    return [cut(segments, length, 1, chance)[0] for length in lengths]


# Speed


@dataclass
class Speed:
    """One way of rendering one length class.

    Attributes:
        side: upstream, or a precision of ours.
        batched: whether a single call got the whole list.
        rates: audio-seconds a second of each round.
        audio_s: of one round.
    """

    side: str
    batched: bool
    rates: list[float] = field(default_factory=list)
    audio_s: float = 0.0

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


def take_turns(sides: dict[str, Side], segments: list[Segment], size: Size) -> list[Speed]:
    """Let each side render the same segments, round after round, and time it."""
    ways = [Speed(name, False) for name in sides]
    if len(segments) > 1:
        ways += [Speed(name, True) for name in sides if name != UPSTREAM]
    for side in sides.values():  # what is done once for a shape, or for a voice, is done now
        side.ask("render", segments=segments[:1])
    least, most = size.rounds
    began = time.monotonic()
    for number in range(most):
        took_s = time.monotonic() - began
        if took_s > (size.class_s if number >= least else PATIENCE * size.class_s):
            break
        # Who begins changes, lest one always meet the caches that another left.
        for way in ways if number % 2 == 0 else reversed(ways):
            found = sides[way.side].ask("render", segments=segments, batched=way.batched)
            way.rates.append(found["audio_s"] / found["took_s"])
            way.audio_s = found["audio_s"]
    return ways


def speed_table(found: dict[str, list[Speed]]) -> Table:
    """Return the speeds with their ratios to upstream's, round by round."""
    rows: list[list[Cell]] = []
    for name, ways in found.items():
        base = next(way for way in ways if way.side == UPSTREAM)
        for way in ways:
            ratios = _ratios(way, base)
            rows.append(
                [
                    name,
                    way.side + (", one call for all" if way.batched else ", one by one"),
                    way.audio_s,
                    way.rate,
                    _range(way.rates),
                    statistics.median(ratios),
                    _range(ratios),
                    len(way.rates),
                ]
            )
    columns = ["length", "side", "audio s", "audio-s/s", "min–max"]
    return Table("Speed", [*columns, "beside upstream", "min–max", "rounds"], rows)


def _ratios(way: Speed, base: Speed) -> list[float]:
    return [a / b for a, b in zip(way.rates, base.rates, strict=True)]


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f}–{max(values):.2f}"


# Memory


def memory(model: Path, name: str, threads: int, todo: list[Segment], size: Size) -> dict[str, Any]:
    """Render short segments one after another in a fresh process and watch its memory."""
    marks = size.segments if name != UPSTREAM else (size.upstream_segments,)
    with side_of(model, name, threads) as side:
        pid = side.process.pid
        found: dict[str, Any] = {
            "start_s": side.start_s,
            "load_s": side.facts["load_s"],
            "loaded_mib": resident_mib(pid),
        }
        at: dict[int, float] = {}
        began, done, rendered_s, released_s = time.monotonic(), 0, 0.0, 0.0
        for mark in marks:
            while done < mark and time.monotonic() - began < size.memory_s:
                step = min(mark - done, 10)
                rendered_s += side.ask("render", segments=todo[done : done + step])["took_s"]
                done += step
                if name != UPSTREAM:  # as a worker does when a task is over
                    released_s += side.ask("release")["took_s"]
            at[done] = resident_mib(pid)
        found |= {"resident_mib": at, "peak_mib": peak_resident_mib(pid), "segments": done}
        if name != UPSTREAM:
            longest = {**todo[0], "phonemes": ("ə" * MAX_PHONEMES)}
            side.ask("render", segments=[longest])
            found["after_the_longest_mib"] = resident_mib(pid)
            found["peak_of_the_longest_mib"] = peak_resident_mib(pid)
            found |= {"rendered_s": rendered_s, "released_s": released_s}
    counts = sorted(at)
    found["growth_mib"] = at[counts[-1]] - at[counts[0]]
    return found


def memory_table(found: dict[str, dict[str, Any]]) -> Table:
    """Return resident memory as it went."""
    rows: list[list[Cell]] = []
    for name, one in found.items():
        at = ", ".join(f"{count:,}: {mib:,.0f}" for count, mib in one["resident_mib"].items())
        counts = sorted(one["resident_mib"])
        hundreds = (counts[-1] - counts[0]) / 100
        slope = one["growth_mib"] / hundreds if hundreds else None
        longest = one.get("peak_of_the_longest_mib")
        rows.append([name, one["loaded_mib"], at, slope, one["peak_mib"], longest])
    columns = ["side", "after loading", "after so many segments", "slope, MiB per 100", "peak"]
    columns.append(f"peak with one of {MAX_PHONEMES} phonemes")
    return Table("Resident memory, MiB", columns, rows)


# Recycling


def recycling(
    ours: dict[str, Any], task_s: float, upstream: dict[str, Any]
) -> tuple[Table, float, float]:
    """Return a table, and what memory's release and a new process take of the time, together.

    Args:
        ours: what `memory` found.
        task_s: one task's rendering.
        upstream: what `memory` found of upstream.
    """
    settings = Settings()
    tasks = settings.recycle_after_jobs * (1 - settings.recycle_jitter / 2)
    started = ours["start_s"] / (tasks * task_s)
    released = ours["released_s"] / ours["rendered_s"]
    rows: list[list[Cell]] = [
        ["a fresh process until its engine is loaded, s", ours["start_s"]],
        ["of it, loading the engine, s", ours["load_s"]],
        ["the same of upstream's bare model, s", upstream["start_s"]],
        ["release_memory() after every ten short segments, s in all", ours["released_s"]],
        ["rendering them, s", ours["rendered_s"]],
        ["a task: one segment of the mixed corpus, s", task_s],
        ["tasks until a process is replaced, on average", tasks],
        ["share of the time: new processes", f"{started:.3%}"],
        ["share of the time: releasing", f"{released:.4%}"],
    ]
    return Table("Recycling", ["", ""], rows), started, released


# Where the time goes


def profile_tables(sides: dict[str, Side], segments: list[Segment]) -> list[Table]:
    """Return for each side what its parts take, and how fast their convolutions run.

    The operations counted are upstream's, and so a kernel that needs fewer shows as a faster one.
    """
    tables = []
    work: dict[str, float] = {}
    for name, side in sides.items():
        side.ask("render", segments=segments)
        found = side.ask("profile", segments=segments)
        work = work or found["part_gflop"]
        known = sum(found["part_s"].values())
        rows: list[list[Cell]] = []
        for part, seconds in sorted(found["part_s"].items(), key=lambda item: -item[1]):
            share, done = seconds / found["took_s"], work.get(part)
            if share >= PART_LEAST_SHARE:
                rows.append([part, seconds, f"{share:.1%}", done, done and done / seconds])
        rest = found["took_s"] - known
        rows.append(["the rest", rest, f"{rest / found['took_s']:.1%}", None, None])
        rows.append(
            [
                f"all: {found['audio_s']:.1f} s of audio",
                found["took_s"],
                "100 %",
                sum(work.values()),
                sum(work.values()) / found["took_s"],
            ]
        )
        columns = ["part", "s", "share", "10⁹ operations of its plain convolutions", "10⁹/s"]
        tables.append(Table(f"Where the time goes: {name}", columns, rows))
    return tables


# Equality


def equality_tables(found: dict[str, Any], precisions: Sequence[str]) -> list[Table]:
    """Return how near the audio is to upstream's."""
    exact, wide = found["float32"], found["float64"]
    rows: list[list[Cell]] = [
        [
            "upstream, another thread count",
            "yes",
            *_three(exact["upstream"]),
            None,
            None,
            None,
        ]
    ]
    rows += [
        [
            name,
            "yes" if exact[name]["durations_equal"] else "**no**",
            *_three(exact[name]),
            *_three(exact[name]["same_source"]),
        ]
        for name in precisions
    ]
    columns = ["against upstream", "durations equal"]
    for given in ("", ", same source"):
        columns += [f"relative RMS{given}", f"SNR{given}, dB", f"log-mel distance{given}"]
    padding = f"{wide['most_padding']:.0%}"
    return [
        Table(f"Distance in float32, medians of {exact['items']} items", columns, rows),
        Table(
            f"In float64, a batch of {len(wide['frames'])}, up to {padding} of a row padding",
            ["durations equal", "largest relative RMS"],
            [["yes" if wide["durations_equal"] else "**no**", f"{wide['most_relative_rms']:.1e}"]],
        ),
    ]


def _three(one: dict[str, float]) -> list[Cell]:
    return [f"{one['relative_rms']:.1e}", one["snr_db"], one["log_mel"]]


def compare(model: Path, size: Size) -> dict[str, Any]:
    """Return what `engine_equality` finds, in a process of its own."""
    progress("comparing with upstream")
    output = run_module(
        "benchmarks.engine_equality",
        *("--model", str(model), "--items", str(size.items)),
        *("--precisions", *size.precisions),
        within_s=ANSWER_WITHIN_S,
    )
    found: dict[str, Any] = json.loads(output)
    return found


def equality_targets(found: dict[str, Any]) -> list[Target]:
    """Return how near the audio was to be, and is."""
    floor = found["float32"]["upstream"]["relative_rms"]
    beside = found["float32"][EXACT]["relative_rms"] / floor if floor else None
    return [
        Target(
            "float64: relative RMS, in 10⁻⁹", 1e9 * found["float64"]["most_relative_rms"], most=1
        ),
        Target("float32: relative RMS beside upstream's own", beside, most=1.5),
    ]


# All of it


def progress(what: str) -> None:
    """Say what is being done, for minutes pass between two lines of the report."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def measure(chosen: Namespace, folder: Path) -> Report:
    """Measure, and put the figures together."""
    size = QUICK if chosen.quick else FULL
    progress("planning")
    chance = random.Random(0)  # noqa: S311 - a reproducible choice, no secret
    texts, planner = choose(6 if chosen.quick else 16, 0)
    segments = plan(texts, planner).inputs()
    model = chosen.model or folder / "checkpoint"
    if chosen.model is None:
        progress("writing a checkpoint")
        run_module("deploy.cli", "checkpoint", str(model), "--size", size.checkpoint, within_s=300)
    known = {path.stem for path in (model / "voices").glob("*.pt")}
    segments = [one for one in segments if one["voice"] in known]
    classes = {
        name: cut(segments, phonemes, count, chance)
        for name, (phonemes, count) in size.classes.items()
    }
    alike = sorted(segments, key=lambda one: len(one["phonemes"]))
    apart = max(1, len(alike) // size.mixed)
    classes[MIXED] = alike[apart // 2 :: apart][: size.mixed]  # of each length as often as there
    report = Report(
        "engine",
        "our engine beside upstream's model, on a CPU",
        corpus=describe(texts) + "; through the planner, cut or joined for the length classes",
        precision=f"{' and '.join(size.precisions)}; model: synthetic, {size.checkpoint}"
        if chosen.model is None
        else f"{' and '.join(size.precisions)}; model: {model.name}",
        quick=chosen.quick,
    )
    equality = compare(model, size) if size.items else None
    progress("speed")
    speeds, facts, profiles = speed(chosen, model, classes, size)
    progress("memory")
    todo = short_segments(segments, max(size.segments), chance)
    kept = {name: memory(model, name, chosen.threads, todo, size) for name in (UPSTREAM, EXACT)}
    mixed = next(way for way in speeds[MIXED] if way.side == EXACT)
    task_s = mixed.audio_s / mixed.rate / len(classes[MIXED])
    recycled, started, released = recycling(kept[EXACT], task_s, kept[UPSTREAM])
    report.tables += [speed_table(speeds), memory_table(kept), recycled]
    if equality is not None:
        report.tables += equality_tables(equality, size.precisions)
        report.targets += equality_targets(equality)
    report.tables += profiles
    report.notes += [
        f"threads: {chosen.threads} on each side; torch's own kernels: "
        f"{facts[UPSTREAM]['cpu_capability']}",
        *(f"kernels of {name}: {facts[name]['kernels']}" for name in size.precisions),
        f"on this device the engine wants {facts[EXACT]['batch_most']} segments a call"
        + (
            ": a call for many renders one after another" if facts[EXACT]["batch_most"] == 1 else ""
        ),
        "every other round is taken in the opposite order; a ratio is of two turns of one round",
    ]
    report.figures = {
        "threads": chosen.threads,
        "sides": facts,
        "speeds": {
            name: [
                {
                    "side": way.side,
                    "batched": way.batched,
                    "audio_s": way.audio_s,
                    "audio_s_per_s": way.rates,
                }
                for way in ways
            ]
            for name, ways in speeds.items()
        },
        "memory": kept,
        "equality": equality,
        "recycle_share": started,
        "release_share": released,
    }
    report.targets += targets(speeds, kept, started + released)
    return report


def speed(
    chosen: Namespace, model: Path, classes: dict[str, list[Segment]], size: Size
) -> tuple[dict[str, list[Speed]], dict[str, Any], list[Table]]:
    """Return speeds by length class, what the sides say of themselves, and their profiles."""
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(side_of(model, name, chosen.threads))
            for name in (UPSTREAM, *size.precisions)
        }
        found: dict[str, list[Speed]] = {}
        for name, segments in classes.items():
            found[name] = take_turns(sides, segments, size)
            told = ", ".join(f"{way.side} {way.rate:.2f}" for way in found[name] if not way.batched)
            progress(f"{name}: {told} audio-s/s")
        wanted = list(classes)[min(2, len(classes) - 2)]
        profiles = profile_tables(sides, classes[wanted]) if chosen.profile else []
        return found, {name: side.facts for name, side in sides.items()}, profiles


def targets(
    speeds: dict[str, list[Speed]],
    kept: dict[str, dict[str, Any]],
    share: float,
) -> list[Target]:
    """Return what was promised, and what came of it."""
    ours = kept[EXACT]
    found = []
    base = next(way for way in speeds[MIXED] if way.side == UPSTREAM)
    for way in speeds[MIXED]:
        if way.side != UPSTREAM and not way.batched:
            ratio = statistics.median(_ratios(way, base))
            found.append(
                Target(f"{way.side}, times upstream, {MIXED}", ratio, least=FASTER_LEAST[way.side])
            )
    return [
        *found,
        Target("resident memory at its peak, MiB", ours["peak_mib"], most=MEMORY_MOST_MIB),
        Target(
            "growth from the first mark to the last, MiB", ours["growth_mib"], most=GROWTH_MOST_MIB
        ),
        Target("share of recycling and releasing", share, most=RECYCLE_SHARE_MOST),
    ]


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    parser.add_argument("--model", type=lambda path: Path(path).absolute())
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--profile", action="store_true", help="also say where the time goes")
    chosen = parser.parse_args()
    with workplace() as folder:
        report = measure(chosen, folder)
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
