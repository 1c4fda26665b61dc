"""What every stage has: settings, ledger, storage, and patience with a store that is away."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from shared.errors import LostLease, StorageUnavailable
from shared.ledger.work import WorkLedger
from shared.settings import Settings
from shared.storage import Storage
from worker.note import Note

T = TypeVar("T")
log = structlog.get_logger()

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2.0


@dataclass
class Stage:
    """The parts that all stages share."""

    settings: Settings
    ledger: WorkLedger
    storage: Storage
    note: Note

    def persist(self, step: Callable[[], T]) -> T:
        """Do `step` again and again while Redis or the store is away: finished work is not lost.

        Raises:
            StorageUnavailable, RedisError: it was away for `store_timeout_s`.
        """
        give_up_at = time.monotonic() + self.settings.store_timeout_s
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return step()
            except (StorageUnavailable, RedisError) as error:
                # What Redis answers with an error is no outage, except that it is full or loading.
                if time.monotonic() + wait_s > give_up_at:
                    raise
                log.warning("waiting to record", action="persist", error=str(error)[:200])
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def give_up(self, step: Callable[[], None]) -> None:
        """Record by `step` that a claim can't be finished; a lost lease is no matter."""
        with contextlib.suppress(LostLease):
            self.persist(step)
