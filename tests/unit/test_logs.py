"""Structured logs."""

import json
import logging
import sys
import tempfile
from collections.abc import Iterator

import pytest
import structlog

from shared.logs import configure_logging


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
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


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
