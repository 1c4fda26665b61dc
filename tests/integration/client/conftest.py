"""A whole cluster with the scripted engine for the client to use, and a shell for the commands."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from client.retrying import Retry
from client.sync.cluster import KokoroCluster
from tests.faults.cluster import FaultCluster

ROOT = Path(__file__).parents[3]

IMPATIENT = Retry(tries=3, first_s=0.01, most_s=0.02)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultCluster]:
    """Every process of a cluster, for all tests that use one."""
    cluster = FaultCluster(tmp_path_factory.mktemp("whole"))
    try:
        cluster.start_all(synth=1, model="scripted:sleep_per_audio_s=0.02")
        yield cluster
    finally:
        cluster.stop()


def served(whole: FaultCluster, path: str) -> None:
    """Skip a test of what the gateway of this tree does not serve."""
    if path not in whole.client.get("/openapi.json").json()["paths"]:
        pytest.skip(f"the gateway does not serve {path}")


@pytest.fixture
def url(whole: FaultCluster) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{whole.port}"


@pytest.fixture
def cluster(url: str) -> Iterator[KokoroCluster]:
    """A client of it."""
    with KokoroCluster(url) as cluster:
        yield cluster


@dataclass
class Ended:
    """What a command did."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


@dataclass
class Shell:
    """Runs the command line as a user's shell would, in a folder of the test's own."""

    folder: Path
    url: str
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("KC_")}
        own = {"PYTHONPATH": str(ROOT), "KC_URL": self.url, "COLUMNS": "120"}
        return {**clean, **own, **self.settings}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "deploy.cli", *arguments]

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, stdin: bytes = b"", timeout_s: float = 60) -> Ended:
        process = self.start(*arguments, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return Ended(process.returncode, out, err.decode())


@pytest.fixture
def shell(tmp_path: Path, url: str) -> Shell:
    """A shell whose commands use the whole cluster."""
    return Shell(tmp_path, url)
