"""The parent's watch over its children: renews their leases, ends the stuck, reports for all.

It runs in threads of the pool's parent, which does no inference, so that a busy child never looks
dead. It reads each child's note, so a child needs not answer anything.

One thread watches and never asks Redis anything, so that whatever Redis does it goes on each
second: it ends what is overdue and touches the file that says this worker is alive. The other
reports: it renews leases, gives back what the ended held, and waits for Redis no longer than it
takes for the others to believe that this worker died.
"""

import contextlib
import math
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from redis.exceptions import RedisError

from shared.bell import Stage
from shared.ledger.leases import Leases
from shared.ledger.states import Recycled
from shared.settings import Settings
from shared.steps import note
from worker.context import EXIT_DEVICE, EXIT_FATAL, manifest_file, worker_folder
from worker.liveness import alive_file, loaded_file
from worker.note import ChildState, leaving_mark, read_notes
from worker.recycling import resident_bytes
from worker.starts import FruitlessEnd, Starts

log = structlog.get_logger()

LEAVE_SLACK_S = 1.5
"""Seconds beyond its grace that a worker told to stop has to let go of what it holds. What it then
still waits for, a Redis or a store that is away, its parent doesn't: the lease tells others."""

RENEW_WITHIN_S = 1.0
"""Seconds the parent waits for Redis. After an outage all leases have lapsed, and the reconciler
takes one that it sees lapsed for two more: by then a new connection must have renewed it."""

SUMMED = ("busy_s", "shift_s")
"""Facts of children that are added up: who divides their growths sees no replaced child in it."""


class Keeper(threading.Thread):
    """Watches the children of one worker.

    Args:
        stage: what the worker does.
        worker: its name.
        own: names of incarnations that are threads of this very process.
        on_fatal: called with the reason and the exit code when this worker should end.
    """

    def __init__(
        self,
        settings: Settings,
        stage: Stage,
        worker: str,
        leases: Leases,
        *,
        own: Callable[[], list[str]],
        on_fatal: Callable[[str, int], None],
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._reporter = threading.Thread(target=self._report_on, name="reporter", daemon=True)
        self._settings = settings
        self._stage = stage
        self._worker = worker
        self._leases = leases
        self._own = own
        self._on_fatal = on_fatal
        self._folder = worker_folder(settings, worker)
        self._interval_s = min(1.0, settings.lease_s / 5)
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._starts = Starts()
        self._killed: set[str] = set()
        self._leaving = False
        self._leave_by = math.inf
        self._started_at = time.time()
        self._recycled: Counter[Recycled] = Counter()
        self._summed = dict.fromkeys(SUMMED, 0.0)
        self._last_recycle: dict[str, Any] | None = None
        self._kills = 0
        self._loading_since: float | None = None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        loaded_file(settings, worker).unlink(missing_ok=True)
        self._loaded = False

    @property
    def alive_file(self) -> Path:
        """Touched at every round: what a container's probe looks at."""
        return alive_file(self._settings, self._worker)

    def leave(self) -> None:
        """Know from now on that children end because the worker was told to stop; tell them."""
        if not self._leaving:
            self._leave_by = time.monotonic() + self._settings.soft_shutdown_s + LEAVE_SLACK_S
        self._leaving = True
        with contextlib.suppress(OSError):
            leaving_mark(self._folder).touch()

    def run(self) -> None:
        """Look after the children until told to stop."""
        self._reporter.start()
        while not self._stopping.is_set():
            self.watch()
            self._stopping.wait(self._interval_s)

    def watch(self) -> None:
        """Do one round of what needs no Redis: show life, and end what is overdue."""
        with contextlib.suppress(OSError):  # a full disk must not end the watch
            self.alive_file.touch()
        for _, child in read_notes(self._folder):
            self._heed(child)
            if not self._loaded and child.phase not in {"loading", "fatal"}:
                with contextlib.suppress(OSError):
                    loaded_file(self._settings, self._worker).touch()
                    self._loaded = True
            late = time.monotonic() > self._leave_by and child.pid != os.getpid()
            if (child.overdue or late) and child.running:
                self._kill(child)
            if not child.running:
                self._news.set()

    def _heed(self, child: ChildState) -> None:
        if child.fatal is not None:
            self._on_fatal(child.fatal, EXIT_FATAL)

    def _report_on(self) -> None:
        while not self._stopping.is_set():
            began_at = time.monotonic()
            self._news.clear()
            self.report()
            # An answer that was waited for in vain leaves no time to lose.
            self._news.wait(max(0.05, began_at + self._interval_s - time.monotonic()))

    def report(self) -> None:
        """Do one round of what Redis is needed for: renew leases, give back what the dead held."""
        children = read_notes(self._folder)
        living = [child for _, child in children if child.running]
        try:
            self._leases.renew([child.incarnation for child in living] + self._own())
            self._leases.announce(self._worker, self._describe(living) | self._sums(children))
            self._restore_engine()
            for path, child in children:
                if not child.running:
                    self._bury(path, child)
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
        note("cut", pid=child.pid, how="deadline")
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        self._kills += 1
        self._killed.add(child.incarnation)
        for _ in range(100):
            if not child.running:
                return
            time.sleep(0.01)

    def _bury(self, path: Path, child: ChildState) -> None:
        """Give back what an ended child held, now rather than when its lease lapses.

        Raises:
            RedisError: its note stays, and so the next round tries again.
        """
        self._heed(child)  # its note may come and go between two rounds of the watch
        mid_work = child.phase not in {"idle", "loading", "unloaded", "fatal"}
        reason = self._why_ended(child)
        held = self._leases.held_segments(child.incarnation)
        self._leases.release(child.incarnation, stopped=self._leaving)
        if not self._leaving:
            self._leases.count("children_killed" if mid_work else "recycles")
            self._leases.count(f"recycled.{reason}")
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
        path.with_suffix(".due").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        for fact in SUMMED:
            self._summed[fact] += child.facts.get(fact, 0.0)
        self._recycled[reason] += 1
        self._last_recycle = {"reason": reason.value, "at": time.time()}
        log.info(
            "child replaced",
            action="recycle",
            pid=child.pid,
            phase=child.phase,
            mid_work=mid_work,
            reason=reason.value,
        )
        if self._stage is Stage.SYNTH and not self._leaving:
            # What somebody else has taken back already, after its lease lapsed, is not known.
            self._judge(child, held if held or not mid_work else None)
        self._killed.discard(child.incarnation)

    def _why_ended(self, child: ChildState) -> Recycled:
        if child.fatal is not None:
            return Recycled.FATAL
        if child.incarnation in self._killed:
            return Recycled.DEADLINE
        if child.lost is not None:
            return Recycled.LOAD if child.phase == "loading" else Recycled.DEVICE
        return Recycled(child.reason or Recycled.PLANNED) if child.replaced else Recycled.DIED

    def _judge(self, child: ChildState, held: frozenset[str] | None) -> None:
        """End this worker when one child after another ends without having done anything."""
        if child.finished:
            self._starts.bore_fruit()
        if child.replaced or not child.fruitless:
            return
        if child.incarnation in self._killed:
            how = "killed at its deadline"
        else:
            how = child.lost or "ended without a word (killed, or crashed)"
        reason = self._starts.bore_none(FruitlessEnd(f"{child.phase}: {how}", held))
        if reason is not None:
            self._on_fatal(reason, EXIT_DEVICE)

    def _describe(self, children: list[ChildState]) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for child in children:
            facts |= child.facts
        phases = [child.phase for child in children]
        busy = [phase for phase in phases if phase not in {"idle", "loading", "unloaded"}]
        rest = next((one for one in ("loading", "unloaded") if one in phases), "idle")
        state = busy[0] if busy else rest if phases else "loading"
        if state != "loading":
            self._loading_since = None
        else:
            self._loading_since = self._loading_since or time.monotonic()
            facts["loading_s"] = round(time.monotonic() - self._loading_since, 1)
        return {
            "id": self._worker,
            "role": self._stage.value,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "state": state,
            "children": len(children),
            "device": self._device(),
            "recycles": self._recycled.total(),
            "recycled": {reason.value: number for reason, number in self._recycled.items()},
            "last_recycle": self._last_recycle,
            "deadline_kills": self._kills,
            "resident_bytes": sum(resident_bytes(child.pid) for child in children),
            "started_at": self._started_at,
            "heartbeat_at": time.time(),
            **facts,
        }

    def _sums(self, children: list[tuple[Path, ChildState]]) -> dict[str, float]:
        """Return what counts over all children since the worker was started, if anything does."""
        known = {fact for fact in SUMMED if self._summed[fact]}
        known |= {fact for _, child in children for fact in SUMMED if fact in child.facts}
        return {
            fact: self._summed[fact] + sum(child.facts.get(fact, 0.0) for _, child in children)
            for fact in known
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
        self._news.set()
        self.join(5)
        if self._reporter.ident is not None:
            self._reporter.join(5)
        children = [(p, child) for p, child in read_notes(self._folder) if child.pid != os.getpid()]
        for _, child in children:
            if child.running:
                self._kill(child)
        with contextlib.suppress(RedisError):  # then the leases lapse
            for path, child in children:
                self._bury(path, child)
            for incarnation in self._own():
                self._leases.release(incarnation, stopped=True)
            self._leases.withdraw(self._worker)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.alive_file.unlink(missing_ok=True)
        loaded_file(self._settings, self._worker).unlink(missing_ok=True)
