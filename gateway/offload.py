"""Work on a request's text: here when it is short, in a thread when it could hold others up."""

from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread

INLINE_CHARS = 16_384
"""Below this the work takes less than the switch to a thread and back, which can cost 5 ms."""

T = TypeVar("T")


async def offload(size: int, work: Callable[[], T]) -> T:
    """Return what `work` returns.

    Args:
        size: characters or bytes that it goes over.
        work: pure; it runs in a thread when `size` is large.
    """
    return work() if size < INLINE_CHARS else await to_thread.run_sync(work)
