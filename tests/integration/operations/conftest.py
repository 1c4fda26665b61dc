"""An operator at a shell beside a real cluster, doing what `docs/situations.md` says."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import FaultCluster
from tests.integration.operations.guide import Block, sections

PROGRAMS = ("bash", "curl", "grep", "openssl", "redis-cli", "timeout", "xargs")


@dataclass
class Steps:
    """The blocks of one section, run one after another."""

    operator: "Operator"
    left: list[Block]

    def next(self, instead: dict[str, str] | None = None) -> str:
        """Run the next block and return all it wrote.

        Args:
            instead: of names on the page, what they are here.
        """
        text = self.left.pop(0).text
        for name, value in (instead or {}).items():
            assert name in text
            text = text.replace(name, value)
        return self.operator.shell(text)


@dataclass
class Operator:
    """Runs blocks in a folder of its own, with a process's settings and a client's."""

    cluster: FaultCluster
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    shells: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def situation(self, heading: str) -> Iterator[Steps]:
        """Give a section's blocks; at the end of the `with` all of them must have been run."""
        steps = Steps(self, [block for block in sections()[heading] if block.ran])
        assert steps.left
        yield steps
        assert not steps.left, "the page has more blocks"

    def environment(self) -> dict[str, str]:
        """Return what the page says is set, beside what every process of the cluster has."""
        programs = self.folder / "bin"
        own = {
            "KC_URL": f"http://127.0.0.1:{self.cluster.port}",
            "KC_API_KEY": "unused",
            "LOGS": str(self.cluster.folder / "logs"),
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return {**self.cluster.environment(), **own, **self.settings}

    def shell(self, text: str, timeout_s: float = 180) -> str:
        """Run commands until the last has ended; they must succeed."""
        process = subprocess.Popen(
            ["bash", "-c", f"set -euo pipefail\n{text}"],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.shells.append(process.pid)
        said, _ = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, f"{text}\n{said}"
        return said

    def start(self, name: str, command: str, log: str | None = None) -> None:
        """Start a process as a block would, and write its id down."""
        self.shell(f'{command} >>"$LOGS/{log or name}.log" 2>&1 &\necho $! >{name}.pid')

    def start_synth(self, name: str, variables: str = "") -> None:
        """Start a synth worker, with settings of its own before the command."""
        command = f"{variables} kokoro-cluster worker synth --name {name}"
        self.start(name, command, log=f"synth.{name}")

    def pid(self, name: str) -> int:
        """Return a process that a block has started and written down."""
        return int((self.folder / f"{name}.pid").read_text())

    def wait_for_end(self, name: str, within_s: float = 30) -> None:
        """Return once such a process has ended."""
        stat = Path(f"/proc/{self.pid(name)}/stat")

        def ended() -> bool:
            try:
                return stat.read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                return True

        self.cluster.wait(ended, within_s)

    def stop(self) -> None:
        """End what blocks have left running: their shells' own groups, and nothing else."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for shell in self.shells:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(shell, number)
            if any(_has_group(shell) for shell in self.shells):
                time.sleep(2)


def _has_group(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if not missing:
        return
    reason = f"not on this machine: {', '.join(missing)} (redis-cli: see fetch_redis_cli.sh)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


Begin = Callable[..., Operator]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Make a cluster, as yet without processes, with an operator beside it."""
    made: list[Operator] = []

    def make(**wanted: Any) -> Operator:
        cluster = FaultCluster(tmp_path / "cluster", **wanted)
        folder = tmp_path / "shell"
        made.append(Operator(cluster, folder))
        programs = folder / "bin"
        programs.mkdir(parents=True)
        (cluster.folder / "logs").mkdir(exist_ok=True)
        command = programs / "kokoro-cluster"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deploy.cli "$@"\n')
        command.chmod(0o755)
        return made[-1]

    yield make
    for operator in made:
        operator.stop()
        operator.cluster.stop()
