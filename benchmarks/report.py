"""What every benchmark says of itself: machine, versions, corpus, figures and targets.

In: figures. Out: markdown on the terminal, and the same as JSON where `--json` asks for it.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FLAGS_OF_NOTE = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
PACKAGES = ("kokoro-cluster", "torch", "numpy", "redis", "celery", "kombu", "fastapi", "uvicorn")
Cell = str | int | float | None


# The machine


def machine_facts() -> dict[str, Any]:
    """Return what the figures depend on: CPU, its flags, memory, GPU, and how busy it was."""
    cpuinfo = _cpuinfo()
    flags = cpuinfo.get("flags", "").split()
    return {
        "cpu": cpuinfo.get("model name", platform.processor() or platform.machine()),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS_OF_NOTE if flag in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": gpu_name(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpuinfo() -> dict[str, str]:
    """Return the first processor's lines of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def gpu_name() -> str | None:
    """Return the first CUDA device's name, if this process has loaded torch and there is one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))


def describe_machine(facts: dict[str, Any]) -> str:
    """Return the machine in a line."""
    flags = ", ".join(facts["flags"]) or "no flags of note"
    return (
        f"{facts['cpu']} ({facts['architecture']}; {flags}), {facts['cores']} cores, "
        f"{facts['memory_gib']} GiB, GPU: {facts['gpu'] or 'none used'}, {facts['system']}; "
        f"load before: {facts['load_before']}"
    )


def package_versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# Reports


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        rows: of as many cells as there are columns; a None is shown as a dash.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """Return it with its title above it."""
        lines = [f"**{self.title}**", "", _row(self.columns), _row(["---"] * len(self.columns))]
        return "\n".join(lines + [_row([show(cell) for cell in row]) for row in self.rows])


@dataclass(frozen=True)
class Target:
    """A figure that was promised.

    Attributes:
        what: the figure, with its unit.
        measured: None where it could not be.
        least: it must not be below this; None: no such bound.
        most: it must not be above this; None: no such bound.
    """

    what: str
    measured: float | None
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it was kept; None where it was not measured."""
        if self.measured is None:
            return None
        return (self.least is None or self.measured >= self.least) and (
            self.most is None or self.measured <= self.most
        )


@dataclass
class Report:
    """One run of one benchmark.

    Attributes:
        name: of the benchmark: a module of this package.
        title: what is measured, in a sentence.
        corpus: what was spoken.
        precision: the engine's numerics, or what stands in for it.
        quick: whether this was the short run, whose figures only show that it works.
        figures: everything measured, for machines; units are in the names.
        notes: what a reader must know to judge the figures.
    """

    name: str
    title: str
    corpus: str
    precision: str
    quick: bool = False
    figures: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine_facts)
    versions: dict[str, str] = field(default_factory=package_versions)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "benchmark": self.name,
            "title": self.title,
            "date": self.began.isoformat(timespec="seconds"),
            "took_s": round((datetime.now(UTC) - self.began).total_seconds(), 1),
            "quick": self.quick,
            "machine": self.machine,
            "versions": self.versions,
            "precision": self.precision,
            "corpus": self.corpus,
            "figures": self.figures,
            "targets": [{**asdict(target), "met": target.met} for target in self.targets],
            "tables": [asdict(table) for table in self.tables],
            "notes": self.notes,
        }

    def markdown(self) -> str:
        """Return it for people."""
        date = self.began.isoformat(timespec="minutes")
        lines = [
            f"## {self.name}: {self.title}",
            "",
            f"- {date}{', a quick run: its figures say little' if self.quick else ''}",
            f"- machine: {describe_machine(self.machine)}",
            f"- versions: {', '.join(f'{name} {v}' for name, v in self.versions.items())}",
            f"- precision: {self.precision}",
            f"- corpus: {self.corpus}",
            *(f"- {note}" for note in self.notes),
        ]
        for table in self.tables:
            lines += ["", table.markdown()]
        if self.targets:
            lines += ["", _targets(self.targets).markdown()]
        return "\n".join(lines)

    def publish(self, path: Path | None) -> None:
        """Print it, and write it to `path` if there is one."""
        print(f"\n{self.markdown()}\n", flush=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, default=str)
            path.write_text(text + "\n", encoding="utf-8")


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=_absolute, help="also write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    return parser


def _absolute(path: str) -> Path:
    return Path(path).absolute()  # benchmarks change the working folder


def show(cell: Cell) -> str:
    """Return a cell as people read it: three or four digits that count, thousands parted."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        size = abs(cell)
        digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
        return f"{cell:,.{digits}f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _targets(targets: Sequence[Target]) -> Table:
    rows: list[list[Cell]] = []
    for target in targets:
        bounds = [
            f"{sign} {show(bound)}"
            for sign, bound in (("≥", target.least), ("≤", target.most))
            if bound is not None
        ]
        met = {True: "yes", False: "**no**", None: "not measured"}[target.met]
        rows.append([target.what, target.measured, " and ".join(bounds), met])
    return Table("Targets", ["figure", "measured", "wanted", "met"], rows)


# Samples


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return a percentile by linear interpolation between the samples, as NumPy's default."""
    if len(samples) == 1:
        return samples[0]
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Return a sample's size, median, 99th percentile, mean and largest."""
    return {
        "n": len(samples),
        "p50": percentile(samples, 50),
        "p99": percentile(samples, 99),
        "mean": statistics.fmean(samples),
        "max": max(samples),
    }
