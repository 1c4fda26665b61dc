"""How much memory a text of 2,000,000 characters needs, process by process.

In: a character count. Out: a table of each process's peak resident memory, Redis's peak, and times.
Runs the whole local cluster with the scripted engine: what is measured is everything but the model.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import redis

from deploy.local import LocalCluster
from shared.manifest import EngineName
from shared.settings import Settings

SENTENCES = (
    "The harbour lay quiet under a thin layer of morning fog, number {n}.",
    "Nobody had expected the old captain to return after so many years.",
    "She counted the lamps along the pier, and wrote the figure down.",
    "It was, all things considered, a good day to begin something new.",
)
PARAGRAPH_SENTENCES = 6
GIVE_UP_AFTER_S = 1800


def make_text(chars: int) -> str:
    """Return prose of exactly so many characters in which no paragraph repeats."""
    parts: list[str] = []
    size = 0
    for n in range(chars):
        text = " ".join(SENTENCES[(n + i) % len(SENTENCES)] for i in range(PARAGRAPH_SENTENCES))
        parts.append(text.format(n=n))
        size += len(parts[-1]) + 2
        if size >= chars:
            break
    return "\n\n".join(parts)[:chars]


def resident_mib(pid: int) -> float:
    """Return the process's resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(chars: int, folder: Path, port: int) -> dict[str, float]:
    """Run one job of `chars` characters; return peaks in MiB and times in seconds."""
    settings = Settings(
        data_dir=folder,
        port=port,
        redis_port=port + 1,
        engine=EngineName.SCRIPTED,
        model="scripted",
    )
    cluster = LocalCluster(settings)
    peaks: dict[str, float] = {}

    def note(name: str, value: float) -> None:
        peaks[name] = max(peaks.get(name, 0.0), value)

    try:
        cluster.start()
        ledger = redis.Redis.from_url(f"redis://127.0.0.1:{settings.redis_port}/0")
        # A paid-for minute of speech is not needed here: fast speech, a fast lossless format.
        body = {"input": make_text(chars), "speed": 4.0, "response_format": "flac"}
        began = time.monotonic()
        job = cluster.request("POST", "/v1/jobs", json=body).json()
        accepted_s = time.monotonic() - began
        while job["status"] in {"queued", "processing"}:
            if time.monotonic() - began > GIVE_UP_AFTER_S:
                raise TimeoutError(f"{job['id']} has not ended")
            time.sleep(0.5)
            job = cluster.request("GET", f"/v1/jobs/{job['id']}").json()
            for worker in cluster.request("GET", "/v1/workers").json()["data"]:
                note(f"{worker['role']} child MiB", worker["resident_bytes"] / 2**20)
            for member in cluster.group.members:
                if member.name == "gateway" and member.process is not None:
                    note("gateway MiB", resident_mib(member.process.pid))
            note("redis used MiB", float(ledger.info("memory")["used_memory"]) / 2**20)
        if job["status"] != "succeeded":
            raise RuntimeError(f"{job['id']} {job['status']}: {job['error']}")
        peaks["accepted after s"] = accepted_s
        peaks["in all s"] = time.monotonic() - began
        peaks["segments"] = job["progress"]["segments_total"]
        peaks["audio s"] = job["output"]["audio_s"]
        note("redis used after MiB", float(ledger.info("memory")["used_memory"]) / 2**20)
        ledger.close()
    finally:
        cluster.stop()
    return peaks


def main() -> None:
    """Measure a short text and a long one, side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chars", type=int, default=2_000_000)
    parser.add_argument("--against", type=int, default=20_000, help="the short text beside it")
    parser.add_argument("--port", type=int, default=8980)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    columns = {}
    for chars in (options.against, options.chars):
        with tempfile.TemporaryDirectory(prefix="kc-bench-") as folder:
            columns[chars] = measure(chars, Path(folder), options.port)
    print(f"\n{platform.machine()}, Python {platform.python_version()}, scripted engine")
    print(f"{'characters':24}" + "".join(f"{chars:>14,}" for chars in columns))
    for name in next(iter(columns.values())):
        cells = "".join(f"{column.get(name, 0):>14,.1f}" for column in columns.values())
        print(f"{name:24}{cells}")
    if options.json:
        options.json.write_text(json.dumps(columns, indent=2))


if __name__ == "__main__":
    main()
