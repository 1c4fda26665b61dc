"""How much memory a text of 2,000,000 characters needs, process by process.

In: a character count. Out: a table of each process's peak resident memory, Redis's peak, and times.
Runs the whole local cluster with the scripted engine: what is measured is everything but the model.
"""

import time
from pathlib import Path

from benchmarks.report import Report, Table, options
from benchmarks.rig import cluster, resident_mib, settings_for, workplace

SENTENCES = (
    "The harbour lay quiet under a thin layer of morning fog, number {n}.",
    "Nobody had expected the old captain to return after so many years.",
    "She counted the lamps along the pier, and wrote the figure down.",
    "It was, all things considered, a good day to begin something new.",
)
PARAGRAPH_SENTENCES = 6
GIVE_UP_AFTER_S = 1800


def make_text(chars: int, *, first: int = 0) -> str:
    """Return prose of exactly so many characters in which no paragraph repeats.

    Args:
        chars: how many.
        first: number of the first paragraph; texts of far numbers have none in common.
    """
    parts: list[str] = []
    size = 0
    for n in range(first, first + chars):
        text = " ".join(SENTENCES[(n + i) % len(SENTENCES)] for i in range(PARAGRAPH_SENTENCES))
        parts.append(text.format(n=n))
        size += len(parts[-1]) + 2
        if size >= chars:
            break
    return "\n\n".join(parts)[:chars]


def measure(chars: int, folder: Path) -> dict[str, float]:
    """Run one job of `chars` characters; return peaks in MiB and times in seconds."""
    peaks: dict[str, float] = {}

    def note(name: str, value: float) -> None:
        peaks[name] = max(peaks.get(name, 0.0), value)

    with cluster(settings_for(folder)) as running:
        # A paid-for minute of speech is not needed here: fast speech, a fast lossless format.
        body = {"input": make_text(chars), "speed": 4.0, "response_format": "flac"}
        began = time.monotonic()
        job = running.submit(body)
        accepted_s = time.monotonic() - began
        while job["status"] in {"queued", "processing"}:
            if time.monotonic() - began > GIVE_UP_AFTER_S:
                raise TimeoutError(f"{job['id']} has not ended")
            time.sleep(0.5)
            job = running.job(job["id"])
            for worker in running.local.request("GET", "/v1/workers").json()["data"]:
                note(f"{worker['role']} child MiB", worker["resident_bytes"] / 2**20)
            note("gateway MiB", resident_mib(running.pids("gateway")[0]))
            note("redis used MiB", float(running.ledger.info("memory")["used_memory"]) / 2**20)
        if job["status"] != "succeeded":
            raise RuntimeError(f"{job['id']} {job['status']}: {job['error']}")
        peaks["accepted after s"] = accepted_s
        peaks["in all s"] = time.monotonic() - began
        peaks["segments"] = job["progress"]["segments_total"]
        peaks["audio s"] = job["output"]["audio_s"]
        note("redis used after MiB", float(running.ledger.info("memory")["used_memory"]) / 2**20)
    return peaks


def main() -> None:
    """Measure a short text and a long one, side by side."""
    parser = options(__doc__)
    parser.add_argument("--chars", type=int, default=2_000_000)
    parser.add_argument("--against", type=int, default=20_000, help="the short text beside it")
    chosen = parser.parse_args()
    long_chars = 100_000 if chosen.quick else chosen.chars
    columns = {}
    for chars in (chosen.against, long_chars):
        with workplace() as folder:
            columns[chars] = measure(chars, folder)
    report = Report(
        "long_text",
        "peak memory of every process while one long text is spoken",
        corpus="four sentences with numbers in them, no paragraph twice",
        precision="no model: scripted engine, FLAC at speed 4",
        quick=chosen.quick,
        figures={f"{chars}_chars": column for chars, column in columns.items()},
    )
    names = list(columns[long_chars])
    report.tables.append(
        Table(
            "Peaks",
            ["", *(f"{chars:,} characters" for chars in columns)],
            [[name, *(column.get(name) for column in columns.values())] for name in names],
        )
    )
    report.publish(chosen.json)


if __name__ == "__main__":
    main()
