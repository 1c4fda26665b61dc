"""How long a batch of a thousand jobs holds Redis, and what others wait for meanwhile.

In: a gateway on a Redis. Out: for each length of text, with and without an `Idempotency-Key`, the
longest script as Redis's own slow log has it, and the percentiles of single jobs posted all the
while at a fixed rate. A part of `benchmarks.gateway`.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import redis

from benchmarks.report import Table, spread

JOBS = 1000
LENGTHS = (500, 2000)
ROUNDS, QUICK_ROUNDS = 5, 1
PAUSE_S = 0.5
RATE = 50.0
SLOW_US = 200
MOST_HELD_MS = 50.0


def _posted(url: str, chars: int, count: int, *, keys: bool) -> list[dict[str, float]]:
    """Post batches and cancel each; return how long that took, in milliseconds."""
    text = ("Some words to be spoken. " * (chars // 20 + 1))[:chars]
    body = json.dumps({"items": [{"input": text, "custom_id": f"c{n}"} for n in range(JOBS)]})
    found = []
    with httpx.Client(timeout=60, trust_env=False) as client:
        for n in range(count):
            headers = {"Content-Type": "application/json"}
            headers |= {"Idempotency-Key": f"{chars} {n}"} if keys else {}
            began = time.perf_counter()
            answer = client.post(f"{url}/v1/batches", content=body, headers=headers)
            took_s = time.perf_counter() - began
            answer.raise_for_status()
            began = time.perf_counter()
            client.post(f"{url}/v1/batches/{answer.json()['id']}/cancel").raise_for_status()
            cancel_s = time.perf_counter() - began
            found.append({"post_ms": took_s * 1000, "cancel_ms": cancel_s * 1000})
            time.sleep(PAUSE_S)
    return found


def _longest_ms(ledger: redis.Redis) -> float:
    rows = ledger.slowlog_get(100_000)
    scripts = [row["duration"] for row in rows if row["command"].upper().startswith(b"EVAL")]
    return max(scripts, default=0) / 1000


def measure_batches(
    url: str, ledger: redis.Redis, others_for: Callable[[float], dict[str, Any]], *, quick: bool
) -> list[dict[str, Any]]:
    """Post batches beside single jobs; return what each took.

    Args:
        url: of the gateway.
        ledger: its Redis.
        others_for: posts single jobs for so many seconds at `RATE`, as `benchmarks.load` answers.
        quick: fewer of all.
    """
    rounds = QUICK_ROUNDS if quick else ROUNDS
    ledger.config_set("slowlog-max-len", 100_000)
    ledger.config_set("slowlog-log-slower-than", SLOW_US)
    seconds = 1 + 2 * PAUSE_S * rounds
    alone = others_for(seconds)
    found: list[dict[str, Any]] = [
        {"chars": None, "keys": None, "held_ms": None, "others_ms": spread(alone["wait_ms"])}
    ]
    for chars in LENGTHS:
        for keys in (False, True):
            ledger.slowlog_reset()
            others: dict[str, Any] = {}
            thread = threading.Thread(target=lambda into=others: into.update(others_for(seconds)))
            thread.start()
            time.sleep(PAUSE_S)
            batches = _posted(url, chars, rounds, keys=keys)
            thread.join()
            if set(others["statuses"]) != {"202"} or others["errors"]:
                raise RuntimeError(f"{others['statuses']}, {others['errors']} errors")
            found.append(
                {
                    "chars": chars,
                    "keys": keys,
                    "held_ms": _longest_ms(ledger),
                    "post_ms": spread([row["post_ms"] for row in batches]),
                    "cancel_ms": spread([row["cancel_ms"] for row in batches]),
                    "others_ms": spread(others["wait_ms"]),
                }
            )
    ledger.config_set("slowlog-log-slower-than", 10_000)
    return found


def batches_table(rows: list[dict[str, Any]]) -> Table:
    """Return the figures as a table."""
    return Table(
        f"Batches of {JOBS:,} jobs, while single jobs come at {RATE:.0f} a second",
        [
            "characters of a job",
            "Idempotency-Key",
            "longest script, ms",
            "batch accepted p50, ms",
            "canceled p50, ms",
            "single jobs p50, ms",
            "p99, ms",
            "max, ms",
        ],
        [
            [
                row["chars"] or "no batches",
                {None: "", True: "yes", False: "no"}[row["keys"]],
                "" if row["held_ms"] is None else row["held_ms"],
                row["post_ms"]["p50"] if "post_ms" in row else "",
                row["cancel_ms"]["p50"] if "cancel_ms" in row else "",
                *(row["others_ms"][name] for name in ("p50", "p99", "max")),
            ]
            for row in rows
        ],
    )
