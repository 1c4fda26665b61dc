"""`KokoroCluster.batches`."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from client import batches
from client.answers import Delivery, Job
from client.batches import Batch
from client.errors import WaitTimedOut
from client.sync.sender import Sender


class Batches:
    """Many jobs as one resource."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def submit(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        webhook: str | Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """Make up to 1,000 jobs, all or none.

        An item has its text as `input` (or `segments`, `chapters`) and the options of `submit`; its
        `priority` is `batch` unless it says otherwise, its `custom_id` its place unless it has one.
        """
        body = batches.batch_body(items, webhook, metadata)
        return self._sender.send(batches.submit(body, idempotency_key))

    def get(self, batch: Batch | str) -> Batch:
        """Look at a batch."""
        return self._sender.send(batches.get(batch))

    def list(self) -> Iterator[Batch]:
        """Go through all batches, newest first."""
        after: str | None = None
        while True:
            page = self._sender.send(batches.listing(100, after))
            yield from page.data
            after = page.after
            if after is None:
                return

    def jobs(self, batch: Batch | str, *, status: str | None = None) -> Iterator[Job]:
        """Go through a batch's jobs in their order."""
        after: str | None = None
        while True:
            page = self._sender.send(batches.jobs(batch, after, status))
            yield from page.data
            after = page.after
            if after is None:
                return

    def cancel(self, batch: Batch | str) -> Batch:
        """End all jobs of a batch that have not ended."""
        return self._sender.send(batches.cancel(batch))

    def deliveries(self, batch: Batch | str) -> tuple[Delivery, ...]:
        """Return what became of a batch's own webhook."""
        return self._sender.send(batches.deliveries(batch)).data

    def delete(self, batch: Batch | str) -> None:
        """Remove a batch that has ended, with all its jobs and all they left."""
        self._sender.send(batches.delete(batch))

    def wait(
        self,
        batch: Batch | str,
        on_progress: Callable[[Batch], None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Batch:
        """Return a batch once all its jobs have ended.

        Raises:
            WaitTimedOut: they have not in time; they go on.
        """
        began_s, looks = time.monotonic(), 0
        while True:
            found = self.get(batch)
            if on_progress is not None:
                on_progress(found)
            if found.ended:
                return found
            wait_s = batches.look_s(looks)
            looks += 1
            if timeout_s is not None:
                left_s = began_s + timeout_s - time.monotonic()
                if left_s <= 0:
                    raise WaitTimedOut(found.id, timeout_s)
                wait_s = min(wait_s, left_s)
            time.sleep(wait_s)
