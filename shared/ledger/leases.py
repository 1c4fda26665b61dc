"""The ledger as a worker's parent and the reconciler see it: who lives, and what the dead held."""

import json
from typing import Any

import redis

from shared.ledger.scripts import script, text

WORKER_TTL_S = 10
"""Seconds a worker is listed after its last heartbeat."""


class Leases:
    """Renews and releases what incarnations hold. Raises redis-py's `RedisError`."""

    def __init__(self, client: redis.Redis, *, lease_s: float) -> None:
        self.client = client
        self._lease_ms = int(lease_s * 1000)
        self._release = client.register_script(script("release"))
        self._renew = client.register_script(script("renew"))
        self._register = client.register_script(script("register_engine"))
        self._announce = client.register_script(script("announce"))

    def renew(self, incarnations: list[str]) -> None:
        """Prove these incarnations alive for another lease: O(1) each, whatever they hold."""
        if not incarnations:
            return
        self._renew(args=[self._lease_ms, *incarnations])

    def release(self, incarnation: str, *, stopped: bool) -> None:
        """Give back all that an ended process held.

        Args:
            incarnation: the process; the caller knows for certain that it has ended.
            stopped: True when it was stopped on purpose: its attempts don't count.
        """
        how = "stopped" if stopped else "died"
        self._release(args=[incarnation, how, "1"])

    def release_if_dead(self, incarnation: str) -> None:
        """Give back what an incarnation held, unless its lease is alive."""
        self._release(args=[incarnation, "died", "0"])

    def held_segments(self, incarnation: str) -> frozenset[str]:
        """Return the segments an incarnation holds, begun or claimed ahead, each as `uid|index`."""
        items = [text(item) for item in self.client.smembers(f"kc:held:{incarnation}")]
        parts = [item.split("|") for item in items]
        return frozenset(f"{uid}|{index}" for kind, uid, index, *_ in parts if kind == "segment")

    def lapsed(self) -> list[str]:
        """Return the incarnations whose lease has run out.

        A lease that is longer than any is made so by a clock of Redis's that was set back; it is
        cut to its length, and whoever lives renews it before that is over.
        """
        names = [text(name) for name in self.client.smembers("kc:incarnations")]
        if not names:
            return []
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.pttl(f"kc:alive:{name}")
        left_ms = dict(zip(names, pipe.execute(), strict=True))
        for name, ms in left_ms.items():
            if ms > 2 * self._lease_ms:
                self.client.pexpire(f"kc:alive:{name}", self._lease_ms)
        return [name for name, ms in left_ms.items() if ms < 0]

    def announce(self, worker: str, state: dict[str, Any]) -> None:
        """List this worker, with `state`, for the next `WORKER_TTL_S` seconds."""
        self._announce(args=[worker, json.dumps(state), WORKER_TTL_S])

    def restore_engine(self, manifest: str) -> bool:
        """Write down again what the cluster speaks with, if the ledger has lost it.

        It is never deleted, so the ledger lost all else with it. True for the first of all workers
        that notices.
        """
        if not self._register(args=[manifest, 1]):
            return False
        self.count("ledger_losses")
        return True

    def withdraw(self, worker: str) -> None:
        """Take this worker off the list."""
        self.client.delete(f"kc:worker:{worker}")
        self.client.srem("kc:workers", worker)

    def count(self, name: str, by: float = 1) -> None:
        """Add to one of the cluster's running totals."""
        self.client.hincrbyfloat("kc:totals", name, by)
