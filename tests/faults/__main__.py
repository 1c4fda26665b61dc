"""The fault suite: every row against real processes, as a table and as JSON.

    python -m tests.faults --seed 1 --json out/faults.json
    python -m tests.faults --rows 1 2 8

Each row is tried in a process of its own. Three are under way at a time, for most of them wait most
of the time; those whose bounds are tight are tried alone, afterwards. Kills go by process id,
traffic stays on loopback, and every wait has an end.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import Cell, Report, Table, options
from tests.faults.all_rows import ROWS
from tests.faults.run import Held, Result, Row, try_row

AT_ONCE = 3
ROW_WITHIN_S = 1500.0
LONGEST = (13, 19)
COLUMNS = (
    "#",
    "fault",
    "tried",
    "accepted",
    "lost",
    "double outcomes",
    "recovery p50 s",
    "max s",
    "held",
)


def table_row(row: Row, result: Result) -> list[Cell]:
    """Return a row as the table shows it."""
    if result.skipped is not None:
        nothing: list[Cell] = [None] * 6
        return [row.number, row.fault, *nothing, f"not tried: {result.skipped}"]
    return [
        row.number,
        row.fault,
        result.tried,
        result.accepted,
        result.lost,
        result.double,
        result.recovery_p50_s,
        result.recovery_max_s,
        "yes" if result.held else "**no**",
    ]


class Suite:
    """One run of rows.

    Args:
        folder: for all that they need.
        seed: of all that is random.
        keep: folder for logs and event logs; None: they go.
        keep_all: of rows that held, too.
    """

    def __init__(
        self, folder: Path, seed: int, *, quick: bool, keep: Path | None, keep_all: bool
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._quick = quick
        self._keep = keep
        self._keep_all = keep_all

    def run(self, numbers: Sequence[int]) -> dict[int, tuple[Result, float]]:
        """Try rows; return what came of each, and how many seconds it took."""
        alone = [n for n in numbers if ROWS[n].alone]
        beside = [n for n in numbers if not ROWS[n].alone]
        # The longest first, so that they are not waited for at the end.
        beside.sort(key=lambda n: n not in LONGEST)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = dict(zip(beside, pool.map(self._row, beside), strict=True))
        return found | {number: self._row(number) for number in alone}

    def _row(self, number: int) -> tuple[Result, float]:
        place = self._folder / f"row-{number:02d}"
        place.mkdir()
        out = place / "result.json"
        command = [
            sys.executable,
            "-m",
            "tests.faults",
            "--row",
            str(number),
            "--place",
            str(place),
        ]
        command += ["--seed", str(self._seed), *(["--quick"] if self._quick else [])]
        began = time.monotonic()
        with (place / "output.txt").open("w") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ)
            )
            try:
                process.wait(ROW_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait(30)
        took_s = time.monotonic() - began
        if out.is_file():
            result = decode(json.loads(out.read_text()))
        else:
            tail = (place / "output.txt").read_text()[-2000:]
            broken = (Held("the row ran to its end", False, tail),)
            result = Result(0, 0, 0, 0, None, None, broken, ())
        _tell(ROWS[number], result, took_s)
        if self._keep and (self._keep_all or result.broken):
            ignored = shutil.ignore_patterns("objects", "redis")
            shutil.copytree(place, self._keep / place.name, dirs_exist_ok=True, ignore=ignored)
        shutil.rmtree(place, ignore_errors=True)
        return result, took_s


def _tell(row: Row, result: Result, took_s: float) -> None:
    state = "skipped" if result.skipped else "held" if result.held else "DID NOT HOLD"
    lines = [f"row {row.number:2d}  {took_s:6.1f} s  {state}: {row.fault}"]
    lines += [
        f"          {'ok ' if must.held else 'NOT'} {must.what}: {must.detail}"[:300]
        for must in result.musts
    ]
    lines += [f"          {line}"[:600] for line in result.broken]
    print("\n".join(lines), flush=True)


def decode(fields: dict[str, Any]) -> Result:
    """Return the result that a row's process wrote."""
    musts = tuple(Held(**must) for must in fields.pop("musts"))
    violations = tuple(fields.pop("violations"))
    return Result(musts=musts, violations=violations, **fields)


def _report(found: dict[int, tuple[Result, float]], seed: int, *, quick: bool) -> Report:
    report = Report(
        "faults",
        f"faults against real processes, seed {seed}",
        "texts of unique sentences",
        "the scripted engine: tones of believable length, with pauses for the device's time",
        quick=quick,
    )
    cells = []
    for number, (result, took_s) in sorted(found.items()):
        row = ROWS[number]
        cells.append(table_row(row, result))
        report.figures[f"row_{number:02d}"] = {
            "fault": row.fault,
            "must_hold": row.must_hold,
            "took_s": round(took_s, 1),
            "held": result.held,
            **asdict(result),
        }
    report.tables.append(Table("Faults", COLUMNS, cells))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the rows; exit with 1 if one did not hold."""
    parser: argparse.ArgumentParser = options(__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is random")
    parser.add_argument("--rows", type=int, nargs="+", choices=sorted(ROWS), default=sorted(ROWS))
    keep = "keep logs and event logs of rows that did not hold in this folder"
    parser.add_argument("--keep", type=Path, help=keep)
    parser.add_argument("--keep-all", action="store_true", help="and those of rows that held")
    parser.add_argument("--row", type=int, help="try this one here, in --place")
    parser.add_argument("--place", type=Path)
    wanted = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if wanted.row is not None:
        result = try_row(wanted.row, wanted.place, wanted.seed + wanted.row, quick=wanted.quick)
        (wanted.place / "result.json").write_text(json.dumps(asdict(result)))
        return 0
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kc-faults-"))
    try:
        suite = Suite(
            folder, wanted.seed, quick=wanted.quick, keep=wanted.keep, keep_all=wanted.keep_all
        )
        found = suite.run(wanted.rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = _report(found, wanted.seed, quick=wanted.quick)
    report.notes.append(f"took {(time.monotonic() - began) / 60:.0f} minutes")
    report.publish(wanted.json)
    results = [result for result, _ in found.values()]
    return 1 if any(not r.held and r.skipped is None for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
