"""A job followed as Server-Sent Events, from any point of its way."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway import events
from tests.integration.gateway.conftest import Cluster, Starter

Event = tuple[str, str | None, dict[str, Any]]


@dataclass
class Reader:
    """Reads one stream in a thread of its own."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    status: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    error: httpx.HTTPError | None = None

    def read(self) -> None:
        try:
            with (
                httpx.Client(timeout=60, trust_env=False, headers=self.headers) as client,
                client.stream("GET", self.url) as answer,
            ):
                self.status = answer.status_code
                found: dict[str, str] = {}
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if line and not name:
                        self.comments.append(value)
                    elif line:
                        found[name] = value
                    elif "event" in found:
                        data = json.loads(found["data"])
                        self.events.append((found["event"], found.get("id"), data))
                        found = {}
        except httpx.HTTPError as error:
            self.error = error
        finally:
            self.closed.set()

    def names(self, *, progress: bool = False) -> list[str]:
        return [name for name, _, _ in self.events if progress or name != "progress"]

    def until(self, question: Callable[[], Any], timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not question():
            assert time.monotonic() < deadline, self.events
            time.sleep(0.01)


@contextmanager
def following(cluster: Cluster, job_id: str, last: str | None = None) -> Iterator[Reader]:
    """Follow a job within the block; the stream must have been closed by its end."""
    headers = {"Last-Event-ID": last} if last is not None else {}
    reader = Reader(f"http://127.0.0.1:{cluster.port}/v1/jobs/{job_id}/events", headers)
    thread = threading.Thread(target=reader.read)
    thread.start()
    try:
        yield reader
    finally:
        thread.join(30)
        assert not thread.is_alive()


def test_a_job_is_told_of_from_its_place_in_the_queue_to_its_end(cluster: Cluster) -> None:
    job = cluster.submit()
    with following(cluster, job["id"]) as reader:
        reader.until(lambda: reader.names() == ["queued"])
        cluster.plan()
        reader.until(lambda: "started" in reader.names())
        cluster.render()
        reader.until(lambda: reader.names().count("segment") == 2)
        cluster.assemble()
    assert reader.error is None
    assert reader.names() == ["queued", "started", "segment", "segment", "succeeded"]
    by_name = {name: data for name, _, data in reader.events}
    assert set(by_name["queued"]) == {"status", "queue_position", "eta_s"}
    assert by_name["queued"]["queue_position"] == 0
    assert by_name["started"] == {"status": "processing"}
    first, second = (data for name, _, data in reader.events if name == "segment")
    assert first == {
        "index": 0,
        "pause": False,
        "reused": False,
        "text": {"start": 0, "end": 6},
        "start_s": 0.0,
        "end_s": 1.0,
    }
    assert (second["index"], second["pause"]) == (1, True)
    assert (second["start_s"], second["end_s"]) == (1.0, 1.5)
    assert by_name["succeeded"] == cluster.http.get(f"/v1/jobs/{job['id']}").json()
    progress = [data for name, _, data in reader.events if name == "progress"]
    assert set(progress[0]) == {
        "stage",
        "segments_total",
        "segments_done",
        "segments_reused",
        "audio_s",
        "eta_s",
    }
    assert all(data["stage"] in {"plan", "render", "assemble"} for data in progress)
    assert {event_id for name, event_id, _ in reader.events if name == "progress"} == {None}
    assert all(event_id for name, event_id, _ in reader.events if name != "progress")


def test_word_comes_at_once_and_not_only_when_it_is_looked_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.news.LOOK_EVERY_S", 60)
    job = cluster.submit()
    with following(cluster, job["id"]) as reader:
        reader.until(lambda: reader.names() == ["queued"])
        time.sleep(0.5)  # by now the channel is heard, and looks without word are a minute apart
        cluster.plan()
        reader.until(lambda: "started" in reader.names(), 5)
        cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
        reader.until(reader.closed.is_set, 5)
    assert reader.names() == ["queued", "started", "canceled"]


def test_word_that_is_lost_delays_an_event_and_loses_none(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.news.NEWS_CHANNEL", "kc:nobody-publishes-here:")
    job = cluster.submit()
    with following(cluster, job["id"]) as reader:
        reader.until(lambda: reader.names() == ["queued"])
        cluster.plan()
        cluster.render()
        cluster.assemble()
    assert reader.names()[-3:] == ["segment", "segment", "succeeded"]


def test_whoever_comes_back_is_told_what_came_after(cluster: Cluster) -> None:
    job = cluster.succeed()
    with following(cluster, job["id"]) as whole:
        pass
    ids = [event_id for _, event_id, _ in whole.events if event_id]
    told = [one for one in whole.events if one[1]]
    assert [name for name, _, _ in told] == ["started", "segment", "segment", "succeeded"]
    for n, last in enumerate(ids[:-1]):
        with following(cluster, job["id"], last) as rest:
            pass
        assert [one for one in rest.events if one[1]] == told[n + 1 :]
    by_query = cluster.http.get(f"/v1/jobs/{job['id']}/events", params={"last_event_id": ids[1]})
    assert b'"index": 1' in by_query.content
    assert b'"index": 0' not in by_query.content


def test_whoever_was_told_of_the_end_is_told_not_to_come_back(cluster: Cluster) -> None:
    job = cluster.succeed()
    url = f"/v1/jobs/{job['id']}/events"
    assert cluster.http.get(url, headers={"Last-Event-ID": "ended"}).status_code == 204


def test_a_job_that_still_waits_is_not_told_of_twice(cluster: Cluster) -> None:
    job = cluster.submit()
    with following(cluster, job["id"], "queued-0") as reader:
        time.sleep(0.5)
        assert reader.events == []
        cluster.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert reader.names() == ["canceled"]


def test_a_place_in_the_queue_that_changes_is_told(cluster: Cluster) -> None:
    first, second = cluster.submit(), cluster.submit()
    with following(cluster, second["id"]) as reader:
        reader.until(lambda: reader.names() == ["queued"])
        cluster.http.post(f"/v1/jobs/{first['id']}/cancel")
        reader.until(lambda: reader.names() == ["queued", "queued"])
        cluster.http.post(f"/v1/jobs/{second['id']}/cancel")
    assert [d["queue_position"] for n, _, d in reader.events if n == "queued"] == [1, 0]


@pytest.mark.parametrize("bad", ["x", "1-", "-1", "1-2-3", "queued-x", "9" * 30, "ended\t"])
def test_an_id_that_no_event_has_is_refused(cluster: Cluster, bad: str) -> None:
    job = cluster.submit()
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/events", params={"last_event_id": bad})
    assert cluster.error(answer, 400)["code"] == "invalid_header"


def test_a_failed_job_is_told_as_one(cluster: Cluster) -> None:
    job = cluster.fail()
    with following(cluster, job["id"]) as reader:
        pass
    assert reader.names() == ["started", "failed"]
    assert reader.events[-1][2]["error"]["code"] == "poison"


def test_a_quiet_stream_is_kept_alive(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_EVERY_S", 0.1)
    job = cluster.submit()
    with following(cluster, job["id"]) as reader:
        reader.until(lambda: reader.comments)
        cluster.http.post(f"/v1/jobs/{job['id']}/cancel")


def test_a_gateway_that_stops_lets_go_of_those_who_listen(start: Starter) -> None:
    cluster = start()
    job = cluster.submit()
    with following(cluster, job["id"]) as reader:
        reader.until(lambda: reader.names() == ["queued"])
        began = time.monotonic()
        cluster.server.handle_exit(15, None)
        reader.until(reader.closed.is_set, 10)
    assert time.monotonic() - began < 4
    assert reader.error is None, "they are to come back, and their browsers do"


def test_a_listener_that_leaves_costs_nothing_more(start: Starter) -> None:
    cluster = start()
    job = cluster.submit()
    channel = f"kc:news:{job['id']}"

    def listeners() -> int:
        return int(dict(cluster.redis.pubsub_numsub(channel))[channel.encode()])

    with closing(socket.create_connection(("127.0.0.1", cluster.port), timeout=20)) as one:
        one.sendall(f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
        deadline = time.monotonic() + 10
        while listeners() != 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert listeners() == 1
    deadline = time.monotonic() + 10
    while listeners() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert listeners() == 0


def test_a_redis_that_is_away_for_seconds_breaks_no_stream(start: Starter) -> None:
    cluster = start()
    job = cluster.submit()
    with following(cluster, job["id"]) as reader:
        reader.until(lambda: reader.names() == ["queued"])
        cluster.redis.client_kill_filter(_type="pubsub")
        cluster.redis.client_pause(3000)
        cluster.plan()
        cluster.render()
        cluster.assemble()
    assert reader.error is None
    assert reader.names() == ["queued", "started", "segment", "segment", "succeeded"]
