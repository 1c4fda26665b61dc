"""How long a job takes that costs nothing: POST to `succeeded`, one at a time, no model.

In: a number of jobs. Out: percentiles, and where the time goes by the cluster's own clock.

A job that costs nothing makes next to no audio: its speed is 4. The same texts at speed 1 follow,
with as much to store, encode and write as speech has. The client waits in its POST (`Prefer:
wait=30`), so it sees the end as soon as the gateway does; the ledger's times are in whole
milliseconds, from the record of the job to the record of its end.
"""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.corpus import Length, Text, describe, mixed
from benchmarks.report import Report, Table, Target, options, spread
from benchmarks.rig import Cluster, cluster, settings_for, workplace
from shared.languages import Language

JOBS, QUICK_JOBS = 200, 20
WARM_UP_JOBS = 10
TARGET_P50_MS = 25
FORMAT = "wav"
PAUSE_S = 0.02
"""Between two jobs, so that each finds every worker asleep, as a lone client does."""


def run(running: Cluster, bodies: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Speak each text; return the jobs' ids and the milliseconds their clients waited."""
    waits = []
    headers = {"Content-Type": "application/json", "Prefer": "wait=30"}
    address = urlsplit(str(running.client.base_url))
    client = HTTPConnection(address.hostname or "", address.port, timeout=60)
    for body in bodies:
        data = json.dumps(body)
        began = time.perf_counter()
        client.request("POST", "/v1/jobs", data, headers)
        answer = client.getresponse()
        job = json.loads(answer.read())
        took_ms = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {job}")
        if job["status"] != "succeeded":
            raise RuntimeError(f"{job['id']} {job['status']}: {job['error']}")
        waits.append((job["id"], took_ms))
        time.sleep(PAUSE_S)
    client.close()
    return waits


def ledger_ms(running: Cluster, ids: list[str]) -> list[float]:
    """Return each job's milliseconds from its creation to its end, by Redis's clock."""
    found = []
    for uid in ids:
        created, completed = running.ledger.hmget(f"kc:job:{uid}", ["created_ms", "completed_ms"])
        found.append(float(completed or 0) - float(created or 0))
    return found


def job_bodies(texts: Sequence[Text]) -> list[dict[str, Any]]:
    """Return a job that costs nothing for each text."""
    return [
        # A number first, so that no segment's audio is reused and every stage has its work.
        {"input": f"{n}. {text.text}", "voice": text.voice, "response_format": FORMAT, "speed": 4}
        for n, text in enumerate(texts)
    ]


STEPS = (
    ("accepted", "job accepted", "gateway: recorded"),
    ("planned", "planned", "plan: woken, claimed, planned, recorded"),
    ("rendered", "rendered", "synth: woken, claimed, rendered, stored, recorded"),
    ("succeeded", "succeeded", "assemble: woken, claimed, encoded, stored, recorded"),
    ("answered", "request", "gateway: seen and answered"),
)


def log_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the cluster's log, in no order."""
    for path in folder.glob("*.log"):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                yield json.loads(line)


def steps_ms(folder: Path, ids: set[str]) -> dict[str, list[float]]:
    """Return for each step the milliseconds since the one before, of every job in the log."""
    moments: dict[str, dict[str, float]] = {}
    events = {event: name for name, event, _ in STEPS}
    for entry in log_lines(folder):
        name = events.get(entry.get("event", ""))
        if name and entry.get("job_id") in ids:
            moments.setdefault(entry["job_id"], {})[name] = datetime.fromisoformat(
                entry["ts"]
            ).timestamp()
    found: dict[str, list[float]] = {}
    for seen in moments.values():
        if len(seen) < len(STEPS):
            continue
        before = seen["accepted"]
        for name, _, _ in STEPS[1:]:
            found.setdefault(name, []).append((seen[name] - before) * 1000)
            before = seen[name]
    return found


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, help=f"how many; default {JOBS}")
    chosen = parser.parse_args()
    count = chosen.jobs or (QUICK_JOBS if chosen.quick else JOBS)
    texts = mixed(
        WARM_UP_JOBS + count, languages=[Language.AMERICAN_ENGLISH], shares={Length.SHORT: 1.0}
    )
    bodies = job_bodies(texts)
    with workplace() as folder, cluster(settings_for(folder)) as running:
        run(running, bodies[:WARM_UP_JOBS])
        waits = run(running, bodies[WARM_UP_JOBS:])
        at_speed_1 = run(running, [{**body, "speed": 1} for body in bodies[WARM_UP_JOBS:]])
        spoken_s = statistics.fmean(running.job(uid)["output"]["audio_s"] for uid, _ in at_speed_1)
        ids = [uid for uid, _ in waits]
        in_ledger = spread(ledger_ms(running, ids))
        in_logs = {name: spread(ms) for name, ms in steps_ms(running.local.logs, set(ids)).items()}
    waited = spread([ms for _, ms in waits])
    in_full = spread([ms for _, ms in at_speed_1])
    report = Report(
        "latency",
        "POST to `succeeded` of a job that costs nothing, one at a time",
        corpus=describe(texts[WARM_UP_JOBS:]),
        precision="no model: scripted engine without a pause, WAV",
        quick=chosen.quick,
        figures={
            "client_wait_ms": waited,
            "client_wait_at_speed_1_ms": in_full,
            "ledger_ms": in_ledger,
            "step_ms": in_logs,
        },
    )
    rows = [("as its client sees it", waited), ("by the ledger's clock", in_ledger)]
    rows += [(what, in_logs[name]) for name, _, what in STEPS if name in in_logs]
    rows.append((f"as its client sees it at speed 1, {spoken_s:.1f} s of audio", in_full))
    report.tables.append(
        Table(
            "Milliseconds of one job",
            ["", "n", "p50", "p99", "mean", "max"],
            [
                [what, *(sample[k] for k in ("n", "p50", "p99", "mean", "max"))]
                for what, sample in rows
            ],
        )
    )
    report.targets.append(
        Target("p50 as its client sees it, ms", waited["p50"], most=TARGET_P50_MS)
    )
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
