"""Asks health probes at a fixed rate, as a container's runtime would, and writes what it saw.

Run by `Probes` in a process of its own, so that what it measures is not the harness. A probe counts
from when it was due; one that is not answered 200 within its timeout has failed.
"""

import argparse
import asyncio
import json
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.load import Connection
from worker.liveness import seconds_since_touch

TIMEOUT_S = 5.0


class Prober:
    """Probes until told to stop."""

    def __init__(self, url: str, per_s: int, alive_files: Path) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._per_s = per_s
        self._alive_files = alive_files
        self.wait_ms: list[float] = []
        self.failures: list[str] = []
        self.oldest_alive_s = 0.0
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Probe both addresses, and look at the files each second."""
        await asyncio.gather(
            self._keep_asking("/health/live"), self._keep_asking("/health/ready"), self._look()
        )

    async def _keep_asking(self, path: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        connection = Connection(self._host, self._port)
        due = time.perf_counter()
        while not self.stopping.is_set():
            due = max(due + 2 / self._per_s, time.perf_counter() - 1)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                status = await asyncio.wait_for(connection.ask(request), TIMEOUT_S)
            except (OSError, EOFError, ValueError) as error:  # a timeout is an OSError
                self.failures.append(f"{path}: {error!r}")
                await connection.close()
                continue
            self.wait_ms.append((time.perf_counter() - due) * 1000)
            if status != 200:
                self.failures.append(f"{path}: {status}")

    async def _look(self) -> None:
        while not self.stopping.is_set():
            await asyncio.sleep(1)
            # Workers' only: a reconciler may wait for Redis between two touches.
            for path in self._alive_files.glob("[!r]*.alive"):
                self.oldest_alive_s = max(self.oldest_alive_s, seconds_since_touch(path) or 0.0)


async def probe(options: argparse.Namespace) -> Prober:
    """Probe until SIGTERM."""
    prober = Prober(options.url, options.per_s, options.alive_files)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, prober.stopping.set)
    await prober.run()
    return prober


def main() -> None:
    """Probe, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--per-s", type=int, default=20)
    parser.add_argument("--alive-files", type=Path, required=True)
    options = parser.parse_args()
    prober = asyncio.run(probe(options))
    found = {
        "asked": len(prober.wait_ms) + sum("Error" in f for f in prober.failures),
        "failures": prober.failures[:20],
        "failed": len(prober.failures),
        "wait_ms": prober.wait_ms,
        "oldest_alive_s": prober.oldest_alive_s,
    }
    options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
