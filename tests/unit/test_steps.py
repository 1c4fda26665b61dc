"""Named steps: what a process writes down, and where it can be told to die."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.steps import Step, crash_marker, note, reached, watch_steps

ROOT = Path(__file__).parents[2]

TAKE_TWO_STEPS = """
import sys
from pathlib import Path
from shared.steps import Step, reached, watch_steps
run = Path(sys.argv[1])
watch_steps("p", crash_at=Step.PLAN_CLAIMED, event_log=run / "log", run_dir=run)
reached(Step.PLAN_FETCHED)
reached(Step.PLAN_CLAIMED, job="job_1")
reached(Step.PLAN_SPLIT)
"""


@pytest.fixture(autouse=True)
def unwatched(tmp_path: Path) -> Iterator[None]:
    yield
    watch_steps("", crash_at=None, event_log=None, run_dir=tmp_path)


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_process_dies_at_its_step_once_and_what_it_wrote_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE_TWO_STEPS, str(tmp_path)]
    first = subprocess.run(command, cwd=ROOT, check=False)
    assert first.returncode == -9
    assert events(tmp_path / "log") == [Step.PLAN_FETCHED, Step.PLAN_CLAIMED, "cut"]
    again = subprocess.run(command, cwd=ROOT, check=False)
    assert again.returncode == 0
    crash_marker(tmp_path, Step.PLAN_CLAIMED).unlink()
    armed_again = subprocess.run(command, cwd=ROOT, check=False)
    assert armed_again.returncode == -9


def test_unless_set_steps_leave_no_trace(tmp_path: Path) -> None:
    watch_steps("p", crash_at=None, event_log=None, run_dir=tmp_path)
    for step in Step:
        reached(step)
    note("cut")
    assert list(tmp_path.iterdir()) == []


def test_a_line_names_the_process_the_time_and_the_facts(tmp_path: Path) -> None:
    watch_steps("gateway", crash_at=None, event_log=tmp_path / "log", run_dir=tmp_path)
    reached(Step.SUBMIT_RECORDED, job="job_1")
    (line,) = (tmp_path / "log").read_text().splitlines()
    event = json.loads(line)
    assert (event["process"], event["job"]) == ("gateway", "job_1")
    assert event["mono"] > 0


def test_every_step_is_taken_somewhere_on_a_jobs_way() -> None:
    sources = [p for folder in ("gateway", "worker") for p in (ROOT / folder).rglob("*.py")]
    taken = set(re.findall(r"\bStep\.([A-Z_]+)", "".join(p.read_text() for p in sources)))
    assert taken == {step.name for step in Step}
