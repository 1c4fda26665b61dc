"""The fault suite: every row against real processes, as a table and as JSON.

    python -m tests.faults --seed 1 --json out/faults.json
    python -m tests.faults --rows 1 2 8

Kills go by process id, traffic stays on loopback, and every wait has an end.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Cell, Report, Table, options
from tests.faults.all_rows import ROWS
from tests.faults.run import Result, Row, try_row

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
        return [
            row.number,
            row.fault,
            None,
            None,
            None,
            None,
            None,
            None,
            f"not tried: {result.skipped}",
        ]
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the rows; exit with 1 if one did not hold."""
    parser: argparse.ArgumentParser = options(__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is random")
    parser.add_argument("--rows", type=int, nargs="+", choices=sorted(ROWS), default=sorted(ROWS))
    parser.add_argument("--keep", type=Path, help="keep logs and event logs in this folder")
    wanted = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    report = Report(
        "faults",
        f"twenty faults against real processes, seed {wanted.seed}",
        "texts of unique sentences",
        "the scripted engine: tones of believable length, with pauses for the device's time",
        quick=wanted.quick,
    )
    folder = Path(tempfile.mkdtemp(prefix="kc-faults-"))
    cells: list[list[Cell]] = []
    broken = 0
    try:
        for number in wanted.rows:
            began = time.monotonic()
            place = folder / f"row-{number:02d}"
            result = try_row(number, place, wanted.seed + number, quick=wanted.quick)
            row = ROWS[number]
            took_s = time.monotonic() - began
            cells.append(table_row(row, result))
            state = "skipped" if result.skipped else "held" if result.held else "DID NOT HOLD"
            print(f"row {number:2d}  {took_s:6.1f} s  {state}: {row.fault}", flush=True)
            for must in result.musts:
                print(f"          {'ok ' if must.held else 'NOT'} {must.what}: {must.detail}"[:300])
            for line in result.broken:
                print(f"          {line}"[:600], flush=True)
            broken += not result.held and result.skipped is None
            if wanted.keep:
                kept = wanted.keep / f"row-{number:02d}"
                shutil.copytree(
                    place,
                    kept,
                    dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("objects", "redis"),
                )
            shutil.rmtree(place, ignore_errors=True)
            report.figures[f"row_{number:02d}"] = {
                "fault": row.fault,
                "must_hold": row.must_hold,
                "took_s": round(took_s, 1),
                **{k: v for k, v in vars(result).items() if k != "musts"},
                "musts": [vars(must) for must in result.musts],
                "held": result.held,
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.tables.append(Table("Faults", COLUMNS, cells))
    report.publish(wanted.json)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
