"""Puts right what a crash left half-done: idempotent, and any number may run.

Every round: items of the dead go back to their queues, stages with work and nobody on the way are
rung, and jobs past their deadline end. What nothing refers to any more is swept by a thread of its
own: a store that is slow or hangs keeps nobody's work waiting.
"""

import contextlib
import threading
import time
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from shared.bell import Bell, Stage
from shared.errors import StorageUnavailable
from shared.ledger.leases import Leases
from shared.ledger.upkeep import Upkeep
from shared.settings import Settings
from shared.steps import Step, reached
from shared.storage import Storage

log = structlog.get_logger()

SWEEP_INTERVAL_S = 30.0
STAGED_INTERVAL_S = 3600.0
STOP_SWEEPING_S = 2.0
"""How long a reconciler told to stop waits for a deletion; one cut short is made again later."""
GRACE_S = 2.0
"""How long a lease must be seen lapsed, Redis answering all the while, before it is taken.

After Redis was away every lease has lapsed at once, and every parent renews within a second.
"""
COLD_S = 3.0
"""While no synth worker has its model, a job waits for so long before one more is woken: the one
that was is heard of within a second."""
HURRY_S = 0.2
"""Between two rounds while some lease is seen lapsed: somebody's job waits for the grace to end."""


class Reconciler:
    """One round after another: of recovery in the caller's thread, of sweeping beside it.

    Args:
        settings: intervals and times to live.
        leases: what the dead held.
        upkeep: what time does to jobs.
        bell: rings stages.
        storage: whose objects are swept.
        alive: touched at each round, whether or not Redis answered; None for none.
    """

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        upkeep: Upkeep,
        bell: Bell,
        storage: Storage,
        *,
        alive: Path | None = None,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._upkeep = upkeep
        self._bell = bell
        self._storage = storage
        self._alive = alive
        self._lapsed_since: dict[str, float] = {}
        self._loading_since: float | None = None
        self._cold_rung_at = -COLD_S
        self._swept_at = -SWEEP_INTERVAL_S
        self._staged_swept_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop; an outage of Redis or the store only delays a round."""
        sweeper = threading.Thread(target=self._sweep_on, args=(stop,), name="sweeper", daemon=True)
        sweeper.start()
        if self._alive is not None:
            self._alive.parent.mkdir(parents=True, exist_ok=True)
        while not stop.wait(self._pause_s()):
            self._show_life()
            try:
                self.recover()
            except RedisError as error:
                self._lapsed_since.clear()
                log.warning("ledger away", action="reconcile", error=str(error)[:200])
        sweeper.join(STOP_SWEEPING_S)
        if self._alive is not None:
            self._alive.unlink(missing_ok=True)

    def _show_life(self) -> None:
        if self._alive is not None:
            with contextlib.suppress(OSError):  # a full disk must not end the rounds
                self._alive.touch()

    def _pause_s(self) -> float:
        interval_s = self._settings.reconcile_interval_s
        return min(interval_s, HURRY_S) if self._lapsed_since else interval_s

    def _sweep_on(self, stop: threading.Event) -> None:
        while not stop.wait(self._settings.reconcile_interval_s):
            try:
                self.tidy()
            except RedisError as error:
                log.warning("ledger away", action="sweep", error=str(error)[:200])
            except StorageUnavailable as error:
                log.warning("store away", action="sweep", error=error.message[:200])

    def recover(self) -> None:
        """Do one round of what somebody waits for; it never asks the store."""
        self.release_the_dead()
        self._upkeep.expire_jobs()
        self._upkeep.cancel_batches()
        self.ring_the_unattended()

    def tidy(self) -> None:
        """Do one round of deleting."""
        if time.monotonic() - self._swept_at >= SWEEP_INTERVAL_S:
            self._swept_at = time.monotonic()
            self.sweep()
        self.empty_garbage()
        self.sweep_staged()

    def release_the_dead(self) -> None:
        """Take back what processes held whose lease has stayed lapsed."""
        now = time.monotonic()
        lapsed = self._leases.lapsed()
        self._lapsed_since = {name: self._lapsed_since.get(name, now) for name in lapsed}
        for name, since in self._lapsed_since.items():
            if now - since >= min(GRACE_S, self._settings.lease_s):
                log.warning("lease lapsed", action="release", incarnation=name)
                self._leases.release_if_dead(name)
                reached(Step.RECONCILE_RELEASED, incarnation=name)

    def ring_the_unattended(self) -> None:
        """Ring each stage that has work and no wake-up on its way."""
        backlog = self._upkeep.backlog()
        for stage in Stage:
            if not getattr(backlog, stage.value) or self._bell.waiting(stage):
                continue
            if stage is Stage.SYNTH and not self._may_wake(backlog.synth_age_s):
                continue
            self._bell.ring(stage)

    def _may_wake(self, waiting_s: float) -> bool:
        """Return whether a synth worker may be woken: not if that loads a model for nothing.

        One that loads already for this work wakes others when it claims and leaves some.
        """
        now = time.monotonic()
        states = self._upkeep.synth_states()
        cold = bool(states) and all(state in {"loading", "unloaded"} for state in states)
        if not cold or "loading" not in states:
            self._loading_since = None
        if not cold:
            return True
        if "loading" in states:
            if self._loading_since is None:
                self._loading_since = now
            return now - self._loading_since > self._settings.model_load_timeout_s
        if waiting_s < COLD_S or now - self._cold_rung_at < COLD_S:
            return False
        self._cold_rung_at = now
        return True

    def sweep(self) -> None:
        """Delete what its time to live has passed."""
        purged = self._upkeep.purge_audio(record_ttl_s=self._settings.record_ttl_s)
        stale = self._upkeep.stale_records()
        for uid in stale:
            self._upkeep.delete_job(uid)
        forgotten = self._upkeep.forget_audio(unused_s=self._settings.segment_ttl_s)
        if purged or stale or forgotten:
            # There may be more than one helping: go on in the next round.
            self._swept_at = -SWEEP_INTERVAL_S
            log.info("swept", action="sweep", jobs=purged, records=len(stale), segments=forgotten)

    def sweep_staged(self) -> None:
        """Delete what writers killed in the middle left in a local store."""
        if time.monotonic() - self._staged_swept_at >= STAGED_INTERVAL_S:
            self._staged_swept_at = time.monotonic()
            self._storage.sweep_staged(older_than_s=STAGED_INTERVAL_S)

    def empty_garbage(self) -> None:
        """Delete the objects that nothing refers to any more."""
        for name in self._upkeep.garbage():
            folder = name.removesuffix("/")
            whole = folder != name
            self._storage.delete([o.key for o in self._storage.list(folder)] if whole else [name])
            reached(Step.SWEEP_DELETED, name=name)
            self._upkeep.swept(name)
