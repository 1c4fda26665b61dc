"""What every process of the cluster does before anything else, children included."""

from shared.logs import configure_logging
from shared.settings import Settings
from shared.steps import watch_steps


def begin_process(settings: Settings, process: str) -> None:
    """Set up the log and the steps of this process.

    Args:
        settings: of this process.
        process: who speaks and takes the steps: `gateway`, `synth.0`, …

    Raises:
        OSError: the event log can't be opened.
    """
    configure_logging(settings.log_level, settings.log_format, process)
    watch_steps(
        process,
        crash_at=settings.crash_at,
        event_log=settings.event_log,
        run_dir=settings.run_dir,
    )
