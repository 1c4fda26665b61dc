"""`POST /dev/captioned_speech`: a line of audio and words as each segment gets done."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from shared.formats import AudioFormat
from tests.integration.gateway.conftest import Cluster
from tests.integration.gateway.live import Listener, Studio, decoded, encoder_pids, kill
from tests.integration.gateway.test_speech import fail, only_job, wait_until_canceled

TEXT = "Hello there."


@contextmanager
def planned(cluster: Cluster, segments: int, **fields: Any) -> Iterator[tuple[Listener, Studio]]:
    """Ask for captioned speech and plan it; it has been answered by the block's end."""
    studio = Studio(cluster)
    body = {"model": "kokoro", "input": TEXT, "response_format": "pcm", **fields}
    url = f"http://127.0.0.1:{cluster.port}/dev/captioned_speech"
    listener = Listener(url, "POST", body).start()
    listener.until(lambda: cluster.redis.zcard("kc:queue:plan"))
    studio.plan(segments, pause=fields.get("voice") == "af_bella")
    try:
        yield listener, studio
    finally:
        listener.end()


def lines(listener: Listener) -> list[dict[str, Any]]:
    """Return the whole lines that have come."""
    whole, _, _ = bytes(listener.data).rpartition(b"\n")
    return [json.loads(line) for line in whole.split(b"\n") if line]


def words(listener: Listener) -> list[str]:
    return [stamp["word"] for line in lines(listener) for stamp in line["timestamps"]]


def audio(listener: Listener) -> bytes:
    return b"".join(base64.b64decode(line["audio"]) for line in lines(listener))


def test_words_come_with_the_first_bytes_of_their_segment(cluster: Cluster) -> None:
    # The voice has it planned with half a second of silence after the first tone.
    with planned(cluster, 3, voice="af_bella") as (listener, studio):
        for n in range(1, 4):
            studio.render()
            listener.until(lambda n=n: len(words(listener)) == n)  # type: ignore[misc]
            assert words(listener) == [f"Tone-{one}" for one in range(n)]
    assert (listener.status, listener.error) == (200, None)
    assert listener.headers["content-type"] == "application/json"
    assert listener.headers["x-job-id"] == only_job(cluster)["id"]
    assert {line["audio_format"] for line in lines(listener)} == {"audio/pcm"}
    assert np.array_equal(decoded(AudioFormat.PCM, audio(listener)), studio.whole(3, pause=True))
    stamps = [stamp for line in lines(listener) for stamp in line["timestamps"]]
    assert all(set(stamp) == {"word", "start_time", "end_time"} for stamp in stamps)
    # Seconds of all audio, not of the line's.
    starts = [stamp["start_time"] for stamp in stamps]
    assert starts == pytest.approx([0.0, 1.5, 2.5], abs=0.001)
    assert stamps[-1]["end_time"] == pytest.approx(3.5, abs=0.001)


def test_each_line_is_sent_before_the_next_segment_is_made(cluster: Cluster) -> None:
    with planned(cluster, 2, response_format="mp3") as (listener, studio):
        studio.render()
        listener.until(lambda: words(listener) == ["Tone-0"])
        assert only_job(cluster)["status"] == "processing"
        first = audio(listener)
        assert decoded(AudioFormat.MP3, first).size > 0.7 * 24_000
        studio.render()
    assert decoded(AudioFormat.MP3, audio(listener)).size > 2 * 24_000


def test_without_timestamps_the_shape_is_the_same_and_no_captions_are_made(
    cluster: Cluster,
) -> None:
    with planned(cluster, 2, return_timestamps=False) as (listener, studio):
        studio.render(2)
    assert [line["timestamps"] for line in lines(listener)] == [[]] * len(lines(listener))
    assert np.array_equal(decoded(AudioFormat.PCM, audio(listener)), studio.whole(2))
    job = only_job(cluster)["id"]
    assert cluster.http.get(f"/v1/jobs/{job}/captions.json").json()["error"]["code"] == (
        "captions_not_made"
    )


def test_a_failure_before_the_first_line_is_an_error(cluster: Cluster) -> None:
    with planned(cluster, 2) as (listener, _):
        fail(cluster, "poison", "It broke.")
    assert listener.status == 502
    assert json.loads(listener.data)["error"]["code"] == "speech_failed"


def test_a_failure_after_the_first_line_breaks_the_answer(cluster: Cluster) -> None:
    with planned(cluster, 2) as (listener, studio):
        studio.render()
        listener.until(lambda: lines(listener))
        fail(cluster, "poison", "It broke.")
    assert listener.status == 200
    assert listener.error is not None


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_wants_no_more(cluster: Cluster, stream: bool) -> None:
    with pytest.raises(Exception, match="timed out"):
        cluster.http.post(
            "/dev/captioned_speech", json={"input": TEXT, "stream": stream}, timeout=0.5
        )
    wait_until_canceled(cluster)


def test_who_hangs_up_in_the_middle_wants_no_more(cluster: Cluster) -> None:
    with planned(cluster, 3) as (listener, studio):
        listener.leave.set()
        studio.render()
    wait_until_canceled(cluster)


def test_an_encoder_that_dies_says_no_word_twice_and_leaves_none_out(cluster: Cluster) -> None:
    killed = set()
    with planned(cluster, 6) as (listener, studio):
        for n in range(6):
            studio.render()
            listener.until(lambda n=n: len(words(listener)) == n + 1)  # type: ignore[misc]
            if n in {0, 2, 3}:
                for pid in encoder_pids():
                    killed.add(pid)
                    kill(pid)
    assert len(killed) == 3
    assert words(listener) == [f"Tone-{n}" for n in range(6)]
    assert np.array_equal(decoded(AudioFormat.PCM, audio(listener)), studio.whole(6))


def test_a_segment_that_is_lost_breaks_the_answer_and_names_no_key(cluster: Cluster) -> None:
    with planned(cluster, 2) as (listener, studio):
        studio.render(store=False)
    assert listener.status == 503
    assert json.loads(listener.data)["error"]["code"] == "stream_broken"
    assert b"segments/" not in listener.data


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"voice": "nobody"}, "voice"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"ssml": True}, "ssml"),
        ({"response_format": "m4b"}, "response_format"),
        ({"input": "[voice:nobody]Hi."}, "input"),
        ({"return_timestamps": "perhaps"}, "return_timestamps"),
    ],
)
def test_what_can_not_be_done_is_refused_by_its_field(
    cluster: Cluster, fields: dict[str, Any], param: str
) -> None:
    answer = cluster.http.post("/dev/captioned_speech", json={"input": TEXT, **fields})
    assert cluster.error(answer, 422)["param"] == param
    assert cluster.http.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"turns": []}, "turns"),
        ({"turns": [{"voice": "af_bella", "text": " "}]}, "turns.0.text"),
        ({"turns": [{"voice": "a]b", "text": "Hi."}]}, "turns.0.voice"),
        ({"turns": [{"voice": "nobody", "text": "Hi."}]}, "voice"),
        ({"pause_between_turns": 11}, "pause_between_turns"),
    ],
)
def test_a_dialogue_that_can_not_be_spoken_is_refused(
    cluster: Cluster, fields: dict[str, Any], param: str
) -> None:
    body = {"turns": [{"voice": "af_bella", "text": "Hi."}], **fields}
    error = cluster.error(cluster.http.post("/dev/dialogue", json=body), 422)
    assert error["param"] == param
    assert cluster.http.get("/v1/jobs").json()["data"] == []


def test_a_dialogue_is_a_text_with_marks(cluster: Cluster) -> None:
    studio = Studio(cluster)
    body = {
        "inputs": [
            {"voice_id": "alloy", "text": "Did it work?"},
            {"voice": "He", "text": " It did. "},
        ],
        "voice_aliases": {"he": {"voice": "bm_george", "rate": 1}},
        "pause_between_turns": 0.4,
        "response_format": "pcm",
    }
    listener = Listener(f"http://127.0.0.1:{cluster.port}/dev/dialogue", "POST", body).start()
    listener.until(lambda: cluster.redis.zcard("kc:queue:plan"))
    job = only_job(cluster)["id"]
    text = cluster.redis.get(f"kc:job:{job}:input")
    assert isinstance(text, bytes)
    studio.plan(1)
    studio.render()
    assert np.array_equal(decoded(AudioFormat.PCM, listener.end()), studio.whole(1))
    assert listener.headers["content-type"] == "audio/pcm"
    # OpenAI's name means a voice that is loaded.
    assert text.decode() == (
        "[voice:af_heart]Did it work?\n\n[pause:0.400s]\n\n[voice:bm_george]It did."
    )
