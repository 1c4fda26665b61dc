"""What traces cost: accepted jobs a second, and a lone job's latency, with and without them.

In: rounds. Out: rates a second of the gateway's own CPU time, and milliseconds of a job.

Two gateways stand on one Redis, one of them with an endpoint for traces, and are asked in turns,
each alone, as `benchmarks.gateway` does it. Then two clusters with a scripted engine speak one job
at a time, in turns, as in `benchmarks.latency`. The endpoint is a real HTTP server in this process,
which reads what it is sent and counts it. By default every job is sampled, which is the most it can
cost; `OTEL_TRACES_SAMPLER` and the SDK's other variables hold as they are set.
"""

import contextlib
import os
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import redis

from benchmarks.corpus import Length, Text, describe, mixed
from benchmarks.gateway import (
    WARM_UP_S,
    Load,
    gateway_round,
    generator_name,
    job_body,
    share_cores,
)
from benchmarks.latency import WARM_UP_JOBS, job_bodies, run
from benchmarks.report import Report, Table, options, spread
from benchmarks.rig import bench, cluster, free_port, pin, settings_for, workplace
from shared import tracing
from shared.languages import Language
from shared.ledger.work import WorkLedger
from worker.engines.scripted import ScriptedEngine

ROUNDS, QUICK_ROUNDS = 6, 1
ROUND_S, QUICK_ROUND_S = 5.0, 2.0
TURNS, QUICK_TURNS = 4, 1
JOBS, QUICK_JOBS = 50, 10
CONNECTIONS = 8
WAYS = {False: "without traces", True: "with traces"}


@dataclass
class Sink:
    """A collector that keeps nothing.

    Attributes:
        url: its endpoint.
        bytes: it was sent.
    """

    url: str
    requests: int = 0
    bytes: int = 0


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """Receive spans for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            made.bytes += len(self.rfile.read(int(self.headers["content-length"])))
            made.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Sink(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def traced(url: str | None) -> Iterator[None]:
    """Have processes that are started in a block trace, or not."""
    kept = {name: os.environ.pop(name) for name in tracing.ENDPOINTS if name in os.environ}
    if url is not None:
        os.environ[tracing.ENDPOINTS[-1]] = url
    try:
        yield
    finally:
        os.environ.pop(tracing.ENDPOINTS[-1], None)
        os.environ.update(kept)


def accepting(folder: Path, text: Text, url: str, *, quick: bool) -> dict[bool, list[Any]]:
    """Return rounds of two gateways, asked in turns."""
    cores = share_cores()
    rounds, seconds = (QUICK_ROUNDS, QUICK_ROUND_S) if quick else (ROUNDS, ROUND_S)
    found: dict[bool, list[Any]] = {on: [] for on in WAYS}
    folder.mkdir()  # what is posted is written there
    with bench(settings_for(folder)) as made, redis.Redis(port=made.server.port) as ledger:
        assert made.server.process is not None  # noqa: S101 - started by the block
        pin([made.server.process.pid], cores.others)
        WorkLedger(ledger, incarnation="bench/0", lease_s=5, attempts_max=3).register_engine(
            ScriptedEngine().manifest
        )
        both = {}
        for on in WAYS:
            port = free_port()
            one = replace(made, settings=made.settings.model_copy(update={"port": port}))
            with traced(url if on else None):
                pid = one.start_gateway().pid
            pin([pid], cores.accepting)
            load = Load(f"{one.url}/v1/jobs", folder, job_body(text), CONNECTIONS, cores)
            load.closed_loop(WARM_UP_S)
            both[on] = (pid, load)
        for number in range(rounds):
            for on in sorted(WAYS, reverse=bool(number % 2)):
                pid, load = both[on]
                found[on].append(gateway_round(pid, ledger, load, seconds, drain=False))
    return found


def speaking(folder: Path, texts: list[Text], url: str, *, quick: bool) -> dict[bool, list[float]]:
    """Return the milliseconds that clients waited for their jobs, of two clusters in turns."""
    turns = QUICK_TURNS if quick else TURNS
    bodies = job_bodies(texts)
    found: dict[bool, list[float]] = {on: [] for on in WAYS}
    with contextlib.ExitStack() as stack:
        both = {}
        for on, way in WAYS.items():
            with traced(url if on else None):
                settings = settings_for(folder / way.replace(" ", "-"))
                both[on] = stack.enter_context(cluster(settings))
            run(both[on], bodies[:WARM_UP_JOBS])
        share = (len(bodies) - WARM_UP_JOBS) // turns
        for number in range(turns):
            first = WARM_UP_JOBS + number * share
            for on in sorted(WAYS, reverse=bool(number % 2)):
                found[on] += [ms for _, ms in run(both[on], bodies[first : first + share])]
    return found


def main() -> None:
    """Measure, and print."""
    chosen = options(__doc__).parse_args()
    count = QUICK_JOBS if chosen.quick else JOBS * TURNS
    texts = mixed(
        WARM_UP_JOBS + count, languages=[Language.AMERICAN_ENGLISH], shares={Length.SHORT: 1.0}
    )
    with workplace() as folder, sink() as collector:
        rates = accepting(folder / "gateways", texts[0], collector.url, quick=chosen.quick)
        waits = speaking(folder, texts, collector.url, quick=chosen.quick)
        if not collector.requests:
            raise RuntimeError("no span was sent")
    keys = ("per_s", "per_cpu_s", "core_share")
    middle = {on: {k: statistics.median(r[k] for r in rates[on]) for k in keys} for on in WAYS}
    waited = {on: spread(waits[on]) for on in WAYS}
    cpu_ms = {on: 1000 / middle[on]["per_cpu_s"] for on in WAYS}
    report = Report(
        "traces",
        "what traces of every job cost",
        corpus=describe(texts),
        precision="no model: scripted engine without a pause, WAV",
        notes=[
            f"sampler: {os.environ.get('OTEL_TRACES_SAMPLER', 'parentbased_always_on')} "
            f"{os.environ.get('OTEL_TRACES_SAMPLER_ARG', '')}".rstrip(),
            f"closed loop by {generator_name()}, {CONNECTIONS} connections",
        ],
        quick=chosen.quick,
        figures={
            "rounds": {WAYS[on]: rates[on] for on in WAYS},
            "median": {WAYS[on]: middle[on] for on in WAYS},
            "ratio_of_cpu_time": middle[True]["per_cpu_s"] / middle[False]["per_cpu_s"],
            "gateway_cpu_ms": {WAYS[on]: cpu_ms[on] for on in WAYS},
            "client_wait_ms": {WAYS[on]: waited[on] for on in WAYS},
            "sent": {"requests": collector.requests, "bytes": collector.bytes},
        },
    )
    report.tables.append(
        Table(
            f"Accepted: medians of {len(rates[True])} rounds each, in turns",
            ["", "a second, on one core", "a second of its own CPU time", "ms of CPU a job"],
            [[WAYS[on], middle[on]["per_s"], middle[on]["per_cpu_s"], cpu_ms[on]] for on in WAYS],
        )
    )
    report.tables.append(
        Table(
            "Milliseconds of one job, as its client sees it, two clusters in turns",
            ["", "n", "p50", "p99", "mean", "max"],
            [
                [WAYS[on], *(waited[on][k] for k in ("n", "p50", "p99", "mean", "max"))]
                for on in WAYS
            ],
        )
    )
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
