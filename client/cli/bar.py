"""How far a job is, on stderr: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from client.cli.output import duration, note
from client.watching import Update

EVERY_S = 10.0
"""Between lines where there is no terminal."""

STAGES = {"plan": "planning", "render": "speaking", "assemble": "assembling"}


def describe(update: Update) -> str:
    """Say in a few words how a job stands."""
    if update.job is not None or update.status not in {"queued", "processing"}:
        return update.status
    if update.status == "queued":
        ahead = update.queue_position
        return "queued" if not ahead else f"queued, {ahead} ahead"
    return STAGES.get(update.stage, "speaking" if update.share else "planning")


def details(update: Update) -> str:
    """Say how much is done and how long the rest takes."""
    progress = update.progress
    parts = []
    if progress.segments_total:
        parts.append(f"{progress.segments_done}/{progress.segments_total}")
    if progress.audio_s:
        parts.append(f"{duration(progress.audio_s)} of audio")
    if update.eta_s is not None and update.job is None:
        parts.append(f"{duration(update.eta_s)} left")
    return ", ".join(parts)


class Bar:
    """Shows updates as they come; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._said = ""
        self._said_s = -EVERY_S
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[details]}"),
                console=self._console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task("…", total=1.0, details="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, update: Update) -> None:
        """Show how a job stands."""
        what, more = describe(update), details(update)
        if self._progress is not None and self._task is not None:
            share = 1.0 if update.status == "succeeded" else (update.share or 0.0)
            self._progress.update(self._task, description=what, completed=share, details=more)
            return
        now_s = time.monotonic()
        if what != self._said or now_s - self._said_s >= EVERY_S:
            self._said, self._said_s = what, now_s
            note(f"{what}: {more}" if more else what)
