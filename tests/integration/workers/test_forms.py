"""Several voices, chapters and loudness through real workers."""

import io
import json

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.records import JobRecord
from shared.ledger.states import JobStatus
from shared.voices import parse_voice
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_way import wav_spec
from worker.assemble.loudness import measure

FIRST, SECOND = "The first one says this.", "The second one says that."


def submit(cluster: Cluster, text: str, *voices: str, **changes: object) -> str:
    mixes = {voice: parse_voice(voice) for voice in voices}
    stamp = cluster.engine().stamp(parse_voice("af_heart"), mixes)
    return cluster.ledger.accept(text, engine=stamp, spec=wav_spec(**changes))


def done(cluster: Cluster, uid: str) -> JobRecord:
    job = cluster.finished(uid)
    assert job.status is JobStatus.SUCCEEDED, job.error_message
    return job


def hashes(cluster: Cluster, job: JobRecord) -> list[str | None]:
    """Return under what the audio of each segment is stored; None for a pause."""
    segments = cluster.ledger.worker().segments(job.uid, 0, job.segments_total)
    return [segment.key and segment.key.split("/")[2] for segment in segments]


def test_a_voice_in_a_text_is_the_voice_of_a_job_and_its_audio_is_reused(cluster: Cluster) -> None:
    cluster.start("synth")
    job = done(cluster, submit(cluster, f"{FIRST}[voice:am_adam]{SECOND}", "am_adam"))
    first, second = hashes(cluster, job)
    plain = done(cluster, submit(cluster, FIRST))
    assert (hashes(cluster, plain), plain.segments_reused) == ([first], 1)
    adam = cluster.engine().stamp(parse_voice("am_adam"))
    uid = cluster.ledger.accept(SECOND, engine=adam, spec=wav_spec(voice="am_adam"))
    job = done(cluster, uid)
    assert (hashes(cluster, job), job.segments_reused) == ([second], 1)


def test_the_voice_of_a_long_text_is_kept_from_slice_to_slice_by_any_planner(
    cluster: Cluster,
) -> None:
    cluster.start("synth")
    cluster.start("plan", "1")
    paragraphs = [f"Paragraph number {n} says something of its own." for n in range(600)]
    paragraphs[1] = "[voice:am_adam]" + paragraphs[1]
    paragraphs[300] = "[chapter:Two]" + paragraphs[300]
    text = "\n\n".join(paragraphs)
    assert len(text) > 3 * 8192
    job = done(cluster, submit(cluster, text, "am_adam", chapter_pause_s=0.5))
    assert job.segments_total == 601
    found = hashes(cluster, job)
    assert found[300] is None
    # One job in each voice, planned at once: the same segments have the same audio.
    adam = cluster.engine().stamp(parse_voice("am_adam"))
    body = "\n\n".join(paragraphs[1:]).replace("[voice:am_adam]", "").replace("[chapter:Two]", "")
    uid = cluster.ledger.accept(body, engine=adam, spec=wav_spec(voice="am_adam"))
    again = done(cluster, uid)
    assert again.segments_reused == again.segments_total == 599
    assert hashes(cluster, again) == [*found[1:300], *found[301:]]


def test_a_voice_of_another_language_is_spoken_in_it_when_the_job_chose_none(
    cluster: Cluster,
) -> None:
    cluster.start("synth")
    text = "Hello.\n\n[voice:if_sara]Ciao amico.\n\n[voice:af_heart]Bye."
    follows = done(cluster, submit(cluster, text, "if_sara", "af_heart", follow_voice=True))
    stays = done(cluster, submit(cluster, text, "if_sara", "af_heart"))
    one, two = hashes(cluster, follows), hashes(cluster, stays)
    assert (one[0], one[2]) == (two[0], two[2])
    assert one[1] != two[1]
    italian = cluster.engine().stamp(parse_voice("if_sara"))
    uid = cluster.ledger.accept(
        "Ciao amico.", engine=italian, spec=wav_spec(voice="if_sara", language=Language.ITALIAN)
    )
    assert hashes(cluster, done(cluster, uid)) == [one[1]]


def loudness_warnings(cluster: Cluster, job: JobRecord) -> list[str]:
    found = [str(warning["code"]) for warning in cluster.ledger.worker().warnings(job.uid)]
    return [code for code in found if code.startswith("loudness")]


BOOK = "Before it.\n\n[chapter:Über „eins“]One is said.\n\nAnd more.[chapter:第二章]Two is said."


def chapters(cluster: Cluster, uid: str) -> list[tuple[str, float, float]]:
    rows = cluster.client.lrange(f"kc:job:{uid}:chapters", 0, -1)
    found = [json.loads(row) for row in rows]
    return [(c["title"], c["start"] / 24_000, c["end"] / 24_000) for c in found]


def samples(data: bytes) -> tuple[NDArray[np.int16], int]:
    decoded, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    return decoded, rate


def test_chapters_are_files_of_their_own_and_marks_of_the_whole(cluster: Cluster) -> None:
    cluster.start("synth")
    outputs = (AudioFormat.WAV, AudioFormat.M4B)
    uid = submit(cluster, BOOK, outputs=outputs, chapter_pause_s=0.5, split=True, title="Ein Buch")
    job = done(cluster, uid)
    found = chapters(cluster, uid)
    assert [title for title, _, _ in found] == ["", "Über „eins“", "第二章"]
    assert job.chapters_total == 3
    assert found[0][1] == 0
    assert found[-1][2] == pytest.approx(job.audio_s)
    wav, m4b = (cluster.storage.get(output.key) for output in job.outputs)
    with av.open(io.BytesIO(m4b)) as container:
        marked = [
            (c["metadata"]["title"], float(c["start"] * (c["time_base"] or 0)))
            for c in container.chapters()
        ]
        assert container.metadata["title"] == "Ein Buch"
    assert [title for title, _ in marked] == [title for title, _, _ in found]
    assert [start for _, start in marked] == pytest.approx([s for _, s, _ in found], abs=0.002)
    whole, rate = samples(wav)
    for _, start, _ in found[1:]:
        quiet = whole[round(start * rate) : round((start + 0.5) * rate)]
        assert np.abs(quiet).max() == 0, "the silence that a chapter begins with"
    files = cluster.client.hgetall(f"kc:job:{uid}:files")
    assert sorted(files) == sorted(
        f"{n}.{name}".encode() for n in (1, 2, 3) for name in ("wav", "m4b")
    )
    parts = [json.loads(files[f"{n}.wav".encode()]) for n in (1, 2, 3)]
    heard = [samples(cluster.storage.get(part["key"]))[0] for part in parts]
    assert np.array_equal(np.concatenate(heard), whole)
    kept = {item.key for item in cluster.storage.list(f"jobs/{uid}")}
    token = job.outputs[0].key.split("/")[2]  # other tests' jobs have had the same id
    assert len([key for key in kept if f"/{token}/" in key]) == 8
    # All of it goes with the job.
    cluster.ledger.ask(lambda intake: intake.delete(uid))
    cluster.wait(lambda: not list(cluster.storage.list(f"jobs/{uid}")))
    assert cluster.client.keys(f"kc:job:{uid}*") == []


def test_files_of_chapters_of_a_job_that_ended_meanwhile_are_swept(cluster: Cluster) -> None:
    cluster.start("synth")
    uid = submit(cluster, BOOK, split=True)
    cluster.wait(lambda: cluster.ledger.job(uid).status is not JobStatus.QUEUED)
    cluster.ledger.ask(lambda intake: intake.cancel(uid))
    cluster.ledger.ask(lambda intake: intake.delete(uid))
    cluster.wait(lambda: not list(cluster.storage.list(f"jobs/{uid}")))
    cluster.wait(lambda: cluster.phase("assemble.0") == "idle")
    assert not list(cluster.storage.list(f"jobs/{uid}"))


def test_a_job_is_as_loud_as_was_asked_for_and_no_longer_than_before(cluster: Cluster) -> None:
    cluster.start("synth")
    text = "This is said at some length, so that there is something to measure. " * 4
    plain = done(cluster, submit(cluster, text, outputs=(AudioFormat.WAV,)))
    quiet = done(cluster, submit(cluster, text, outputs=(AudioFormat.WAV,), loudness_lufs=-35.0))
    loud = done(cluster, submit(cluster, text, outputs=(AudioFormat.WAV,), loudness_lufs=-2.0))
    one, two, three = (
        samples(cluster.storage.get(job.outputs[0].key))[0] for job in (plain, quiet, loud)
    )
    assert one.size == two.size == three.size
    assert measure([two[i : i + 24_000] for i in range(0, two.size, 24_000)]).lufs == (
        pytest.approx(-35, abs=0.1)
    )
    assert np.corrcoef(one, two)[0, 1] > 0.999
    assert loudness_warnings(cluster, quiet) == []
    assert loudness_warnings(cluster, loud) == ["loudness_limited"]
    assert np.abs(three).max() / 32_768 <= 10 ** (-1 / 20)
    assert np.abs(three).max() > np.abs(one).max()
