"""A few places for many callers: the owner that has the fewest is next, then who had none longest.

So one API key that brings a hundred things makes another wait for one of them, not for all.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Caller:
    owner: str
    turn: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """Gives places out, fairly between owners. For one event loop.

    Args:
        places: how many there are.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[str] = Counter()
        self._served: dict[str, int] = {}
        self._given = 0
        self._waiting: deque[_Caller] = deque()

    @asynccontextmanager
    async def place(self, owner: str, *, wait_s: float) -> AsyncIterator[None]:
        """Hold a place for the length of a block.

        Args:
            owner: on whose behalf.
            wait_s: for how long one is waited for.

        Raises:
            TimeoutError: none came free in time.
        """
        caller = _Caller(owner)
        self._waiting.append(caller)
        self._give()
        try:
            async with asyncio.timeout(wait_s):
                await caller.turn.wait()
        except BaseException:
            self._leave(caller)
            raise
        try:
            yield
        finally:
            self._return(owner)

    def _give(self) -> None:
        while self._free and self._waiting:
            caller = min(self._waiting, key=self._before)  # of equal ones the first
            self._waiting.remove(caller)
            self._free -= 1
            self._held[caller.owner] += 1
            self._given += 1
            self._served[caller.owner] = self._given
            caller.turn.set()

    def _before(self, caller: _Caller) -> tuple[int, int]:
        return self._held[caller.owner], self._served.get(caller.owner, 0)

    def _leave(self, caller: _Caller) -> None:
        """Take a caller off who waits no longer; its turn may have come in the same moment."""
        if caller.turn.is_set():
            self._return(caller.owner)
        else:
            self._waiting.remove(caller)
            self._forget(caller.owner)

    def _return(self, owner: str) -> None:
        self._free += 1
        self._held[owner] -= 1
        self._give()
        self._forget(owner)

    def _forget(self, owner: str) -> None:
        if not self._held[owner] and all(one.owner != owner for one in self._waiting):
            self._held.pop(owner, None)
            self._served.pop(owner, None)
