"""Runs one Celery worker: a parent that watches, and children that work."""

import os

# A worker told to stop finishes its task if that fits the grace, and gives it back if not. Celery
# reads this when it is imported.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

import random
import signal
import threading
import warnings
from collections.abc import Callable
from types import FrameType

import structlog
from celery import signals
from celery.exceptions import SecurityWarning

from shared import tracing
from shared.bell import Stage, make_celery
from shared.connections import connect
from shared.ledger.leases import Leases
from shared.settings import Settings
from worker import tasks
from worker.keeper import RENEW_WITHIN_S, Keeper
from worker.pipeline import SHIFT_S

log = structlog.get_logger()


WITHOUT_DEVICE = 20
"""A stage without a device leaks little, has a task for every few jobs where a synth worker has one
for a shift, and loads its dictionaries for seconds: its children are replaced that much later."""


def recycle_after(stage: Stage, settings: Settings) -> int | None:
    """Return the tasks after which a child of the stage is replaced; None: it has threads only."""
    if stage is Stage.DELIVER:
        return None
    tasks = settings.recycle_after_jobs * (1 if stage is Stage.SYNTH else WITHOUT_DEVICE)
    return tasks - random.randint(0, int(tasks * settings.recycle_jitter))  # noqa: S311


def children_of(stage: Stage, settings: Settings) -> int:
    """Return how many processes (for `deliver`: threads) the stage's worker has."""
    return {
        Stage.PLAN: settings.plan_workers,
        Stage.SYNTH: 1,  # one model, one device, one process
        Stage.ASSEMBLE: settings.assemble_workers,
        Stage.DELIVER: settings.deliver_workers,
    }[stage]


def run_worker(stage: Stage, settings: Settings, name: str = "0") -> int:
    """Run the worker `<stage>.<name>` until it is told to stop; return its exit code.

    That is `EXIT_FATAL` if it can never work as it is set up, and `EXIT_DEVICE` if its children
    end one after another without having finished a segment.

    This process never touches CUDA: children are spawned, not forked, and load the model.
    """
    # Celery warns root of pickled messages; ours are empty, and nothing but JSON is accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    tracing.check()  # now, and not by one child after another
    os.nice(settings.nice)
    worker = f"{stage}.{name}"
    ended: list[tuple[int, str]] = []
    once = threading.Lock()

    def end(reason: str, code: int) -> None:
        if once.acquire(blocking=False):  # a second SIGTERM would cut the first one's grace short
            ended.append((code, reason))
            log.critical("worker ends", action="end", worker=worker, error=reason)
            keeper.leave()  # before the next child takes anything on
            os.kill(os.getpid(), signal.SIGTERM)

    client = connect(settings.redis, retries=0, within_s=RENEW_WITHIN_S)
    keeper = Keeper(
        settings,
        stage,
        worker,
        Leases(client, lease_s=settings.lease_s),
        own=lambda: list(tasks.stages.incarnations),
        on_fatal=end,
    )
    threads = stage is Stage.DELIVER
    if threads:
        tracing.start(worker)
        tasks.stages.use(settings, worker)
        tasks.stages.current()  # a bad setting shows now, not at the first webhook

    app = make_celery(settings)
    app.conf.update(
        imports=["worker.tasks"],
        worker_redirect_stdouts=False,
        worker_concurrency=children_of(stage, settings),
        worker_pool="threads" if threads else "worker.pool:TaskPool",
        worker_pool_start_method="spawn",
        worker_max_tasks_per_child=recycle_after(stage, settings),
        # A last resort: the keeper ends a child that loads for too long, and knows why.
        worker_proc_alive_timeout=settings.model_load_timeout_s * 10 + 60,
        worker_soft_shutdown_timeout=settings.soft_shutdown_s,
        worker_enable_remote_control=False,
        task_time_limit=None if threads else _time_limit_s(stage, settings),
    )

    # Celery tells only after it has waited for the task under way, which should hear of it first.
    @signals.worker_ready.connect(weak=False)
    def _hear_first(**_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            _call_before(number, keeper.leave)

    @signals.worker_shutting_down.connect(weak=False)
    def _leave(**_: object) -> None:
        keeper.leave()

    keeper.start()
    try:
        app.Worker(
            hostname=f"{worker}@{os.uname().nodename}",
            queues=[stage.queue],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel=settings.log_level,
            quiet=True,
        ).start()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    else:
        code = 0
    finally:
        keeper.stop()
        tracing.stop()
    if ended:
        code, reason = ended[0]
        # Once more: whoever looks for why it ended looks at the log's last line.
        log.critical("worker ended", action="end", worker=worker, code=code, error=reason)
    return code


def _call_before(number: signal.Signals, call: Callable[[], None]) -> None:
    """Have a call made whenever a signal comes, before what is done about it now."""
    handler = signal.getsignal(number)
    if not callable(handler) or getattr(handler, "calls", None) == call:
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        call()
        handler(signum, frame)

    handle.calls = call  # type: ignore[attr-defined]
    signal.signal(number, handle)


def _time_limit_s(stage: Stage, settings: Settings) -> float:
    """Return the last resort: the keeper ends a stuck child by its own, tighter deadlines."""
    most = {
        Stage.PLAN: settings.plan_timeout_s * tasks.SHIFT,
        # The last batch begun in a shift, and one that was claimed ahead of it; and then storing.
        # Before all that, loading a model that was given back while nothing came.
        Stage.SYNTH: SHIFT_S + 2 * settings.render_budget_s + settings.model_load_timeout_s * 10,
        Stage.ASSEMBLE: settings.assemble_timeout_s * tasks.SHIFT,
        Stage.DELIVER: settings.webhook_timeout_s,
    }[stage]
    return most + settings.store_timeout_s + 60
