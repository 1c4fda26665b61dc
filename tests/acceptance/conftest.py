"""The project's own launcher, driven as a person would: start it, use HTTP, stop it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class Launcher:
    """One data folder, its ports, and the launcher running on them."""

    folder: Path
    port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("KC_")}
        return {
            **clean,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "KC_PORT": str(self.port),
            "KC_REDIS_PORT": str(self.redis_port),
            "KC_DATA_DIR": str(self.folder / "data"),
            "KC_ENGINE": "espeak",
            **self.settings,
        }

    def launch(self, *command: str) -> subprocess.Popen[str]:
        with (self.folder / "output.txt").open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", *command],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def up(self) -> None:
        """Start everything; return when the launcher says it is ready."""
        self.process = self.launch("up")
        deadline = time.monotonic() + 180
        while "Ready:" not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def processes(self) -> list[int]:
        """Return the pids of everything the launcher started, children's children too."""
        assert self.process is not None
        found, wanted = [], [self.process.pid]
        while wanted:
            parent = wanted.pop()
            for status in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = status.read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) == parent:
                    found.append(int(status.parent.name))
                    wanted.append(int(status.parent.name))
        return found

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Signal the launcher; return the seconds until it has ended."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        self.process = None
        return time.monotonic() - began

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, follow_redirects=True)

    def wait_for(self, client: httpx.Client, job_id: str, timeout_s: float = 120) -> Any:
        """Poll a job until it has ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            job = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
            if job["status"] not in {"queued", "processing"}:
                return job
            time.sleep(0.05)
        raise AssertionError(f"{job_id} has not ended: {job}")


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """A launcher not yet started; whatever it started ends with the test."""
    launcher = Launcher(tmp_path)
    yield launcher
    if launcher.process is not None:
        launcher.stop()
