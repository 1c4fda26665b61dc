"""What a client meets on the way: full servers, lost answers, broken streams. Sync and async."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from client.aio.cluster import AsyncKokoroCluster
from client.answers import Job
from client.errors import (
    ApiError,
    BrokenAudio,
    InvalidRequest,
    JobFailed,
    JobNotFound,
    JobTerminal,
    KokoroClusterError,
    RateLimited,
    ServerFault,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
    WaitTimedOut,
)
from client.retrying import Again
from client.sync.cluster import KokoroCluster
from client.watching import Update
from tests.integration.client.answers_server import (
    FULL,
    GONE,
    Answer,
    AnswersServer,
    answers_server,
)
from tests.integration.client.conftest import IMPATIENT

QUEUED = {"id": "job_1", "object": "job", "status": "queued"}
DONE = {**QUEUED, "status": "succeeded"}
JOB, EVENTS = "GET /v1/jobs/job_1", "GET /v1/jobs/job_1/events"

Do = Callable[[Any], Any]


@pytest.fixture
def server() -> Iterator[AnswersServer]:
    with answers_server() as server:
        yield server


class Either:
    """Does the same with the sync and with the async client."""

    def __init__(self, url: str, use_async: bool) -> None:
        self._url = url
        self._async = use_async
        self.again: list[Again] = []

    def do(self, do: Do) -> Any:
        """Do something with a client and return what came of it; updates and pieces as a list."""
        if not self._async:
            with KokoroCluster(self._url, "kc_k", retry=IMPATIENT, on_retry=self.again.append) as c:
                found = do(c)
                return list(found) if isinstance(found, Iterator) else found
        return asyncio.run(self._do(do))

    async def _do(self, do: Do) -> Any:
        async with AsyncKokoroCluster(
            self._url, "kc_k", retry=IMPATIENT, on_retry=self.again.append
        ) as c:
            found = do(c)
            if isinstance(found, AsyncIterator):
                return [one async for one in found]
            return await found if isinstance(found, Awaitable) else found


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, server: AnswersServer) -> Either:
    return Either(server.url, request.param == "async")


def sse(name: str, number: int | None = None, **data: Any) -> bytes:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


# Trying again


def test_a_submission_whose_answer_is_lost_is_repeated_under_its_key(
    client: Either, server: AnswersServer
) -> None:
    server.lay("POST /v1/jobs", GONE, FULL, Answer.of(QUEUED, 202, Retry_After="4"))
    job = client.do(lambda c: c.submit("Hello.", voice="af_heart"))
    assert (job.id, job.retry_after_s) == ("job_1", 4.0)
    sent = server.asked("POST /v1/jobs")
    assert len(sent) == 3
    assert len({request.headers["Idempotency-Key"] for request in sent}) == 1
    assert {request.body for request in sent} == {sent[0].body}
    assert json.loads(sent[0].body) == {"input": "Hello.", "voice": "af_heart"}
    assert sent[0].headers["Authorization"] == "Bearer kc_k"
    assert [type(again.error) for again in client.again] == [Unreachable, Unavailable]


def test_patience_ends_with_the_error_itself(client: Either, server: AnswersServer) -> None:
    server.lay("GET /v1/voices", Answer.error(429, "rate_limited", Retry_After="0"))
    with pytest.raises(RateLimited) as caught:
        client.do(lambda c: c.voices())
    assert caught.value.retry_after_s == 0
    assert len(server.requests) == IMPATIENT.tries


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidRequest), (422, InvalidRequest), (500, ServerFault)]
)
def test_what_is_refused_is_asked_once(
    client: Either, server: AnswersServer, status: int, kind: type[ApiError]
) -> None:
    server.lay("GET /v1/workers", Answer.error(status, "no"))
    with pytest.raises(kind):
        client.do(lambda c: c.workers())
    assert len(server.requests) == 1


def test_a_cancelation_whose_answer_is_lost_is_none_the_less_one(
    client: Either, server: AnswersServer
) -> None:
    server.lay("POST /v1/jobs/job_1/cancel", GONE, Answer.error(409, "job_terminal"))
    server.lay(JOB, Answer.of({**QUEUED, "status": "canceled"}))
    assert client.do(lambda c: c.cancel("job_1")).status == "canceled"


def test_a_job_that_had_ended_before_can_not_be_canceled(
    client: Either, server: AnswersServer
) -> None:
    server.lay("POST /v1/jobs/job_1/cancel", Answer.error(409, "job_terminal"))
    with pytest.raises(JobTerminal):
        client.do(lambda c: c.cancel("job_1"))


def test_a_deletion_whose_answer_is_lost_is_none_the_less_one(
    client: Either, server: AnswersServer
) -> None:
    server.lay("DELETE /v1/jobs/job_1", GONE, Answer.error(404, "job_not_found"))
    assert client.do(lambda c: c.delete("job_1")) is None
    server.lay("DELETE /v1/jobs/job_1", Answer.error(404, "job_not_found"))
    with pytest.raises(JobNotFound):
        client.do(lambda c: c.delete("job_1"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, (b"<html>Welcome</html>",), {"Content-Type": "text/html"}),
        Answer.of(["no"]),
        Answer.of({"data": [{"id": 1}]}),
        Answer(302, (), {"Location": "/login"}),
    ],
)
def test_what_is_no_cluster_is_said_to_be_none(
    client: Either, server: AnswersServer, answer: Answer
) -> None:
    server.lay("GET /v1/voices", answer)
    with pytest.raises(UnreadableAnswer):
        client.do(lambda c: c.voices())


# Waiting


def test_events_are_followed_across_broken_connections(
    client: Either, server: AnswersServer
) -> None:
    half = sse("segment", 3, index=1)[:20]
    server.lay(
        EVENTS,
        Answer.stream(
            sse("queued", 1, queue_position=2), sse("segment", 2, index=0) + half, breaks=True
        ),
        Answer.error(503, "ledger_unavailable", Retry_After="0"),
        Answer.stream(b": still here\n\n", sse("segment", 3, index=1)),
        Answer.stream(sse("succeeded", 4, **DONE)),
    )
    updates: list[Update] = client.do(lambda c: c.watch("job_1"))
    assert [u.event for u in updates] == ["queued", "segment", "segment", "succeeded"]
    assert [u.segment.index for u in updates if u.segment] == [0, 1]
    assert updates[-1].job == Job(id="job_1", status="succeeded")
    sent = [request.headers.get("Last-Event-ID") for request in server.asked(EVENTS)]
    assert sent == [None, "2", "2", "3"]
    assert server.asked(JOB) == []


def test_a_server_without_events_is_polled_as_it_advises(
    client: Either, server: AnswersServer
) -> None:
    server.lay(
        JOB,
        Answer.of(QUEUED, Retry_After="0"),
        Answer.of({**QUEUED, "status": "processing"}, Retry_After="0"),
        Answer.of(DONE),
    )
    seen: list[Update] = []
    job = client.do(lambda c: c.wait("job_1", seen.append))
    assert job.succeeded
    assert [update.status for update in seen] == ["queued", "processing", "succeeded"]
    assert len(server.asked(EVENTS)) == 1


def test_a_job_that_is_unknown_is_not_waited_for(client: Either, server: AnswersServer) -> None:
    server.lay(EVENTS, Answer.error(404, "job_not_found"))
    with pytest.raises(JobNotFound):
        client.do(lambda c: c.wait("job_1"))
    assert server.asked(JOB) == []


def test_a_wait_ends_in_time_on_a_silent_stream(client: Either, server: AnswersServer) -> None:
    server.lay(EVENTS, *[Answer.stream(b": still here\n\n") for _ in range(9)])
    server.lay(JOB, Answer.of(QUEUED))
    with pytest.raises(WaitTimedOut):
        client.do(lambda c: c.wait("job_1", timeout_s=0.3))


def test_a_server_that_goes_away_for_good_ends_the_wait(
    client: Either, server: AnswersServer
) -> None:
    server.lay(EVENTS, Answer.stream(sse("started", 1), breaks=True), GONE)
    with pytest.raises(Unreachable):
        client.do(lambda c: c.wait("job_1"))


# Audio


def finished(data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    output = {"url": "", "format": "mp3", "bytes": len(data), "audio_s": 1.5, "sha256": digest}
    return {**DONE, "output": {**output, "others": []}}


AUDIO = bytes(range(256)) * 100
FILE = "GET /v1/jobs/job_1/audio"


def test_a_download_goes_on_where_the_connection_broke(
    client: Either, server: AnswersServer
) -> None:
    server.lay(JOB, Answer.of(finished(AUDIO)))
    server.lay(
        FILE,
        Answer(200, (AUDIO[:10_000],), breaks=True),
        FULL,
        Answer(206, (AUDIO[10_000:20_000],), breaks=True),
        Answer(206, (AUDIO[20_000:],)),
    )
    assert client.do(lambda c: c.audio("job_1")) == AUDIO
    sent = [request.headers.get("Range") for request in server.asked(FILE)]
    assert sent == [None, "bytes=10000-", "bytes=10000-", "bytes=20000-"]


def test_a_store_that_knows_no_ranges_is_read_from_the_beginning(
    client: Either, server: AnswersServer
) -> None:
    server.lay(JOB, Answer.of(finished(AUDIO)))
    server.lay(FILE, Answer(200, (AUDIO[:10_000],), breaks=True), Answer(200, (AUDIO,)))
    assert client.do(lambda c: c.audio("job_1")) == AUDIO


def test_a_file_that_is_not_what_was_made_is_an_error(
    client: Either, server: AnswersServer
) -> None:
    server.lay(JOB, Answer.of(finished(AUDIO)))
    server.lay(FILE, Answer(200, (AUDIO[::-1],)))
    with pytest.raises(BrokenAudio):
        client.do(lambda c: c.audio("job_1"))


def test_the_key_is_not_sent_along_to_a_store_elsewhere(
    client: Either, server: AnswersServer
) -> None:
    with answers_server() as store:
        # The same machine under another name, as a store is.
        address = store.url.replace("127.0.0.1", "localhost") + "/bucket/a.mp3"
        store.lay("GET /bucket/a.mp3", Answer(200, (AUDIO,)))
        server.lay(JOB, Answer.of(finished(AUDIO)))
        server.lay(FILE, Answer(307, (), {"Location": address}))
        assert client.do(lambda c: c.audio("job_1")) == AUDIO
        (request,) = store.requests
        assert "Authorization" not in request.headers
    assert server.asked(FILE)[0].headers["Authorization"] == "Bearer kc_k"


CANCEL = "POST /v1/jobs/job_1/cancel"


def test_audio_is_listened_to_as_it_comes(client: Either, server: AnswersServer) -> None:
    server.lay("POST /v1/jobs", Answer.of(QUEUED, 202))
    server.lay(FILE, FULL, Answer(200, (AUDIO[:100], AUDIO[100:]), live=True))
    pieces = client.do(lambda c: c.stream("Hello.", format="wav"))
    assert b"".join(pieces) == AUDIO
    assert [request.path for request in server.asked(FILE)] == [
        "/v1/jobs/job_1/audio?format=wav&partial=1"
    ] * 2
    assert server.asked(CANCEL) == []


def test_audio_that_breaks_off_is_never_taken_for_whole(
    client: Either, server: AnswersServer
) -> None:
    server.lay("POST /v1/jobs", Answer.of(QUEUED, 202))
    server.lay(FILE, Answer(200, (AUDIO,), live=True, breaks=True))
    server.lay(JOB, Answer.of({**QUEUED, "status": "processing"}))
    server.lay(CANCEL, Answer.of({**QUEUED, "status": "canceled"}, 202))
    with pytest.raises(BrokenAudio):
        client.do(lambda c: c.stream("Hello."))
    assert len(server.asked(FILE)) == 1
    assert len(server.asked(CANCEL)) == 1


def test_audio_of_a_job_that_fails_in_the_middle_tells_why(
    client: Either, server: AnswersServer
) -> None:
    failed = {**QUEUED, "status": "failed", "error": {"code": "poison", "message": "It broke."}}
    server.lay(FILE, Answer(200, (AUDIO,), live=True, breaks=True))
    server.lay(JOB, Answer.of(failed))
    with pytest.raises(JobFailed, match="It broke"):
        client.do(lambda c: c.listen("job_1"))


def test_who_stops_listening_cancels_what_is_only_streamed(server: AnswersServer) -> None:
    server.lay("POST /v1/jobs", Answer.of(QUEUED, 202))
    server.lay(FILE, Answer(200, (AUDIO, AUDIO), live=True))
    server.lay(CANCEL, Answer.of({**QUEUED, "status": "canceled"}, 202))
    with KokoroCluster(server.url) as cluster:
        pieces = cluster.stream("Hello.")
        next(pieces)
        pieces.close()
    assert len(server.asked(CANCEL)) == 1

    async def use() -> None:
        async with AsyncKokoroCluster(server.url) as cluster:
            pieces = cluster.stream("Hello.")
            await anext(pieces)
            await pieces.aclose()

    asyncio.run(use())
    assert len(server.asked(CANCEL)) == 2


def test_nothing_but_the_clients_own_errors_is_raised() -> None:
    for kind in (Unreachable, ApiError, BrokenAudio, WaitTimedOut, UnreadableAnswer):
        assert issubclass(kind, KokoroClusterError)
