"""The Celery side of the four stages. A wake-up carries no data: the ledger has it all."""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

import structlog
from billiard.pool import EX_OK, EX_RECYCLE
from celery import shared_task, signals
from redis.exceptions import RedisError

from shared import tracing
from shared.bell import Stage as StageName
from shared.errors import ClusterError
from shared.ledger.states import Recycled
from shared.process import begin_process
from shared.settings import Settings, load_settings
from shared.steps import Step, reached
from worker import way
from worker.context import build_stage, doze, fatal_to_note, new_incarnation, worker_folder
from worker.note import asleep_mark
from worker.recycling import Wear, resident_bytes

log = structlog.get_logger()

SHIFT = 16
"""Items that one wake-up of a CPU stage may work off before its message is acknowledged."""


class TaskFailed(ClusterError):
    """A task failed unexpectedly; the log line before this one says where."""

    code = "task_failed"


class Stages:
    """The stage objects of this process, one a thread: each holds its leases in its own name."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.worker = ""
        self._ending = Recycled.PLANNED
        self._local = threading.local()
        self._lock = threading.Lock()
        self.incarnations: list[str] = []

    def use(self, settings: Settings, worker: str) -> None:
        """Say which worker this process belongs to."""
        self.settings, self.worker = settings, worker

    def current(self) -> Any:
        """Return this thread's stage object, made at first use."""
        if not hasattr(self._local, "stage"):
            if self.settings is None:
                raise RuntimeError("stages.use() was not called in this process")
            name = self._name
            incarnation = self.incarnation()
            is_child = name is not StageName.DELIVER  # that one's are threads
            with (
                self._lock,
                fatal_to_note(self.settings, self.worker, incarnation, is_child=is_child),
            ):
                asleep_mark(worker_folder(self.settings, self.worker)).unlink(missing_ok=True)
                self._local.stage = build_stage(name, self.settings, self.worker, incarnation)
                self.incarnations.append(incarnation)
            if is_child:
                self._local.wear = self._make_wear(self._local.stage)
        return self._local.stage

    @property
    def _name(self) -> StageName:
        return StageName(self.worker.partition(".")[0])

    def incarnation(self) -> str:
        """Return this thread's, the same whenever it is asked for."""
        if not hasattr(self._local, "incarnation"):
            self._local.incarnation = new_incarnation(self.worker)
        return str(self._local.incarnation)

    def _make_wear(self, stage: Any) -> Wear:
        engine = getattr(stage, "engine", None)
        return Wear(
            stage.settings,
            resident=lambda: resident_bytes(os.getpid()),
            device=engine.device_memory if engine is not None else lambda: None,
            unloads=self._name is StageName.SYNTH,
        )

    def enter(self) -> None:
        """Be ready before the first task, unless there has been none for long."""
        if self.settings is None:
            raise RuntimeError("stages.use() was not called in this process")
        if not doze(self.settings, self.worker, self.incarnation()):
            self.current()

    def should_end(self, *, worked: bool) -> bool:
        """Return whether this child should be replaced now, and know why for `leave`.

        Args:
            worked: whether it has just done a task; else it waits for one.
        """
        wear: Wear | None = getattr(self._local, "wear", None)
        if wear is None or self.settings is None or self._local.stage.note.leaving:
            return False
        reason = wear.after_task() if worked else wear.while_idle()
        if reason is None:
            return False
        if reason is Recycled.IDLE:
            try:
                asleep_mark(worker_folder(self.settings, self.worker)).touch()
            except OSError:  # a full disk: the next child would load, and so on for ever
                return False
        log.info("child ends", action="recycle", reason=reason.value)
        self._ending = reason
        return True

    def leave(self) -> None:
        """Tell the parent that this process ends in its time, if it came to have a stage."""
        if hasattr(self._local, "stage"):
            self._local.stage.note.end(self._ending)


stages = Stages()


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Having a receiver of this, Celery and its pool set up no logging of their own."""


@signals.worker_process_init.connect
def _enter_child(sender: str = "", **_: Any) -> None:
    """In a new child: read the settings, load the model if it is likely to be needed soon."""
    settings = load_settings()
    worker = sender.partition("@")[0]
    begin_process(settings, worker)
    stages.use(settings, worker)
    with fatal_to_note(settings, worker, stages.incarnation(), is_child=True):
        tracing.start(worker)
    stages.enter()


@signals.worker_process_shutdown.connect
def _leave_child(exitcode: int | None = None, **_: Any) -> None:
    """In a child that ends: say so if its time is up, so that it does not look like a crash."""
    if exitcode in {EX_OK, EX_RECYCLE}:
        stages.leave()
    tracing.stop()


def _work(fetched: Step, step: Callable[[Any], bool], most: int) -> None:
    """Do up to `most` items; whatever happens, nothing stays held by an idle process.

    Raises:
        TaskFailed: an item raised what no stage handles.
    """
    stage = stages.current()
    reached(fetched)
    failed = False
    try:
        for _ in range(most):
            if not step(stage):
                break
    except Exception:
        # Not so when the worker is told to stop (SystemExit): then the attempt does not count.
        failed = True
        # Celery would log all that the exception says, which may be a piece of a text.
        log.exception("task failed", action="task")
        raise TaskFailed from None
    finally:
        if stage.note.leaving:
            with contextlib.suppress(RedisError):  # then the parent does, or the lease lapses
                stage.ledger.let_go(stopped=not failed)
        else:
            stage.persist(lambda: stage.ledger.let_go(stopped=not failed))


@shared_task(name=StageName.PLAN.task)
def plan() -> None:
    """Plan what waits."""
    _work(Step.PLAN_FETCHED, way.plan, SHIFT)


@shared_task(name=StageName.SYNTH.task)
def synth() -> None:
    """Render what waits, for the length of a shift (`worker.rendering`)."""
    _work(Step.SYNTH_FETCHED, way.synth, 1)


@shared_task(name=StageName.ASSEMBLE.task)
def assemble() -> None:
    """Assemble what waits."""
    _work(Step.ASSEMBLE_FETCHED, way.assemble, SHIFT)


@shared_task(name=StageName.DELIVER.task)
def deliver() -> None:
    """Deliver one webhook."""
    _work(Step.DELIVER_FETCHED, way.deliver, 1)
