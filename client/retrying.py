"""When a call is made again, and after how long.

Every call of this client is safe to repeat: submissions carry an Idempotency-Key.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from client.errors import KokoroClusterError, RateLimited, Unavailable, Unreachable


@dataclass(frozen=True)
class Retry:
    """How patient a client is.

    Attributes:
        tries: of one call, the first included; 1 never tries again.
        first_s: wait before the second try; it doubles with each further one.
        most_s: longest wait of the client's own choice.
        most_asked_s: longest wait a server's Retry-After may ask for; past it the error is raised.
    """

    tries: int = 5
    first_s: float = 0.25
    most_s: float = 8.0
    most_asked_s: float = 90.0

    def wait_s(
        self,
        tried: int,
        error: KokoroClusterError,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """Return seconds until the next try, or None when the error is the caller's to handle.

        Args:
            tried: tries so far, from 1.
            error: what the last one met.
            chance: a number in [0, 1), so that many clients do not come back at once.
        """
        if tried >= self.tries:
            return None
        asked_s = None
        if isinstance(error, RateLimited | Unavailable):
            asked_s = error.retry_after_s
        elif not isinstance(error, Unreachable):
            return None
        own_s = min(self.most_s, self.first_s * 2.0 ** (tried - 1)) * (0.5 + 0.5 * chance())
        if asked_s is None:
            return own_s
        if asked_s > self.most_asked_s:
            return None
        return asked_s + min(own_s, 0.1 * asked_s)


@dataclass(frozen=True)
class Again:
    """A call that will be tried again: what `on_retry` is told."""

    error: KokoroClusterError
    tried: int
    wait_s: float


def retry_after_s(value: str | None, now_s: Callable[[], float] = time.time) -> float | None:
    """Read a `Retry-After` header: seconds or a date; None for one that is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s())
    except ValueError:
        return None
