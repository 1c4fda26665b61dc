"""Celery's pool of processes, replacing a child as soon as it has ended, and ending it in its time.

A child asks itself between two tasks, and each second that none comes, whether it should end:
`worker.recycling` says why it might. It then ends as one that had its share of tasks does, so that
what was sent to it in that very moment goes to the next.
"""

import sys
from typing import Any

from billiard.pool import EX_RECYCLE
from celery.concurrency import asynpool, prefork

from worker import tasks

REAPED_WITHIN_S = 1.0

ASKED_EVERY_S = 1.0
"""How often a child without a task asks itself whether it should end."""


class _Child(asynpool.Worker):
    inq: Any
    wait_for_job: Any

    def _make_child_methods(self, *args: Any, **kwargs: Any) -> None:
        super()._make_child_methods(*args, **kwargs)  # type: ignore[misc]
        wait = self.wait_for_job
        worked = False

        def wait_for_job() -> Any:
            nonlocal worked
            if tasks.stages.should_end(worked=worked):
                sys.exit(EX_RECYCLE)
            # Waiting itself knows no end; the loop around asks again after None.
            job = wait() if self.inq._reader.poll(ASKED_EVERY_S) else None
            worked = job is not None
            return job

        self.wait_for_job = wait_for_job


class _Pool(asynpool.AsynPool):
    Worker = _Child

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
