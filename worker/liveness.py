"""Whether a worker is alive, for a container's probe: a file that its parent touches.

It says that the parent looks after its children, and nothing of Redis or the store: a worker
whose Redis is away is alive, and to restart it would help nobody.
"""

import time
from pathlib import Path

from shared.settings import Settings

ALIVE_S = 10.0
"""Seconds after its last touch for which a worker counts as alive; it is touched every second."""


def alive_file(settings: Settings, worker: str) -> Path:
    """Return the file that the parent of the worker `<stage>.<name>` touches."""
    return settings.run_dir / f"{worker}.alive"


def seconds_since_touch(path: Path) -> float | None:
    """Return how long ago the file was touched; None where there is none."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None
