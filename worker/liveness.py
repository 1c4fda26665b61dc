"""Whether a worker is alive, and has ever loaded, for a container's probes: two files of its own.

The one that its parent touches says that the parent looks after its children, and nothing of Redis
or the store: a worker whose Redis is away is alive, and to restart it would help nobody. The other
is there from the moment a first child has loaded its model or dictionaries until the worker ends,
however often its children are replaced.
"""

import time
from pathlib import Path

from shared.settings import Settings

ALIVE_S = 10.0
"""Seconds after its last touch for which a worker counts as alive; it is touched every second."""

ROUND_ALIVE_S = 60.0
"""The same for a reconciler, which touches its file between two rounds: one round may wait for
several answers of a Redis that gives none."""


def alive_file(settings: Settings, worker: str) -> Path:
    """Return the file that the parent of the worker `<stage>.<name>` touches."""
    return settings.run_dir / f"{worker}.alive"


def loaded_file(settings: Settings, worker: str) -> Path:
    """Return the file that is there once a child of the worker has loaded."""
    return settings.run_dir / f"{worker}.loaded"


def seconds_since_touch(path: Path) -> float | None:
    """Return how long ago the file was touched; None where there is none."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None
