"""A load generator for POST /v1/jobs over kept-alive connections, one process, no dependencies.

In: a URL, a body, and either a rate (open loop: requests are due whether or not the ones before
were answered, and latency counts from when they were due) or none (closed loop: each connection
asks as soon as it was answered). Out: one line of JSON. Run by `benchmarks.gateway`.
"""

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Outcome:
    """What was answered.

    Attributes:
        wait_ms: of each request that was answered 202.
    """

    statuses: dict[int, int] = field(default_factory=dict)
    wait_ms: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass
class Connection:
    """One kept-alive connection."""

    host: str
    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request and read its answer whole; return the status."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        assert self.reader is not None  # noqa: S101 - opened together
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.index(b"content-length:") + len(b"content-length:")
        await self.reader.readexactly(int(lower[at : lower.index(b"\r\n", at)]))
        return int(head[9:12])

    async def close(self) -> None:
        """Close it."""
        if self.writer is not None:
            self.writer.close()
            self.writer = self.reader = None


async def _ask(connection: Connection, request: bytes, due: float, outcome: Outcome) -> None:
    try:
        status = await connection.ask(request)
    except (OSError, EOFError, ValueError):
        outcome.errors += 1
        await connection.close()
        return
    outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
    if status == 202:
        outcome.wait_ms.append((time.perf_counter() - due) * 1000)


async def closed_loop(
    connections: list[Connection], request: bytes, seconds: float, outcome: Outcome
) -> None:
    """Ask on every connection again and again."""
    until = time.perf_counter() + seconds

    async def go(connection: Connection) -> None:
        while (now := time.perf_counter()) < until:
            await _ask(connection, request, now, outcome)

    await asyncio.gather(*(go(connection) for connection in connections))


async def open_loop(
    connections: list[Connection], request: bytes, seconds: float, rate: float, outcome: Outcome
) -> None:
    """Ask at a fixed rate on whichever connection is free; with none free, requests wait."""
    due_times: asyncio.Queue[float | None] = asyncio.Queue()

    async def go(connection: Connection) -> None:
        while (due := await due_times.get()) is not None:
            await _ask(connection, request, due, outcome)

    workers = [asyncio.create_task(go(connection)) for connection in connections]
    began = time.perf_counter()
    for n in range(int(seconds * rate)):
        due = began + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        due_times.put_nowait(due)
    for _ in workers:
        due_times.put_nowait(None)
    await asyncio.gather(*workers)


async def run(url: str, body: bytes, seconds: float, count: int, rate: float) -> Outcome:
    """Generate the load; return what was answered."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    connections = [Connection(host, port) for _ in range(count)]
    outcome = Outcome()
    try:
        if rate > 0:
            await open_loop(connections, request, seconds, rate, outcome)
        else:
            await closed_loop(connections, request, seconds, outcome)
    finally:
        for connection in connections:
            await connection.close()
    return outcome


def main() -> None:
    """Generate the load that the arguments ask for, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--body", required=True, help="JSON")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: closed loop")
    options = parser.parse_args()
    began = time.perf_counter()
    outcome = asyncio.run(
        run(options.url, options.body.encode(), options.seconds, options.connections, options.rate)
    )
    found = {
        "took_s": time.perf_counter() - began,
        "statuses": outcome.statuses,
        "errors": outcome.errors,
        "wait_ms": [round(ms, 3) for ms in outcome.wait_ms],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
