import json
from typing import Any

import httpx
import pytest

from client.answers import Job
from client.errors import (
    ApiError,
    InvalidRequest,
    JobNotFound,
    NotFound,
    Unreachable,
    WaitTimedOut,
)
from client.retrying import Retry
from client.watching import MAX_BREAKS, SILENT_S, NoEvents, Watch


def sse(name: str, event_id: str = "", **data: Any) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def test_updates_carry_what_was_known_before() -> None:
    watch = Watch("job_1")
    (queued,) = watch.feed(sse("queued", "1", status="queued", queue_position=3, eta_s=9))
    assert (queued.status, queued.queue_position, queued.eta_s) == ("queued", 3, 9.0)
    (started,) = watch.feed(sse("started", "2", status="processing"))
    assert (started.status, started.queue_position) == ("processing", None)
    (moved,) = watch.feed(
        sse("progress", stage="render", segments_total=4, segments_done=1, audio_s=2.5, eta_s=6)
    )
    assert (moved.stage, moved.share, moved.eta_s) == ("render", 0.25, 6.0)
    (segment,) = watch.feed(
        sse(
            "segment", "3", index=1, pause=False, start_s=2.5, end_s=4, text={"start": 9, "end": 20}
        )
    )
    assert segment.segment is not None
    assert (segment.segment.index, segment.segment.end_s) == (1, 4.0)
    assert segment.share == 0.25
    (ended,) = watch.feed(sse("succeeded", "4", id="job_1", status="succeeded"))
    assert ended.job is not None
    assert ended.job.succeeded
    assert watch.headers()["Last-Event-ID"] == "4"


def test_events_of_a_newer_server_are_passed_over() -> None:
    watch = Watch("job_1")
    assert watch.feed(sse("dreaming", "7", of="sheep")) == []
    assert watch.headers()["Last-Event-ID"] == "7"


def test_a_connection_that_breaks_is_made_anew_and_ever_later() -> None:
    watch = Watch("job_1")
    retry = Retry(tries=4, first_s=1)
    waits = [watch.broke(Unreachable(), retry) for _ in range(3)]
    assert waits == sorted(waits)
    with pytest.raises(Unreachable):
        watch.broke(Unreachable(), retry)


def test_an_event_that_came_makes_the_watch_patient_again() -> None:
    watch = Watch("job_1")
    retry = Retry(tries=2, first_s=0.1)
    for number in range(5):
        watch.broke(Unreachable(), retry)
        watch.feed(sse("segment", str(number), index=number))


def test_a_server_that_keeps_closing_is_asked_otherwise() -> None:
    watch = Watch("job_1")
    for _ in range(MAX_BREAKS):
        assert watch.broke(None, Retry()) <= 4
    with pytest.raises(NoEvents):
        watch.broke(None, Retry())


@pytest.mark.parametrize("status", [404, 405, 406, 501])
def test_a_server_without_events_is_asked_otherwise(status: int) -> None:
    kind = NotFound if status == 404 else ApiError
    with pytest.raises(NoEvents):
        Watch("job_1").broke(kind(status=status), Retry())


def test_an_answer_that_is_no_stream_is_no_events() -> None:
    page = httpx.Response(200, headers={"Content-Type": "text/html"})
    with pytest.raises(NoEvents):
        Watch("job_1").check(page)
    stream = httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"})
    Watch("job_1").check(stream)


@pytest.mark.parametrize(
    "error", [JobNotFound(status=404, code="job_not_found"), InvalidRequest(status=422)]
)
def test_what_is_refused_is_not_asked_again(error: ApiError) -> None:
    with pytest.raises(type(error)):
        Watch("job_1").broke(error, Retry())


def test_the_time_to_wait_is_over_when_it_is_over() -> None:
    now = [100.0]
    watch = Watch("job_1", timeout_s=60, clock=lambda: now[0])
    assert watch.left_s() == SILENT_S
    now[0] += 50
    assert watch.left_s() == 10
    assert watch.pause_s(Job(id="job_1", status="queued", retry_after_s=30)) == 10
    now[0] += 10
    for ask in (watch.left_s, lambda: watch.broke(None, Retry())):
        with pytest.raises(WaitTimedOut) as caught:
            ask()
        assert caught.value.job_id == "job_1"


def test_between_looks_is_what_the_server_advises_or_ever_more() -> None:
    watch = Watch("job_1")
    job = Job(id="job_1", status="queued")
    pauses = []
    for _ in range(12):
        watch.look(job)
        pauses.append(watch.pause_s(job))
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.5, 5.0)
    assert watch.pause_s(Job(id="job_1", status="queued", retry_after_s=20)) == 20
