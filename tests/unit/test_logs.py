"""Structured logs."""

import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
import redis
import structlog

from shared.errors import InvalidMarkup, LostLease
from shared.logs import configure_logging
from worker import tasks


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_every_line_is_json_with_who_when_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json", "gateway")
    structlog.get_logger().info("job accepted", action="submit", job_id="job_1")
    logging.getLogger("uvicorn.error").warning("from %s", "the library")
    structlog.get_logger().debug("not this")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["job accepted", "from the library"]
    assert lines[0]["action"] == "submit"
    assert lines[0]["job_id"] == "job_1"
    assert {line["process"] for line in lines} == {"gateway"}
    assert all(line["ts"].endswith("Z") for line in lines)
    assert [line["level"] for line in lines] == ["info", "warning"]


def test_an_exception_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json", "gateway")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("x").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)["exception"]
    assert said.startswith("Traceback (most recent call last):\n")
    assert "in test_an_exception_stays_on_one_line" in said
    assert said.endswith("\nRuntimeError: broken")


TEXT = "a sentence in private"


def quote() -> None:
    """Fail as code does that works on a text."""
    piece = TEXT  # what a traceback with local variables would show
    try:
        int(piece)
    except ValueError as error:
        raise InvalidMarkup(f"Malformed: {piece!r}.") from error


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("through", ["structlog", "the standard library"])
def test_an_exception_that_may_quote_a_text_says_only_what_it_is_and_where(
    capsys: pytest.CaptureFixture[str], log_format: Any, through: str
) -> None:
    configure_logging("DEBUG", log_format, "plan.0")
    log: Any = structlog.get_logger() if through == "structlog" else logging.getLogger("x")
    try:
        quote()
    except InvalidMarkup:
        log.exception("failed")
    said = capsys.readouterr().err
    assert TEXT not in said
    assert "ValueError" in said
    assert "shared.errors.InvalidMarkup" in said
    assert "in quote" in said
    assert said.index("ValueError") < said.index("InvalidMarkup"), "the cause comes first"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (ImportError("no such library"), "no such library"),
        (LostLease("The lease is gone."), "The lease is gone."),
        (redis.ConnectionError("refused"), "refused"),
        (ValueError(TEXT), "ValueError"),
        (KeyError(TEXT), "KeyError"),
        (UnicodeEncodeError("ascii", TEXT, 0, 1, TEXT), "UnicodeEncodeError"),
        (InvalidMarkup(TEXT), "InvalidMarkup"),
        (AssertionError(TEXT), "AssertionError"),
    ],
)
def test_what_speaks_of_the_machine_is_heard(
    capsys: pytest.CaptureFixture[str], error: Exception, says: str
) -> None:
    configure_logging("INFO", "json", "gateway")
    structlog.get_logger().error("failed", exc_info=error)
    said = json.loads(capsys.readouterr().err)["exception"]
    assert says in said
    assert TEXT not in said


def test_exceptions_that_cause_one_another_come_to_an_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", "json", "gateway")
    first, second = RuntimeError("one"), RuntimeError("two")
    first.__cause__, second.__cause__ = second, first
    structlog.get_logger().error("failed", exc_info=first)
    assert json.loads(capsys.readouterr().err)["exception"].count("RuntimeError") == 2


def test_a_task_that_fails_is_logged_without_what_it_failed_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logging("DEBUG", "json", "plan.0")
    stage = MagicMock()
    stage.note.leaving = False
    stage.ledger.claim_plan.side_effect = lambda **_: int(TEXT)
    monkeypatch.setattr(tasks.stages, "current", lambda: stage)
    result = tasks.plan.apply()
    assert isinstance(result.result, tasks.TaskFailed)
    said = capsys.readouterr().err
    assert TEXT not in said
    assert "ValueError" in said
    assert "claim_plan" in said
    assert "raised unexpected" in said, "Celery's own line is the one that could quote"


def test_people_get_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "console", "gateway")
    structlog.get_logger().info("job accepted", job_id="job_1")
    said = capsys.readouterr().err
    assert "job accepted" in said
    assert "job_1" in said


def test_a_log_that_nobody_reads_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryFile("w") as closed:
        monkeypatch.setattr(sys, "stderr", closed)
        configure_logging("INFO", "json", "gateway")
    structlog.get_logger().error("said to nobody", exc_info=ValueError("broken"))
