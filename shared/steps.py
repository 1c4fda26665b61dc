"""The named steps of a job's way: where a process can be told to die, and what it writes down.

Both are for the fault suite (`tests/faults`) and for whoever wants to audit a run, and off unless
set; then a step costs one comparison.

- `KC_CRASH_AT=<step>`: the first process that gets there ends as by SIGKILL. Once: a file in the
  run folder remembers it, and deleting that arms the step again.
- `KC_EVENT_LOG=<file>`: every process appends a line of JSON for each step it takes. A line is one
  write, so a process that is killed leaves whole lines, and what it wrote stays.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.ledger.messages import SegmentClaim


class Step(StrEnum):
    """Every step, in the order of a job's way. The fault suite has a case for each."""

    SUBMIT_CHECKED = "submit.checked"
    """The gateway knows that the job can be spoken; nothing is recorded."""
    SUBMIT_RECORDED = "submit.recorded"
    """The job is recorded and its stage rung; the client has no answer yet."""

    PLAN_FETCHED = "plan.fetched"
    """A planner took a wake-up from its queue; nothing is claimed."""
    PLAN_CLAIMED = "plan.claimed"
    """It holds a job."""
    PLAN_SPLIT = "plan.split"
    """A slice of text is segments; nothing is recorded."""
    PLAN_RECORDED = "plan.recorded"
    """These segments wait to be rendered."""

    SYNTH_FETCHED = "synth.fetched"
    """A synth worker took a wake-up; nothing is claimed."""
    SYNTH_CLAIMED = "synth.claimed"
    """It holds a batch; no attempt counts yet."""
    SYNTH_BEGUN = "synth.begun"
    """It has told the ledger that rendering begins; the attempts count."""
    SYNTH_RENDERED = "synth.rendered"
    """The device is done with the batch; the audio is in memory only."""
    SYNTH_STORED = "synth.stored"
    """The audio is in the store; the ledger does not know."""
    SYNTH_RECORDED = "synth.recorded"
    """The segments are done."""
    SYNTH_FAILED = "synth.failed"
    """A segment that could not be rendered is given back, or has failed its job."""

    ASSEMBLE_FETCHED = "assemble.fetched"
    """An encoder took a wake-up; nothing is claimed."""
    ASSEMBLE_CLAIMED = "assemble.claimed"
    """It holds a job whose segments are all done."""
    ASSEMBLE_ENCODED = "assemble.encoded"
    """The files lie in its own folder."""
    ASSEMBLE_STORED = "assemble.stored"
    """The files are in the store; the ledger does not know."""
    ASSEMBLE_RECORDED = "assemble.recorded"
    """The job has succeeded, and its webhook is due."""

    DELIVER_FETCHED = "deliver.fetched"
    """A deliverer took a wake-up; nothing is claimed."""
    DELIVER_CLAIMED = "deliver.claimed"
    """It holds a delivery; the attempt counts."""
    DELIVER_FROZEN = "deliver.frozen"
    """The body that every attempt sends is recorded; nothing is sent."""
    DELIVER_SENT = "deliver.sent"
    """The receiver has answered, or not; the ledger does not know."""
    DELIVER_RECORDED = "deliver.recorded"
    """What came of the attempt is recorded."""

    RECONCILE_RELEASED = "reconcile.released"
    """What a dead process held is given back."""
    SWEEP_DELETED = "sweep.deleted"
    """Garbage is gone from the store; the ledger still lists it."""


class _Watched:
    """What this process was told to do at its steps."""

    def __init__(self) -> None:
        self.on = False
        self.crash_at: Step | None = None
        self.marker: Path | None = None
        self.log: int | None = None
        self.process = ""


_watched = _Watched()


def watch_steps(
    process: str, *, crash_at: Step | None, event_log: Path | None, run_dir: Path
) -> None:
    """Set this process up; without a step to die at and a log, `reached` does nothing.

    Args:
        process: who takes the steps, as in the logs.
        crash_at: where to die, once.
        event_log: file that lines are appended to.
        run_dir: where it is remembered that a process has died.

    Raises:
        OSError: the log can't be opened.
    """
    if _watched.log is not None:
        os.close(_watched.log)
        _watched.log = None
    if event_log is not None:
        _watched.log = os.open(event_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    _watched.crash_at = crash_at
    _watched.marker = crash_marker(run_dir, crash_at) if crash_at else None
    _watched.process = process
    _watched.on = crash_at is not None or event_log is not None


def crash_marker(run_dir: Path, step: Step) -> Path:
    """Return the file that tells that a process has died at the step."""
    return run_dir / f"crashed-at-{step}"


def reached(step: Step, *, segments: "Sequence[SegmentClaim]" = (), **facts: Any) -> None:
    """Say that a step was taken: write it down, and die if that was asked for.

    Args:
        step: which.
        segments: the batch it was taken with; written as rows of job, index, token and attempt.
        facts: what else to write down.
    """
    if not _watched.on:
        return
    if segments:
        facts["segments"] = [[c.uid, c.index, c.token, c.attempt] for c in segments]
    note(step, **facts)
    if step is _watched.crash_at and _watched.marker is not None:
        with contextlib.suppress(FileExistsError):
            _watched.marker.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(_watched.marker, os.O_CREAT | os.O_EXCL))
            note("cut", how="crash", at=step)
            os.kill(os.getpid(), signal.SIGKILL)


def note(event: str, **facts: Any) -> None:
    """Append an event to the log, if there is one.

    `cut` is one that is no step: a process was killed or stopped in the middle of its work, this
    one or the one that `pid` says.
    """
    if _watched.log is None:
        return
    line = {
        "mono": time.monotonic(),  # one clock for all processes of a machine, which nobody sets
        "event": event,
        "process": _watched.process,
        "pid": os.getpid(),
        **facts,
    }
    with contextlib.suppress(OSError):  # a full disk stops no work
        os.write(_watched.log, (json.dumps(line) + "\n").encode())
