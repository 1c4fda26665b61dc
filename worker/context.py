"""Builds a stage's object inside the process that will do its work."""

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from shared.bell import Stage
from shared.connections import connect
from shared.errors import ClusterError
from shared.languages import Language
from shared.ledger.work import WorkLedger
from shared.manifest import EngineManifest
from shared.settings import Settings
from shared.storage import open_storage
from worker.note import Note, asleep_mark

log = structlog.get_logger()

EXIT_FATAL = os.EX_CONFIG
"""Exit code of a process that can never work as it is set up (78, as in sysexits.h)."""

EXIT_DEVICE = os.EX_UNAVAILABLE
"""Exit code of a child whose device is lost, and of a worker whose children finish nothing (69).

Another start may work, perhaps with another device: whoever watches the worker should try it.
"""


def worker_folder(settings: Settings, worker: str) -> Path:
    """Return where the worker's children leave their notes."""
    return settings.run_dir / worker


def new_incarnation(worker: str) -> str:
    """Return a name that no process had before: leases are held under it."""
    return f"{worker}/{os.getpid()}-{secrets.token_hex(4)}"


def build_stage(stage: Stage, settings: Settings, worker: str, incarnation: str) -> Any:
    """Return the stage's object, its model or dictionaries loaded.

    Only the modules that the stage needs are imported: a planner never loads torch.

    Raises:
        ClusterError: the model, its voices or the store cannot be used as set up.
    """
    client = connect(settings.redis)
    shared_parts: dict[str, Any] = {
        "settings": settings,
        "ledger": WorkLedger(
            client,
            incarnation=incarnation,
            lease_s=settings.lease_s,
            attempts_max=settings.attempts_max,
        ),
        "storage": open_storage(
            settings.storage,
            endpoint=settings.storage_endpoint,
            public_endpoint=settings.storage_public_endpoint,
        ),
        "note": Note(worker_folder(settings, worker), incarnation),
    }
    note: Note = shared_parts["note"]
    note.write("loading", within_s=settings.model_load_timeout_s * 10)
    if stage is Stage.PLAN:
        from worker.plan.planner import Planner
        from worker.planning import Planning

        planner = Planner()
        planner.g2p(Language.AMERICAN_ENGLISH)  # the first job should not wait for its dictionary
        built: Any = Planning(**shared_parts, planner=planner)
    elif stage is Stage.SYNTH:
        began_at = time.monotonic()
        from worker.engines.loading import load_engine
        from worker.rendering import Rendering

        # What launches the device's work needs the interpreter often and briefly, and gets it from
        # the threads beside it after this long instead of 5 ms.
        sys.setswitchinterval(0.0005)
        engine = load_engine(
            engine=settings.engine,
            model=settings.model,
            device=settings.device,
            precision=settings.precision,
        )
        built = Rendering(**shared_parts, engine=engine)
        # While weights are changed, new jobs are for those of the worker that was started last.
        again = _said_before(note.folder, engine.manifest)
        built.persist(lambda: built.ledger.register_engine(engine.manifest, again=again))
        load_s = round(time.monotonic() - began_at, 3)
        with contextlib.suppress(OSError):  # a full disk is no reason not to work
            manifest_file(note.folder).write_text(engine.manifest.to_json())
            _load_file(note.folder).write_text(str(load_s))
        facts: dict[str, Any] = {"stand_in": engine.manifest.stand_in, "load_s": load_s}
        note.write("loading", model=engine.manifest.model, **facts)
        if engine.manifest.stand_in:
            log.warning("stand-in engine: this is not Kokoro", action="load", model=settings.engine)
    elif stage is Stage.ASSEMBLE:
        from worker.assembling import Assembling

        built = Assembling(**shared_parts, long_most=max(1, settings.assemble_workers - 1))
    else:
        from worker.delivering import Delivering

        built = Delivering(**shared_parts)
    note.write("idle")
    return built


def doze(settings: Settings, worker: str, incarnation: str) -> bool:
    """Load nothing for now, if the child before this one ended because nothing came.

    Returns:
        Whether this process is to build its stage with its first task only.
    """
    folder = worker_folder(settings, worker)
    if not asleep_mark(folder).exists():
        return False
    facts: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # a full disk leaves them empty
        manifest = EngineManifest.from_json(manifest_file(folder).read_text())
        facts = {"model": manifest.model, "stand_in": manifest.stand_in}
        facts["load_s"] = float(_load_file(folder).read_text())
    Note(folder, incarnation).write("unloaded", **facts)
    return True


def _said_before(folder: Path, manifest: EngineManifest) -> bool:
    """Return whether a child of this worker before this one spoke with the same."""
    try:
        return manifest_file(folder).read_text() == manifest.to_json()
    except OSError:
        return False


def manifest_file(folder: Path) -> Path:
    """Return the file in which a child leaves its engine's manifest for the parent."""
    return folder / "manifest"


def _load_file(folder: Path) -> Path:
    """Return the file in which a child leaves how long its model took to load."""
    return folder / "load_s"


@contextlib.contextmanager
def fatal_to_note(
    settings: Settings, worker: str, incarnation: str, *, is_child: bool
) -> Iterator[None]:
    """Tell the parent, and end this process, when the stage can't be built.

    Args:
        settings: where the parent looks.
        worker: the parent's name.
        incarnation: this process's.
        is_child: whether this process is a pool's child; if not, only what can never work ends it.
    """
    try:
        yield
    except ClusterError as error:
        Note(worker_folder(settings, worker), incarnation).write("fatal", fatal=error.message)
        log.critical("cannot start", action="load", code=error.code, error=error.message)
        os._exit(EXIT_FATAL)
    except Exception as error:
        if not is_child:
            raise
        # Celery would log this and give the process work that it can't do. Another may load.
        reason = f"{type(error).__name__}: {error}"[:300]
        Note(worker_folder(settings, worker), incarnation).end(lost=reason)
        log.critical("cannot load", action="load", error=reason, exc_info=True)
        os._exit(EXIT_DEVICE)
