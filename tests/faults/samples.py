"""What a running cluster's processes hold, sampled over time, and whether that grows.

A process is judged against its own age: kills and recycles start it anew, so what all processes of
a role hold together says little. Growth is the slope of the pooled regression within processes,
each one's mean taken off its samples and its ages (the fixed-effects estimator), over the samples
past its warm-up.
"""

import contextlib
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from benchmarks.rig import families
from shared.ledger.scripts import text
from tests.faults.cluster import FaultCluster

WARM_UP_S = 30.0
"""A process's caches and heap fill in its first seconds of work: for longer on a busy machine."""

LEAST_SPAN_S, LEAST_SAMPLES = 20.0, 8
"""A process that was seen for less says nothing of growth."""

LIMITS_PER_MIN = {
    "memory_mib": 2.0,
    "descriptors": 5.0,
    "threads": 5.0,
    "device_mib": 2.0,
    "files": 2.0,
}
"""Growth a minute that is called a leak, if it stands out of its own noise. Pools of threads fill
for a while; one that leaked a thread or a descriptor a job would do so by hundreds a minute."""

SIGMAS = 4.0
"""How far above zero a slope must be, in its standard errors."""


@dataclass(frozen=True)
class Sample:
    """One process at one moment.

    Attributes:
        at_s: since the run began.
        role: what it is: `synth child`, `gateway`, …
        age_s: since it was first seen.
        values: by measure, the names of `LIMITS_PER_MIN`.
    """

    at_s: float
    role: str
    pid: int
    age_s: float
    values: dict[str, float]


@dataclass(frozen=True)
class Growth:
    """How much a measure grows in the processes of a role.

    Attributes:
        per_min: the slope.
        error_per_min: its standard error.
        first, last: means of the first and the last tenth of the samples, for people.
        processes: that were seen for long enough.
    """

    role: str
    measure: str
    per_min: float
    error_per_min: float
    first: float
    last: float
    processes: int

    @property
    def leaks(self) -> bool:
        """Whether it is more than is allowed, and more than noise.

        What Redis holds grows with the jobs that it remembers, and is no leak.
        """
        if (self.role, self.measure) == ("redis", "memory_mib"):
            return False
        limit = LIMITS_PER_MIN[self.measure]
        return self.per_min > limit and self.per_min > SIGMAS * self.error_per_min


class Sampler:
    """Looks at a cluster's processes again and again."""

    def __init__(self, cluster: FaultCluster) -> None:
        self._cluster = cluster
        self._began = time.monotonic()
        self._born: dict[int, float] = {}
        self.samples: list[Sample] = []

    def look(self) -> None:
        """Sample once."""
        now = time.monotonic()
        for role, pid in self._processes():
            with contextlib.suppress(OSError, ValueError, IndexError):
                values = process_values(pid)
                born = self._born.setdefault(pid, now)
                self.samples.append(Sample(now - self._began, role, pid, now - born, values))
        self._whole("files", 1, {"files": float(self._files())})
        for name, held in self._device_bytes():
            self._whole(f"{name} device", 2, {"device_mib": held / 2**20})

    def _whole(self, role: str, pid: int, values: dict[str, float]) -> None:
        now = time.monotonic() - self._began
        self.samples.append(Sample(now, role, pid, now, values))

    def _processes(self) -> Iterable[tuple[str, int]]:
        cluster = self._cluster
        if cluster.redis.process is not None:
            yield "redis", cluster.redis.process.pid
        members = [m for m in list(cluster.supervisor.members.values()) if m.process is not None]
        found = families([m.process.pid for m in members if m.process is not None])
        for member, pids in zip(members, found, strict=True):
            role = member.name.partition(".")[0]
            yield role, pids[0]
            for pid in pids[1:]:
                # Beside its children a spawning pool has a process that watches semaphores.
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                    if b"spawn_main" in command or b"semaphore" not in command:
                        yield f"{role} child", pid

    def _files(self) -> int:
        run = self._cluster.settings.run_dir
        return sum(1 for path in run.rglob("*") if path.is_file()) if run.exists() else 0

    def _device_bytes(self) -> Iterable[tuple[str, float]]:
        try:
            for name in self._cluster.ledger.smembers("kc:workers"):
                row = json.loads(self._cluster.ledger.get(f"kc:worker:{text(name)}") or "{}")
                if "device_bytes" in row:
                    yield str(row["id"]), float(row["device_bytes"])
        except RedisError:  # it is among what is killed
            return


def process_values(pid: int) -> dict[str, float]:
    """Return a process's memory, descriptors and threads; raises `OSError` if it is gone."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return {
        "memory_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "descriptors": float(len(list(Path(f"/proc/{pid}/fd").iterdir()))),
        "threads": float(len(list(Path(f"/proc/{pid}/task").iterdir()))),
    }


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Return the growth of every measure in every role that was seen for long enough."""
    found = []
    roles = sorted({sample.role for sample in samples})
    for role in roles:
        own = [s for s in samples if s.role == role and s.age_s >= WARM_UP_S]
        for measure in sorted({name for s in own for name in s.values}):
            growth = _growth(role, measure, own)
            if growth is not None:
                found.append(growth)
    return found


def _growth(role: str, measure: str, samples: Sequence[Sample]) -> Growth | None:
    processes: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        if measure in sample.values:
            processes[sample.pid].append((sample.age_s / 60, sample.values[measure]))
    seen = {
        pid: points
        for pid, points in processes.items()
        if len(points) >= LEAST_SAMPLES and (points[-1][0] - points[0][0]) * 60 >= LEAST_SPAN_S
    }
    if not seen:
        return None
    xx = xy = yy = 0.0
    count = 0
    for points in seen.values():
        mean_x = math.fsum(x for x, _ in points) / len(points)
        mean_y = math.fsum(y for _, y in points) / len(points)
        xx += math.fsum((x - mean_x) ** 2 for x, _ in points)
        xy += math.fsum((x - mean_x) * (y - mean_y) for x, y in points)
        yy += math.fsum((y - mean_y) ** 2 for _, y in points)
        count += len(points)
    slope = xy / xx
    residual = max(0.0, yy - slope * xy)
    error = math.sqrt(residual / max(1, count - len(seen) - 1) / xx)
    ordered = [s.values[measure] for s in samples if measure in s.values]
    tenth = max(1, len(ordered) // 10)
    return Growth(
        role,
        measure,
        slope,
        error,
        math.fsum(ordered[:tenth]) / tenth,
        math.fsum(ordered[-tenth:]) / tenth,
        len(seen),
    )
