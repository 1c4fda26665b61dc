"""A run's event log: an append-only file of JSON lines, written by every process and the harness.

The cluster's processes write their steps (`shared.steps`); the harness adds what a client saw
(`accepted`, `seen`), what receivers got (`received`), what the ledger published (`ended`), and what
was done to whom (`cut`). The checker reads nothing else.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class EventLog:
    """The harness's end of the log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, event: str, **facts: Any) -> float:
        """Append an event; return when, by the machine's monotonic clock."""
        now = time.monotonic()
        line = {"mono": now, "event": event, "process": "harness", "pid": os.getpid(), **facts}
        os.write(self._file, (json.dumps(line) + "\n").encode())
        return now

    def read(self) -> list[Event]:
        """Return all events so far, in the order of their time."""
        return read_events(self.path.read_text().splitlines())

    def since(self, mono: float, *names: str) -> Iterator[Event]:
        """Yield the events of these names after a time."""
        return (e for e in self.read() if e["mono"] > mono and (not names or e["event"] in names))

    def wait_for(
        self, *names: str, after: float, where: Callable[[Event], bool], within_s: float
    ) -> Event | None:
        """Return the first such event after a time, or None if there is none in time."""
        until = time.monotonic() + within_s
        while True:
            found = next((e for e in self.since(after, *names) if where(e)), None)
            if found is not None or time.monotonic() > until:
                return found
            time.sleep(0.05)

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)


def read_events(lines: Iterable[str]) -> list[Event]:
    """Parse a log's lines; return its events in the order of their time.

    Raises:
        ValueError: a line is no event.
    """
    events = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            event["mono"] + 0.0, event["event"] + ""
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number} is no event: {line[:200]}") from error
        events.append(event)
    return sorted(events, key=lambda event: float(event["mono"]))


def has_job(event: Event, job: str) -> bool:
    """Return whether an event is about a job."""
    return event.get("job") == job or any(row[0] == job for row in event.get("segments", ()))
