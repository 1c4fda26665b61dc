"""A handful of long-running processes, started together, kept up, and ended without a trace."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.redis_server import die_with_parent
from shared.errors import PermanentError, TransientError

STOP_TIMEOUT_S = 7.0
RESTARTS_MOST, RESTART_WINDOW_S = 3, 20.0
LOG_MOST_BYTES = 50_000_000


class CannotStart(PermanentError):
    """A process of the cluster can't work as it is set up."""

    code = "cannot_start"


class ProcessKeepsEnding(TransientError):
    """A process of the cluster ends again and again."""

    code = "process_keeps_ending"


@dataclass
class Managed:
    """One process of the group.

    Attributes:
        name: shown to people, and the name of its log file.
        command: program and arguments.
        environment: the whole of it.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ended_at: list[float] = field(default_factory=list)

    def start(self) -> None:
        """Start it, in a session of its own: signals to it are the launcher's to send."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.is_file() and self.log.stat().st_size > LOG_MOST_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the launcher has one thread
            )

    def reason(self) -> str:
        """Return what its last critical log line says, or the end of its log."""
        for line in reversed(self.tail(40).splitlines()):
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("level") == "critical":
                    return str(entry.get("error"))
        return self.tail()

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its log."""
        if not self.log.is_file():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class ProcessGroup:
    """The processes of one local cluster."""

    def __init__(self) -> None:
        self.members: list[Managed] = []

    def start(self, member: Managed) -> None:
        """Start a process and keep it from now on."""
        member.start()
        self.members.append(member)

    def keep_up(self) -> list[str]:
        """Start again what has ended; return the names.

        Raises:
            CannotStart: one can't work as it is set up; the message says why.
            ProcessKeepsEnding: one ended too often; the message has the end of its log.
        """
        restarted = []
        for member in self.members:
            if member.process is None or member.process.poll() is None:
                continue
            if member.process.returncode == os.EX_CONFIG:
                raise CannotStart(f"{member.name} can't start: {member.reason()}")
            now = time.monotonic()
            member.ended_at = [t for t in member.ended_at if now - t < RESTART_WINDOW_S] + [now]
            if len(member.ended_at) > RESTARTS_MOST:
                raise ProcessKeepsEnding(
                    f"{member.name} ended {len(member.ended_at)} times in "
                    f"{RESTART_WINDOW_S:.0f} s. Its log, {member.log}, ends:\n{member.tail()}"
                )
            _kill_session(member.process)
            member.start()
            restarted.append(member.name)
        return restarted

    def stop(self) -> None:
        """Ask every process to end, last started first, and end those that don't."""
        running = [m.process for m in self.members if m.process is not None]
        for process in reversed(running):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in reversed(running):
            try:
                process.wait(max(0.05, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _kill_session(process)
        self.members.clear()


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """End what a process left of its own children: it led a session, so they share its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
