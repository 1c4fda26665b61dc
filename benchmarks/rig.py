"""What benchmarks stand on: clusters and processes of their own, gone when the block ends.

Everything listens on loopback, on ports that are free, and works in a temporary folder.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from deploy.local import LocalCluster
from deploy.processes import Managed, ProcessGroup
from deploy.redis_server import RedisServer
from shared.ledger.scripts import text
from shared.manifest import EngineName
from shared.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 120.0
NO_LIMIT = 10**12
"""For admission limits: what is measured is the cost of a job, not how many are let in."""
MANY_PER_MIN = 10**7
"""A rate no machine reaches."""


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Be in a temporary folder, without the operator's settings, for the length of a block."""
    # Told to end, a benchmark first ends what it started.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    folder = Path(tempfile.mkdtemp(prefix="kc-bench-"))
    try:
        with contextlib.chdir(folder):  # else a file `.env` would be read
            yield folder
    finally:
        signal.signal(signal.SIGTERM, before)
        os.environ.update(kept)
        shutil.rmtree(folder, ignore_errors=True)


def settings_for(folder: Path, **wanted: Any) -> Settings:
    """Return settings of a cluster in `folder`, the scripted engine and no admission limits."""
    return Settings(
        **{
            "data_dir": folder,
            "port": free_port(),
            "redis_port": free_port(),
            "engine": EngineName.SCRIPTED,
            "model": "scripted",
            "max_queued_chars": NO_LIMIT,
            "max_queued_jobs": NO_LIMIT,
            "key_rate_per_min": MANY_PER_MIN,
            "key_max_queued_chars": NO_LIMIT,
            **wanted,
        }
    )


@dataclass
class Cluster:
    """A whole cluster on this machine, through its own launcher."""

    local: LocalCluster
    ledger: redis.Redis

    @property
    def client(self) -> httpx.Client:
        """A client of its gateway."""
        return self.local.client

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as any client sees it."""
        found: dict[str, Any] = self.local.request("GET", f"/v1/jobs/{job_id}").json()
        return found

    def submit(self, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Submit a job."""
        answer = self.local.request("POST", "/v1/jobs", json=dict(body), **options)
        found: dict[str, Any] = answer.json()
        return found

    def workers(self, role: str) -> list[dict[str, Any]]:
        """Return the workers of one stage."""
        rows = self.local.request("GET", "/v1/workers").json()["data"]
        return [row for row in rows if row["role"] == role]

    def wait_until(self, done: int, *, status: str = "succeeded", within_s: float) -> None:
        """Return once so many jobs have ended well; any that ended otherwise is an error."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.local.group.keep_up()
            counts = {
                text(name): int(number)
                for name, number in self.ledger.hgetall("kc:jobs_by_status").items()
            }
            if bad := sum(counts.get(name, 0) for name in ("failed", "expired", "canceled")):
                raise RuntimeError(f"{bad} jobs did not succeed: {counts}")
            if counts.get(status, 0) >= done:
                return
            time.sleep(0.1)
        raise TimeoutError(f"{done} jobs were not {status} within {within_s:.0f} s: {counts}")

    def pids(self, name: str) -> list[int]:
        """Return the process of the launcher's member `name`, and its children's."""
        for member in self.local.group.members:
            if member.name == name and member.process is not None:
                return family(member.process.pid)
        raise KeyError(name)


@contextlib.contextmanager
def cluster(settings: Settings) -> Iterator[Cluster]:
    """Run a whole cluster for the length of a block."""
    local = LocalCluster(settings)
    try:
        local.start()
        with redis.Redis(port=settings.redis_port) as ledger:
            yield Cluster(local, ledger)
    finally:
        local.stop()


def wait_until_planned(ledger: redis.Redis, count: int, *, within_s: float) -> None:
    """Return once so many jobs are planned to their ends."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        uids = [key for key in ledger.scan_iter("kc:job:job_*", count=1000) if key.count(b":") == 2]
        pipe = ledger.pipeline(transaction=False)
        for uid in uids:
            pipe.hget(uid, "planned")
        if pipe.execute().count(b"1") >= count:
            return
        time.sleep(0.2)
    raise TimeoutError(f"{count} jobs were not planned within {within_s:.0f} s")


@dataclass
class Bench:
    """Redis and chosen processes, without the rest of a cluster."""

    settings: Settings
    server: RedisServer
    group: ProcessGroup = field(default_factory=ProcessGroup)

    @property
    def url(self) -> str:
        """Where the gateway is, once it runs."""
        return f"http://127.0.0.1:{self.settings.port}"

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the cluster's own processes."""
        environment = {
            **os.environ,
            **self.settings.as_environment(),
            "PYTHONPATH": str(ROOT),
            "KC_REDIS_URL": self.server.url,
        }
        command = [sys.executable, "-m", "deploy.cli", *arguments]
        log = self.settings.data_dir / "logs" / f"{name}.log"
        member = Managed(name, command, environment, log)
        self.group.start(member)
        assert member.process is not None  # noqa: S101 - start() has just set it
        return member.process

    def start_gateway(self) -> subprocess.Popen[bytes]:
        """Start a gateway and return once it answers."""
        process = self.start("gateway", "gateway")
        deadline = time.monotonic() + READY_WITHIN_S
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < deadline:
                self.group.keep_up()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/health/live").is_success:
                        return process
                time.sleep(0.05)
        raise TimeoutError("the gateway did not answer")


@contextlib.contextmanager
def bench(settings: Settings) -> Iterator[Bench]:
    """Run a Redis, and what is started on it, for the length of a block."""
    server = RedisServer(settings.data_dir / "redis", settings.redis_port)
    made = Bench(settings, server)
    try:
        server.start()
        yield made
    finally:
        made.group.stop()
        server.stop()


# Processes


def run_module(module: str, *arguments: str, within_s: float, cores: Sequence[int] = ()) -> str:
    """Run a module of this project in a process of its own; return what it printed.

    Args:
        module: as after `python -m`.
        arguments: for it.
        within_s: it is ended after so many seconds.
        cores: it may run on these only; empty: on any.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            pin([process.pid], cores)
            output, _ = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{module} did not end within {within_s:.0f} s") from error
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    return output


def pin(pids: Sequence[int], cores: Sequence[int]) -> None:
    """Let all threads of these processes, now and to come, run on these cores only."""
    if not cores:
        return
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    return families([pid])[0]


def families(pids: Sequence[int]) -> list[list[int]]:
    """Return each of some processes with all its descendants."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    all_found = []
    for pid in pids:
        found = [pid]
        for member in found:
            found += parents.get(member, [])
        all_found.append(found)
    return all_found


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    """Signal processes that this benchmark started."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU a process has used, all its threads', user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return a process's resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def peak_resident_mib(pid: int) -> float:
    """Return the most resident memory a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
