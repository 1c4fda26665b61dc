"""One sweep at an operator's word, or what it would delete.

In: what the ledger says has had its time, and what the store holds. Out: each thing deleted, with
how many objects and bytes it was. The reconciler does the same piecemeal, except for what the
ledger knows nothing of.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeVar

from shared.errors import ObjectMissing, PermanentError
from shared.ledger.upkeep import Upkeep
from shared.settings import Settings
from shared.storage import Storage

T = TypeVar("T")

STAGED_AGE_S = 3600.0
"""Age from which a half-written file is a killed writer's and no longer somebody's work."""

AT_ONCE = 500
"""Objects that the ledger is asked about, and that are deleted, at a time."""


class EmptyLedger(PermanentError):
    """Nothing is known of any object: a sweep of unknown ones would delete all there is."""

    code = "empty_ledger"


class Kind(StrEnum):
    """What a sweep deletes."""

    JOB_AUDIO = "job_audio"
    """The files of a job whose time to live is over, or that was deleted."""
    RECORD = "record"
    """The record of a job whose audio has long been deleted."""
    SEGMENT = "segment"
    """Segment audio that nothing used for long, or that no finished attempt left behind."""
    STAGED = "staged"
    """A file that a killed writer left half-written in a local store."""
    UNKNOWN = "unknown"
    """An object that the ledger knows nothing of, as after the loss of its data."""


@dataclass(frozen=True)
class Swept:
    """One thing deleted, or to be.

    Attributes:
        name: an object's key, a folder's with `/` after it, a job's uid, or a file's path.
        objects: how many in the store.
        bytes: their size together.
    """

    kind: Kind
    name: str
    objects: int = 0
    bytes: int = 0


class Sweep:
    """A sweep over ledger and store. Raises `RedisError` and `StorageUnavailable`."""

    def __init__(self, settings: Settings, upkeep: Upkeep, storage: Storage) -> None:
        self._settings = settings
        self._upkeep = upkeep
        self._storage = storage

    def preview(self, *, unknown: bool = False) -> Iterator[Swept]:
        """Yield what `run` would delete now; deletes nothing.

        Args:
            unknown: also what the ledger knows nothing of, if it is as old as unused segments are.
        """
        seen: set[str] = set()
        names = (
            name
            for source in (
                self._upkeep.garbage(),
                (f"jobs/{uid}/" for uid in self._upkeep.due_audio()),
                self._upkeep.due_segments(unused_s=self._settings.segment_ttl_s),
            )
            for name in source
        )
        for name in names:
            if name not in seen:
                seen.add(name)
                yield from self._weigh(name)
        for uid in self._upkeep.due_records():
            yield Swept(Kind.RECORD, uid)
        if self._settings.record_ttl_s == 0:
            for uid in self._upkeep.due_audio():
                yield Swept(Kind.RECORD, uid)
        for path, size in self._storage.staged(older_than_s=STAGED_AGE_S):
            yield Swept(Kind.STAGED, str(path), 1, size)
        if unknown:
            yield from (item for item in self._unknown() if item.name not in seen)

    def run(self, *, unknown: bool = False) -> Iterator[Swept]:
        """Delete all that has had its time; yield each thing once it is gone.

        Args:
            unknown: as in `preview`.

        Raises:
            EmptyLedger: unknown objects are to go, and the ledger knows none at all.
        """
        while self._upkeep.purge_audio(record_ttl_s=self._settings.record_ttl_s):
            pass
        while stale := self._upkeep.stale_records():
            for uid in stale:
                self._upkeep.delete_job(uid)
                yield Swept(Kind.RECORD, uid)
        while self._upkeep.forget_audio(unused_s=self._settings.segment_ttl_s):
            pass
        for name in self._upkeep.garbage():
            weighed = list(self._weigh(name))
            self._delete(name)
            yield from weighed
        for path, size in list(self._storage.staged(older_than_s=STAGED_AGE_S)):
            path.unlink(missing_ok=True)
            yield Swept(Kind.STAGED, str(path), 1, size)
        if unknown:
            found = self._unknown()
            while some := list(islice(found, AT_ONCE)):
                self._storage.delete([item.name for item in some])
                yield from some

    def _delete(self, name: str) -> None:
        if name.endswith("/"):
            self._storage.delete([item.key for item in self._storage.list(name[:-1])])
        else:
            self._storage.delete([name])
        self._upkeep.swept(name)

    def _weigh(self, name: str) -> Iterator[Swept]:
        """Yield what lies under a name of garbage, if anything does."""
        if name.endswith("/"):
            sizes = [item.size for item in self._storage.list(name[:-1])]
            if sizes:
                yield Swept(Kind.JOB_AUDIO, name, len(sizes), sum(sizes))
            return
        try:
            kind = Kind.JOB_AUDIO if name.startswith("jobs/") else Kind.SEGMENT
            yield Swept(kind, name, 1, self._storage.size(name))
        except ObjectMissing:
            return

    def _unknown(self) -> Iterator[Swept]:
        if self._upkeep.is_empty():
            raise EmptyLedger(
                "The ledger is empty, so that no object is known: restore it first, or delete the "
                "store's folder by hand."
            )
        before = time.time() - self._settings.segment_ttl_s
        for folder in ("segments", "jobs"):
            old = (
                item for item in self._storage.list(folder) if item.modified.timestamp() < before
            )
            for some in _chunks(old, AT_ONCE):
                known = self._upkeep.known_objects([item.key for item in some])
                for item in some:
                    if item.key not in known:
                        yield Swept(Kind.UNKNOWN, item.key, 1, item.size)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
