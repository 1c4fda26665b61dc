"""A cluster on one machine as an operator would run it, and a day of its life.

    python -m tests.day --minutes 5 --seed 1 --json out/day/day.json
    python -m tests.day --stay          # only the cluster, until Ctrl-C

The day ends with 1 if a job was lost, if one had two outcomes, or if what happened is not to be
seen by the dashboard's own queries.
"""

import argparse
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Cell, Report, Table, options
from deploy.weights import choose_engine
from shared.errors import ClusterError, InvalidSettings
from shared.settings import load_settings
from tests.day.cluster import DayCluster
from tests.day.day import BURST, QUICK, STEADY, Day, timetable
from tests.day.panels import Watched
from tests.day.programs import NEEDED, Missing, program
from tests.faults.cluster import StillNotSo


def main(arguments: Sequence[str] | None = None) -> int:
    """Live through a day, or stay."""
    parser: argparse.ArgumentParser = options(__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--stay", action="store_true", help="only the cluster, until Ctrl-C")
    parser.add_argument("--prometheus-port", type=int, default=9090, help="with --stay")
    parser.add_argument("--s3-port", type=int, default=9444, help="with --stay")
    keep = "keep logs and the event log in this folder, if something did not hold"
    parser.add_argument("--keep", type=Path, help=keep)
    wanted = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="kc-day-"))
    try:
        for name in NEEDED:
            program(name)
        return _stay(folder, wanted) if wanted.stay else _day(folder, wanted)
    except (Missing, ClusterError, StillNotSo) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped every process.")
        return 0 if wanted.stay else 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stay(folder: Path, wanted: argparse.Namespace) -> int:
    settings = load_settings()
    for port in (settings.port, wanted.s3_port, wanted.prometheus_port):
        _check_free(port)
    choice = choose_engine(settings)
    print(choice.note, flush=True)
    cluster = DayCluster(
        folder,
        port=settings.port,
        s3_port=wanted.s3_port,
        monitor_port=wanted.prometheus_port,
        engine=choice.engine,
        model=choice.model,
    )
    try:
        cluster.start_everything()
        print(
            f"\nReady: {cluster.url} (two gateways)   Prometheus: {cluster.monitor.url}   "
            f"S3: {cluster.s3_url}\nlogs: {cluster.folder / 'logs'}\n"
            "Ctrl-C stops everything, and nothing of it stays.",
            flush=True,
        )
        while True:
            time.sleep(1)
    finally:
        cluster.stop()


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InvalidSettings(
                f"Port {port} is taken: KC_PORT=…, or python -m tests.day --stay --s3-port … "
                "--prometheus-port …"
            ) from error


def _day(folder: Path, wanted: argparse.Namespace) -> int:
    plan = QUICK if wanted.quick else timetable(wanted.minutes)
    day = Day(folder, wanted.seed, plan, say=lambda line: print(line, flush=True))
    try:
        day.run()
    finally:
        if wanted.keep and day.broken:
            ignored = shutil.ignore_patterns("redis", "previous", "data")
            shutil.copytree(folder, wanted.keep, dirs_exist_ok=True, ignore=ignored)
    report(day, quick=wanted.quick).publish(wanted.json)
    return 1 if day.broken else 0


def report(day: Day, *, quick: bool) -> Report:
    """Return what came of a day."""
    made = Report(
        "day",
        f"a day of {day.plan.ends / 60:g} minutes, seed {day.seed}",
        "texts of unique sentences",
        "the scripted engine: tones of believable length, with pauses for the device's time",
        quick=quick,
    )
    made.began = day.began
    assert day.verdict is not None
    rows: list[list[Cell]] = [[at, what] for at, what in day.happened]
    made.tables.append(Table("What happened", ["at s", "what"], rows))
    held: list[list[Cell]] = [
        [what, "yes" if kept else "**no**", detail[:200]] for what, kept, detail in day.promises
    ]
    made.tables.append(Table("What must hold", ["what", "held", "seen"], held))
    retries: dict[str, int] = {}
    if day.load is not None:
        retries = {f"{phase}: {why}": n for (phase, why), n in sorted(day.load.retries.items())}
        told: list[list[Cell]] = [[name, number] for name, number in retries.items()]
        made.tables.append(Table("Calls that clients made again", ["when: why", "times"], told))
    if day.watched is not None:
        made.tables += _watched_tables(day.watched)
    made.notes += [
        f"release before: {day.releases[0]}; this one: {day.releases[1]}",
        f"steady load {STEADY:.0%} of capacity, a burst of {BURST:g} times capacity",
        f"{day.verdict.accepted} jobs accepted, {day.verdict.count('lost')} lost, "
        f"{day.verdict.count('double')} with two outcomes; {day.audio_s:,.0f} s of audio, "
        f"{day.stored_bytes / 1e6:,.0f} MB read back from S3",
        *(f"**broken**: {line}" for line in day.broken),
    ]
    made.figures = {
        "accepted": day.verdict.accepted,
        "lost": day.verdict.count("lost"),
        "double": day.verdict.count("double"),
        "audio_s": day.audio_s,
        "stored_bytes": day.stored_bytes,
        "releases": day.releases,
        "happened": day.happened,
        "retries": retries,
        "streams": dict(day.load.streams) if day.load else {},
        "promises": day.promises,
        "panels": _panel_figures(day.watched) if day.watched else [],
        "alerts": [{**vars(a), "series": len(a.series)} for a in day.watched.alerts]
        if day.watched
        else [],
        "broken": day.broken,
    }
    return made


def _watched_tables(watched: Watched) -> list[Table]:
    rows: list[list[Cell]] = [
        [
            target.panel,
            target.named(one),
            target.unit,
            min(one.values),
            one.values[-1],
            max(one.values),
        ]
        for target in watched.targets
        for one in target.series
    ]
    columns = ["panel", "series", "unit", "least", "at the end", "most"]
    alerts: list[list[Cell]] = [
        [a.name, a.severity, a.pending_s, a.firing_s]
        for a in watched.alerts
        if a.pending_s or a.firing_s
    ]
    silent = sum(not (a.pending_s or a.firing_s) for a in watched.alerts)
    title = f"Alerts ({silent} of {len(watched.alerts)} were silent)"
    return [
        Table("What the dashboard's queries show", columns, rows),
        Table(title, ["alert", "severity", "pending s", "firing s"], alerts),
    ]


def _panel_figures(watched: Watched) -> list[dict[str, Any]]:
    return [
        {
            "panel": target.panel,
            "unit": target.unit,
            "query": target.query,
            "series": {target.named(one): one.points for one in target.series},
        }
        for target in watched.targets
    ]


if __name__ == "__main__":
    sys.exit(main())
