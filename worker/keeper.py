"""The parent's watch over its children: renews their leases, ends the stuck, reports for all.

It runs in a thread of the pool's parent, which does no inference, so that a busy child never looks
dead. It reads each child's note, so a child needs not answer anything.
"""

import contextlib
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from redis.exceptions import RedisError

from shared.bell import Stage
from shared.ledger.leases import Leases
from shared.settings import Settings
from worker.context import manifest_file, worker_folder
from worker.note import ChildState, leaving_mark, read_notes

log = structlog.get_logger()

LEAVE_SLACK_S = 1.5
"""Seconds beyond its grace that a worker told to stop has to let go of what it holds. What it then
still waits for, a Redis or a store that is away, its parent doesn't: the lease tells others."""


class Keeper(threading.Thread):
    """Watches the children of one worker.

    Args:
        stage: what the worker does.
        worker: its name.
        own: names of incarnations that are threads of this very process.
        on_fatal: called with the reason when a child can never work.
    """

    def __init__(
        self,
        settings: Settings,
        stage: Stage,
        worker: str,
        leases: Leases,
        *,
        own: Callable[[], list[str]],
        on_fatal: Callable[[str], None],
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._settings = settings
        self._stage = stage
        self._worker = worker
        self._leases = leases
        self._own = own
        self._on_fatal = on_fatal
        self._folder = worker_folder(settings, worker)
        self._interval_s = min(1.0, settings.lease_s / 5)
        self._stopping = threading.Event()
        self._leaving = False
        self._leave_by = math.inf
        self._started_at = time.time()
        self._recycles = 0
        self._kills = 0
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)

    @property
    def alive_file(self) -> Path:
        """Touched at every round: what a container's probe looks at."""
        return self._folder.with_name(f"{self._worker}.alive")

    def leave(self) -> None:
        """Know from now on that children end because the worker was told to stop; tell them."""
        if not self._leaving:
            self._leave_by = time.monotonic() + self._settings.soft_shutdown_s + LEAVE_SLACK_S
        self._leaving = True
        with contextlib.suppress(OSError):
            leaving_mark(self._folder).touch()

    def run(self) -> None:
        """Look after the children until told to stop."""
        while not self._stopping.wait(self._interval_s):
            self.look()

    def look(self) -> None:
        """Do one round."""
        with contextlib.suppress(OSError):  # a full disk must not end the watch
            self.alive_file.touch()
        children = []
        for path, child in read_notes(self._folder):
            if child.fatal is not None:
                self._on_fatal(child.fatal)
            late = time.monotonic() > self._leave_by and child.pid != os.getpid()
            if (child.overdue or late) and child.running:
                self._kill(child)
            if child.running:
                children.append(child)
            else:
                self._bury(path, child)
        try:
            self._leases.renew([child.incarnation for child in children] + self._own())
            self._leases.announce(self._worker, self._describe(children))
            self._restore_engine()
        except RedisError as error:
            # The leases live on in Redis for a while; the next round may reach it.
            log.warning("cannot renew leases", action="renew", error=str(error)[:200])

    def _restore_engine(self) -> None:
        try:
            manifest = manifest_file(self._folder).read_text()
        except OSError:  # no engine here, or none yet
            return
        if self._leases.restore_engine(manifest):
            log.critical("the ledger lost its data", action="restore", worker=self._worker)

    def _kill(self, child: ChildState) -> None:
        log.error("child killed at its deadline", action="kill", pid=child.pid, phase=child.phase)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        self._kills += 1
        for _ in range(100):
            if not child.running:
                return
            time.sleep(0.01)

    def _bury(self, path: Path, child: ChildState) -> None:
        """Give back what an ended child held, now rather than when its lease lapses."""
        mid_work = child.phase not in {"idle", "loading", "fatal"}
        try:
            self._leases.release(child.incarnation, stopped=self._leaving)
            if not self._leaving:
                self._leases.count("children_killed" if mid_work else "recycles")
        except RedisError:
            return  # its note stays, and so the next round tries again
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        path.with_suffix(".due").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        self._recycles += 1
        log.info(
            "child replaced", action="recycle", pid=child.pid, phase=child.phase, mid_work=mid_work
        )

    def _describe(self, children: list[ChildState]) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for child in children:
            facts |= child.facts
        busy = [child.phase for child in children if child.phase not in {"idle", "loading"}]
        loading = not children or any(child.phase == "loading" for child in children)
        return {
            "id": self._worker,
            "role": self._stage.value,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "state": busy[0] if busy else "loading" if loading else "idle",
            "children": len(children),
            "device": self._device(),
            "recycles": self._recycles,
            "deadline_kills": self._kills,
            "resident_bytes": sum(_resident_bytes(child.pid) for child in children),
            "started_at": self._started_at,
            "heartbeat_at": time.time(),
            **facts,
        }

    def _device(self) -> str:
        if self._stage is not Stage.SYNTH:
            return "cpu"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return f"cuda:{visible}" if visible else self._settings.device

    def stop(self) -> None:
        """End the watch: give back what the children held; they have ended or end here."""
        self.leave()
        self._stopping.set()
        self.join(5)
        for path, child in read_notes(self._folder):
            if child.running and child.pid != os.getpid():
                self._kill(child)
            if child.pid != os.getpid():
                self._bury(path, child)
        with contextlib.suppress(RedisError):
            for incarnation in self._own():
                self._leases.release(incarnation, stopped=True)
            self._leases.withdraw(self._worker)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.alive_file.unlink(missing_ok=True)


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
