"""Structured logs: one JSON line an event on stderr, the standard library's included.

Every line has `ts`, `level`, `process` and a constant `event`; what varies is in fields (`action`,
`job_id`, …), so that one job can be followed through all processes with grep. Nobody logs a job's
text or a key; so an exception is written with what it says only where that can quote neither.
"""

import logging
import sys
import traceback
from typing import Any, Literal, TextIO

import structlog
from redis.exceptions import RedisError
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from shared import tracing
from shared.errors import ClusterError, InvalidInput

QUIET = (
    "httpx",
    "httpcore",
    "amqp",
    "kombu",
    "urllib3",
    "botocore",
    "asyncio",
    "celery.worker.strategy",
    "celery.app.trace",
)
"""Libraries whose news below a warning is of no use to an operator."""

SPEAKING = (
    ClusterError,
    RedisError,
    OSError,
    ImportError,
    MemoryError,
    RuntimeError,
    TypeError,
    AttributeError,
)
"""Exceptions that speak of the machine and the code. Others, `ValueError` and `KeyError` first
among them, may quote the text they choked on: of these only the type and the place are logged."""


class _Direct:
    """Writes structlog's own events past the standard library's record, in half the time.

    The handler lends its lock, which that library renews in a child after a fork.
    """

    def __init__(self, handler: "logging.StreamHandler[Any]") -> None:
        self._handler = handler

    def msg(self, line: str) -> None:
        """Write one line; with nowhere to write it to, work goes on."""
        handler = self._handler
        handler.acquire()
        try:
            handler.stream.write(line + handler.terminator)
            handler.flush()
        except (OSError, ValueError):  # closed at the other end, or here
            return
        finally:
            handler.release()

    debug = info = warning = error = critical = exception = msg


def configure_logging(level: str, log_format: Literal["json", "console"], process: str) -> None:
    """Send structlog's and the standard library's events to stderr in one form.

    Args:
        level: the least severe level that is written: DEBUG, INFO, WARNING or ERROR.
        log_format: `json` for machines, `console` for people.
        process: who speaks: `gateway`, `synth-0`, …; a field of every line.
    """

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {"process": process, **event}

    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        name_process,
        *([tracing.add_trace_id] if tracing.wanted() else []),
    ]
    renderers: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(format_exception),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                timestamp_key="ts",
                colors=sys.stderr.isatty(),
                # Its own, with rich installed, shows every local variable.
                exception_formatter=_write_exception,
            )
        ]
    )
    foreign = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers]

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=foreign, foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder()]
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*before, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=lambda *_: _Direct(handler),
        cache_logger_on_first_use=False,
    )


def format_exception(exc_info: ExcInfo) -> str:
    """Return a traceback as Python writes it, without what exceptions say that may quote a text."""
    return "\n".join(_paragraphs(exc_info[1])).rstrip()


def _paragraphs(error: BaseException | None) -> list[str]:
    """Return the traceback of each exception that led to this one, then its own."""
    found: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        name = kind.__qualname__
        if kind.__module__ not in {"builtins", "__main__"}:
            name = f"{kind.__module__}.{name}"
        says = str(error) if isinstance(error, SPEAKING) else ""
        if isinstance(error, InvalidInput):
            says = ""
        stack = "".join(traceback.format_tb(error.__traceback__))
        found.append(
            f"Traceback (most recent call last):\n{stack}{name}{': ' if says else ''}{says}\n"
        )
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found[::-1]


def _write_exception(out: TextIO, exc_info: ExcInfo) -> None:
    out.write("\n" + format_exception(exc_info))
