"""Celery's pool of processes, replacing a child as soon as it has ended."""

from typing import Any

from celery.concurrency import asynpool, prefork

REAPED_WITHIN_S = 1.0


class _Pool(asynpool.AsynPool):
    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        """Wait for the end of a child that was heard of, then replace it.

        An ending process closes its pipes a moment before it can be waited for. Celery looks once,
        in that moment, and not again for five seconds.
        """
        proc.join(REAPED_WITHIN_S)
        super()._event_process_exit(hub, proc)  # type: ignore[misc]


class TaskPool(prefork.TaskPool):
    """What `worker_pool` names."""

    Pool = _Pool
