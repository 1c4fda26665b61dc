"""Tells a sick device from a bad segment, by the child starts that finished nothing.

In: how each child ended. Out: why the worker should end, once that is so.
"""

from collections import deque
from dataclasses import dataclass

STARTS_MOST = 3
"""Child starts in a row without a finished segment after which the worker ends."""


@dataclass(frozen=True)
class FruitlessEnd:
    """The end of a child that had finished no segment since its start.

    Attributes:
        reason: what it was doing and what it died of, as far as that is known.
        held: the segments it held, each as `uid|index`; None where that can't be known.
    """

    reason: str
    held: frozenset[str] | None


class Starts:
    """Counts the starts of one worker's children.

    A segment that ends its process is tried until its attempts are used up, with nothing between
    if nothing else waits. So starts that all held one same segment are its fault and not the
    device's; but of one segment only, until a segment is finished: a sick device that is given one
    at a time would otherwise fail them all, one after another.
    """

    def __init__(self) -> None:
        self._ends: deque[FruitlessEnd] = deque(maxlen=STARTS_MOST)
        self._bad: frozenset[str] = frozenset()

    def bore_fruit(self) -> None:
        """Forget what was: a child finished a segment."""
        self._ends.clear()
        self._bad = frozenset()

    def bore_none(self, end: FruitlessEnd) -> str | None:
        """Count a start; return why the worker should end, if it should."""
        self._ends.append(end)
        if len(self._ends) < STARTS_MOST:
            return None
        known = [past.held for past in self._ends if past.held is not None]
        common = frozenset.intersection(*known) if known else frozenset()
        if common and (not self._bad or common & self._bad):
            self._bad = common
            self._ends.clear()
            return None
        reasons = "; ".join(past.reason for past in self._ends)
        return f"{STARTS_MOST} child starts in a row finished no segment: {reasons}"
