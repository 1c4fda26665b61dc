"""Several voices and chapters through real workers."""

from shared.languages import Language
from shared.ledger.records import JobRecord
from shared.ledger.states import JobStatus
from shared.voices import parse_voice
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_way import wav_spec

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
