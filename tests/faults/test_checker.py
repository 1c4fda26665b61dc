"""The checker accepts a run that kept its promises, and refuses every forged log that did not."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.steps import Step
from tests.faults.checker import check, main
from tests.faults.events import Event, read_events

JOB, OTHER = "job_1", "job_2"


class Forger:
    """Writes a log, an event a second."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: str, *, pid: int = 1, **facts: Any) -> "Forger":
        mono = float(len(self.events))
        line = {"mono": mono, "event": event, "process": f"p{pid}", "pid": pid, **facts}
        self.events.append(line)
        return self

    def batch(self, event: str, token: int, *, pid: int = 1, attempt: int = 1) -> "Forger":
        return self(event, pid=pid, segments=[[JOB, 0, token, attempt]])

    def accepted(self, job: str = JOB, key: str | None = None) -> "Forger":
        return self("accepted", job=job, key=key)

    def seen(self, status: str = "succeeded", sha: str = "a", job: str = JOB) -> "Forger":
        return self("seen", job=job, status=status, error=None, sha256=[sha])

    def received(self, delivery: str, body: str, told: str = "job.succeeded") -> "Forger":
        return self("received", job=JOB, delivery=delivery, body_sha256=body, type=told)

    def rendered(self, token: int, *, pid: int = 1, attempt: int = 1) -> "Forger":
        for step in (Step.SYNTH_CLAIMED, Step.SYNTH_BEGUN, Step.SYNTH_RENDERED):
            self.batch(step, token, pid=pid, attempt=attempt)
        return self


@pytest.fixture
def log() -> Forger:
    return Forger()


def rules(log: Forger) -> set[str]:
    return {violation.rule for violation in check(log.events).violations}


def good(log: Forger) -> Forger:
    log.accepted().rendered(1).batch(Step.SYNTH_RECORDED, 1)
    log(Step.ASSEMBLE_RECORDED, job=JOB, sha256=["a"])("ended", job=JOB).seen()
    return log.received("msg_1", "x").received("msg_1", "x").seen()


def test_a_run_that_kept_its_promises_is_accepted(log: Forger) -> None:
    verdict = check(good(log).events)
    assert verdict.violations == ()
    assert (verdict.accepted, verdict.count("lost"), verdict.count("double")) == (1, 0, 0)


def test_an_accepted_job_that_never_ended_is_lost(log: Forger) -> None:
    verdict = check(log.accepted().accepted(OTHER).seen().events)
    assert [v.rule for v in verdict.violations] == ["lost"]
    assert verdict.count("lost") == 1


@pytest.mark.parametrize("other", [{"status": "failed"}, {"sha": "b"}])
def test_an_outcome_that_changes_is_two(log: Forger, other: dict[str, str]) -> None:
    log.accepted().seen().seen(**other)
    assert rules(log) == {"two-outcomes"}
    assert check(log.events).count("double") == 1


@pytest.mark.parametrize("event", ["ended", Step.ASSEMBLE_RECORDED])
def test_a_job_that_ends_twice_is_caught(log: Forger, event: str) -> None:
    good(log)(event, job=JOB)
    assert rules(log) == {"ended-twice"}


def test_a_key_that_gives_two_jobs_is_caught(log: Forger) -> None:
    log.accepted(key="k").accepted(OTHER, key="k").seen().seen(job=OTHER)
    assert rules(log) == {"key-two-jobs"}


def test_a_repeat_with_other_bytes_is_caught(log: Forger) -> None:
    good(log).received("msg_1", "y")
    assert rules(log) == {"webhook-changed"}


def test_a_second_delivery_of_one_event_is_caught(log: Forger) -> None:
    good(log).received("msg_2", "x")
    assert rules(log) == {"webhook-doubled"}


def test_a_webhook_that_tells_another_outcome_is_caught(log: Forger) -> None:
    log.accepted().seen().received("msg_1", "x", "job.failed")
    assert rules(log) == {"webhook-false"}


def test_a_segment_rendered_twice_for_no_reason_is_caught(log: Forger) -> None:
    log.accepted().rendered(1).rendered(2, pid=2, attempt=2).seen()
    assert rules(log) == {"rendered-again"}


def test_a_segment_begun_after_it_was_recorded_is_caught(log: Forger) -> None:
    log.accepted().rendered(1).batch(Step.SYNTH_RECORDED, 1)
    log("cut", pid=1).rendered(2, pid=2, attempt=2).seen()
    assert rules(log) == {"rendered-again"}


def test_a_segment_whose_worker_was_cut_off_may_be_rendered_again(log: Forger) -> None:
    log.accepted().batch(Step.SYNTH_CLAIMED, 1).batch(Step.SYNTH_BEGUN, 1)("cut", pid=1)
    log.rendered(2, pid=2, attempt=2).batch(Step.SYNTH_RECORDED, 2, pid=2).seen()
    assert rules(log) == set()


@pytest.mark.parametrize(("seconds", "caught"), [(1, set()), (4, {"rendered-again"})])
def test_only_what_was_recorded_just_before_redis_was_killed_may_be_forgotten(
    log: Forger, seconds: int, caught: set[str]
) -> None:
    log.accepted().rendered(1).batch(Step.SYNTH_RECORDED, 1)
    for _ in range(seconds - 1):
        log("nothing")
    log("redis-killed").rendered(2, pid=2).batch(Step.SYNTH_RECORDED, 2, pid=2).seen()
    assert rules(log) == caught


def test_another_process_being_cut_off_excuses_nothing(log: Forger) -> None:
    log.accepted().rendered(1)("cut", pid=7).rendered(2, pid=2, attempt=2).seen()
    assert rules(log) == {"rendered-again"}


def test_a_segment_that_failed_may_be_rendered_again(log: Forger) -> None:
    log.accepted().rendered(1).batch(Step.SYNTH_FAILED, 1).rendered(2, attempt=2).seen()
    assert rules(log) == set()


def test_a_fourth_attempt_is_caught(log: Forger) -> None:
    log.accepted()
    for token in range(1, 5):
        log.rendered(token, attempt=token).batch(Step.SYNTH_FAILED, token)
    assert rules(log.seen("failed")) == {"too-many-attempts"}


@pytest.mark.parametrize("second", [1, 2])
def test_tokens_that_repeat_or_shrink_are_caught(log: Forger, second: int) -> None:
    log.accepted().rendered(2)("cut", pid=1).rendered(second, pid=2, attempt=2).seen()
    assert rules(log) == {"token-order"}


@pytest.mark.parametrize(("frozen", "caught"), [(1, set()), (7, {"rendered-again"})])
def test_what_was_claimed_before_a_freeze_and_begun_after_it_may_be_begun_again(
    log: Forger, frozen: int, caught: set[str]
) -> None:
    log.accepted().batch(Step.SYNTH_CLAIMED, 1)("cut", pid=frozen)("nothing")("nothing")
    log.batch(Step.SYNTH_BEGUN, 1).rendered(2, attempt=1).batch(Step.SYNTH_RECORDED, 2).seen()
    assert rules(log) == caught


@pytest.mark.parametrize(
    ("token", "frozen", "caught"),
    [
        (1, 2, set()),
        (1, 7, {"rendered-again", "token-order"}),
        (3, 2, {"rendered-again"}),
    ],
)
def test_only_a_worker_that_was_frozen_after_an_older_claim_may_write_it_down_late(
    log: Forger, token: int, frozen: int, caught: set[str]
) -> None:
    log.accepted()("cut", pid=frozen).rendered(2).rendered(token, pid=2, attempt=2).seen()
    assert rules(log) == caught


def test_a_line_that_is_no_event_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_events(['{"mono": 1, "event": "seen"}', '{"mono": 2'])


def test_the_command_tells_a_good_log_from_a_bad_one(
    log: Forger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, good(log).events)))
    assert main([str(path)]) == 0
    path.write_text(path.read_text() + "\n" + json.dumps({**log.events[-1], "status": "failed"}))
    assert main([str(path)]) == 1
    assert "two-outcomes" in capsys.readouterr().out
