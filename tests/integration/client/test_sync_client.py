import io
import itertools
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from client.errors import (
    Conflict,
    IdempotencyConflict,
    InvalidRequest,
    JobCanceled,
    JobFailed,
    JobNotFound,
    JobRunning,
    JobTerminal,
    NoAudio,
    NotFound,
    UnknownVoice,
    WaitTimedOut,
)
from client.lexicon import LexiconEntry
from client.sync.cluster import KokoroCluster
from client.watching import Update
from client.webhooks import verify_webhook
from tests.faults.cluster import SECRET, FaultCluster
from worker.engines.scripted import Fault


@contextmanager
def _receiver(received: list[tuple[dict[str, str], bytes]]) -> Iterator[str]:
    """Keep what comes to an address for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook"
        finally:
            server.shutdown()
            thread.join(10)


def seconds(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as audio:
        return float(audio.getnframes() / audio.getframerate())


def test_a_text_is_spoken_and_saved(cluster: KokoroCluster, tmp_path: Path) -> None:
    speech = cluster.speak("Good morning to all of you.", voice="af_bella", format="wav")
    path = speech.save(tmp_path / "a.wav")
    assert speech.job.succeeded
    assert speech.job.output is not None
    assert seconds(path.read_bytes()) == pytest.approx(speech.job.output.audio_s, abs=0.01)


def test_a_job_is_submitted_waited_for_and_downloaded_in_each_of_its_formats(
    cluster: KokoroCluster, tmp_path: Path, whole: FaultCluster
) -> None:
    updates: list[Update] = []
    job = cluster.submit(whole.words(12), formats=["wav", "mp3"], metadata={"for": "a test"})
    assert not job.ended
    ended = cluster.wait(job, updates.append)
    assert ended.succeeded
    assert ended.metadata == {"for": "a test"}
    assert updates[-1].job == ended
    assert updates[-1].progress.segments_done == ended.progress.segments_total > 0
    assert ended.output is not None
    for name in ("wav", "mp3"):
        output = ended.output.file(name)
        assert output is not None
        path = cluster.download(ended, tmp_path / f"a.{name}", name)
        assert path.stat().st_size == output.bytes
    assert cluster.audio(job.id, "mp3") == (tmp_path / "a.mp3").read_bytes()


def test_a_job_that_fails_is_told_by_its_error(cluster: KokoroCluster) -> None:
    with pytest.raises(JobFailed) as caught:
        cluster.speak(f"This one asks for {Fault.RAISE} and gets it.")
    assert caught.value.job.status == "failed"
    assert caught.value.code == caught.value.job.raw["error"]["code"]
    with pytest.raises(NoAudio):
        cluster.audio(caught.value.job)


def test_a_job_is_found_again_looked_at_canceled_and_deleted(
    cluster: KokoroCluster, whole: FaultCluster
) -> None:
    job = cluster.submit(whole.words(400), custom_id="the-long-one", priority="batch")
    with pytest.raises(JobRunning):
        cluster.delete(job)
    with pytest.raises(WaitTimedOut):
        cluster.wait(job, timeout_s=0.3)
    assert cluster.cancel(job).status == "canceled"
    with pytest.raises(JobTerminal):
        cluster.cancel(job)
    with pytest.raises(JobCanceled):
        cluster.wait(job).raise_unless_succeeded()
    (found,) = cluster.jobs(custom_id="the-long-one")
    assert found.id == job.id
    assert [one.id for one in cluster.jobs(status="canceled", custom_id="the-long-one")] == [job.id]
    assert list(cluster.jobs(created_before=datetime.now(UTC) - timedelta(days=1))) == []
    cluster.delete(job)
    with pytest.raises(JobNotFound):
        cluster.get(job)


def test_all_pages_of_a_list_are_gone_through(cluster: KokoroCluster) -> None:
    made = [cluster.submit("One of many.", custom_id="paged").id for _ in range(7)]
    page = cluster.page(limit=3, custom_id="paged")
    assert len(page.data) == 3
    assert page.has_more
    again = cluster.page(limit=100, after=page.after, custom_id="paged")
    assert [job.id for job in (*page.data, *again.data)] == made[::-1]
    assert [job.id for job in cluster.jobs(custom_id="paged")] == made[::-1]


def test_segments_are_shown_with_their_times(cluster: KokoroCluster, whole: FaultCluster) -> None:
    job = cluster.wait(cluster.submit(whole.words(3)))
    segments = cluster.get(job, segments=True).segments
    assert segments is not None
    assert segments[0].start_s == 0
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(segments))
    assert job.segments is None


def test_a_repeat_under_the_same_key_is_the_same_job(cluster: KokoroCluster) -> None:
    key = f"test-{time.monotonic_ns()}"
    first = cluster.submit("Say it once.", idempotency_key=key)
    assert cluster.submit("Say it once.", idempotency_key=key).id == first.id
    with pytest.raises(IdempotencyConflict):
        cluster.submit("Say another.", idempotency_key=key)


def test_a_bad_voice_is_an_error_of_its_own(cluster: KokoroCluster) -> None:
    with pytest.raises(UnknownVoice) as caught:
        cluster.submit("Hello.", voice="nobody")
    assert caught.value.param == "voice"


def test_what_the_cluster_is_made_of(cluster: KokoroCluster) -> None:
    assert "af_heart" in {voice.id for voice in cluster.voices()}
    models = cluster.models()
    assert (models[0].id, models[0].stand_in) == ("scripted", True)
    workers = cluster.workers()
    assert {worker.role for worker in workers} == {"plan", "synth", "assemble", "deliver"}
    assert all(worker.heartbeat_at is not None for worker in workers)


def test_a_webhook_that_was_really_sent_verifies(
    cluster: KokoroCluster, whole: FaultCluster
) -> None:
    received: list[tuple[dict[str, str], bytes]] = []
    with _receiver(received) as address:
        job = cluster.submit("Tell me when you are done.", webhook=address)
        whole.wait(lambda: received, 30)
    headers, body = received[0]
    event = verify_webhook(headers, body, SECRET)
    assert event.type == "job.succeeded"
    assert event.data == replace(cluster.get(job), chapters=None)
    (delivery,) = cluster.deliveries(job)
    assert delivery.id == event.id


def test_threads_may_share_a_client(cluster: KokoroCluster) -> None:
    found: list[str] = []

    def speak(number: int) -> None:
        found.append(cluster.speak(f"I am number {number}.").job.id)

    threads = [threading.Thread(target=speak, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(found)) == 8


def test_lexicons_are_stored_by_version_and_spoken_with(cluster: KokoroCluster) -> None:
    entries = [LexiconEntry(word="Kokoro", respelling="ko ko ro")]
    first = cluster.lexicons.put("names", entries, language="en-us")
    assert first.entries_total == 1
    assert cluster.lexicons.put("names", entries, language="en-us").version == first.version
    entries.append(LexiconEntry(word="SQL", phonemes="sˈikwəl", case_sensitive=True))
    assert cluster.lexicons.put("names", entries, language="en-us").version > first.version
    assert cluster.lexicons.get("names").entries == tuple(entries)
    assert cluster.lexicons.get("names", first.version).entries == tuple(entries[:1])
    assert "names" in [one.name for one in cluster.lexicons.list()]
    spoken = cluster.speak("Kokoro speaks SQL.", lexicons=[f"names@{first.version}"])
    assert spoken.job.lexicons == (f"names@{first.version}",)
    cluster.lexicons.delete("names")
    with pytest.raises(NotFound):
        cluster.lexicons.get("names")


def test_a_segments_audio_is_fetched_alone(cluster: KokoroCluster, whole: FaultCluster) -> None:
    job = cluster.wait(cluster.submit(f"{whole.words(1)} [pause:0.5s] {whole.words(1)}"))
    segments = cluster.get(job, segments=True).segments
    assert segments is not None
    for segment in segments:
        if segment.pause:
            with pytest.raises(Conflict):
                cluster.segment_audio(job, segment.index)
        else:
            assert segment.end_s is not None and segment.start_s is not None
            length_s = segment.end_s - segment.start_s
            audio = cluster.segment_audio(job, segment.index)
            assert seconds(audio) == pytest.approx(length_s, abs=0.01)
    assert {segment.pause for segment in segments} == {True, False}


def test_the_whole_queue_is_looked_at(cluster: KokoroCluster) -> None:
    before = cluster.cluster()
    cluster.speak("One more of those that succeeded.")
    after = cluster.cluster()
    assert after.jobs_by_status["succeeded"] > before.jobs_by_status.get("succeeded", 0)
    assert after.workers == 4


def test_segments_are_told_of_as_they_are_done(cluster: KokoroCluster, whole: FaultCluster) -> None:
    job = cluster.submit(whole.words(10), format="wav")
    updates = list(cluster.watch(job))
    told = [update.segment for update in updates if update.segment is not None]
    ended = updates[-1].job
    assert ended is not None
    segments = cluster.get(job, segments=True).segments
    assert segments is not None
    assert [(s.index, s.start_s, s.end_s) for s in told] == [
        (s.index, s.start_s, s.end_s) for s in segments
    ]
    assert ended.output is not None
    assert told[-1].end_s == pytest.approx(ended.output.audio_s, abs=0.01)


def test_several_speakers_and_chapters_are_one_job(cluster: KokoroCluster) -> None:
    parts = [{"voice": "af_heart", "input": "Who is there?"}, {"voice": "am_adam", "input": "Me."}]
    assert cluster.wait(cluster.submit(segments=parts)).succeeded
    chapters = [{"title": "One", "input": "It begins."}, {"title": "Two", "input": "It ends."}]
    assert cluster.wait(cluster.submit(chapters=chapters, chapter_pause_s=0.2)).succeeded


def test_documents_are_uploaded_by_path_or_as_open_files(
    cluster: KokoroCluster, tmp_path: Path
) -> None:
    path = tmp_path / "book.md"
    path.write_text("# One\n\nIt *begins* here.\n\n# Two\n\nIt ends.\n")
    job = cluster.upload(path, voice="bf_emma", custom_id="a-book")
    assert cluster.wait(job).succeeded
    cues = (
        "1\n00:00:01,000 --> 00:00:02,000\nHello.\n",
        "2\n00:00:05,000 --> 00:00:06,000\nBye.\n",
    )
    subtitles = io.BytesIO("\n".join(cues).encode())
    timed = cluster.wait(cluster.upload(subtitles, name="film.srt", srt_timing=True, format="wav"))
    assert timed.output is not None
    assert timed.output.audio_s > 3  # between the two it is silent for three seconds
    with pytest.raises(InvalidRequest) as caught:
        cluster.upload(io.BytesIO(b"\x7fELF" + bytes(200)), name="a.epub")
    assert caught.value.code.startswith("document_")


def test_audio_is_heard_before_the_job_has_ended(
    cluster: KokoroCluster, whole: FaultCluster
) -> None:
    pieces = cluster.stream(whole.words(200), format="pcm", custom_id="heard")
    first = next(pieces)
    (job,) = cluster.jobs(custom_id="heard")
    assert job.status == "processing"
    audio = first + b"".join(pieces)
    ended = cluster.wait(job)
    assert ended.output is not None
    assert len(audio) / 48_000 == pytest.approx(ended.output.audio_s, abs=0.01)


def test_who_stops_listening_cancels_the_rest(cluster: KokoroCluster, whole: FaultCluster) -> None:
    pieces = cluster.stream(whole.words(400), format="pcm", custom_id="unheard")
    next(pieces)
    pieces.close()
    (job,) = cluster.jobs(custom_id="unheard")
    assert job.status == "canceled"


def test_a_text_that_fails_in_the_middle_is_never_taken_for_whole(
    cluster: KokoroCluster, whole: FaultCluster
) -> None:
    text = f"{whole.words(5)}\n\n{Fault.RAISE} asks for it."
    with pytest.raises((JobFailed, NoAudio)):
        list(cluster.stream(text, format="mp3"))


def test_a_book_is_one_file_with_its_chapters_and_one_of_each(
    cluster: KokoroCluster, tmp_path: Path
) -> None:
    (tmp_path / "book.md").write_text("# One\n\nIt begins.\n\n# Two\n\nIt ends.\n")
    job = cluster.upload(tmp_path / "book.md", format="m4b", split="chapters", title="A book")
    ended = cluster.wait(job).raise_unless_succeeded()
    assert ended.output is not None
    assert {one.chapter for one in ended.output.others} == {1, 2}
    assert ended.output.file("m4b") is ended.output
    path = cluster.download(ended, tmp_path / "book.m4b")
    assert path.read_bytes()[4:8] == b"ftyp"
