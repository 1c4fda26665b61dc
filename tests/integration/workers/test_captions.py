"""Captions through real workers: exact ones of Kokoro's architecture, estimated ones of others."""

import io
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import soundfile
import srt
import webvtt

from shared.formats import AudioFormat, CaptionFormat
from shared.ledger.records import JobRecord
from shared.ledger.states import JobStatus
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_way import wav_spec
from worker.engines.checkpoint import write_checkpoint
from worker.segment_audio import decode_segment

TEXT = (
    "The first sentence stands alone, “quite” alone. A second one follows it.\n\n"
    "Another paragraph: [Kokoro](/kˈOkəɹO/) speaks.[pause:1.5s] And the last one ends here."
)
WORDS = [
    "The",
    "first",
    "sentence",
    "stands",
    "alone",
    "quite",
    "alone",
    "A",
    "second",
    "one",
    "follows",
    "it",
    "Another",
    "paragraph",
    "Kokoro",
    "speaks",
    "And",
    "the",
    "last",
    "one",
    "ends",
    "here",
]
HALF_FRAME_S = 1 / 80


def caption_spec(**changes: object) -> Any:
    fields: dict[str, object] = {
        "outputs": (AudioFormat.WAV,),
        "captions": tuple(CaptionFormat),
    }
    return wav_spec(**{**fields, **changes})


def files_of(cluster: Cluster, job: JobRecord) -> dict[str, str]:
    assert job.status is JobStatus.SUCCEEDED, job.error_message
    return {file.format: cluster.storage.get(file.key).decode() for file in job.captions}


def warning_codes(cluster: Cluster, job: JobRecord) -> list[str]:
    return [warning["code"] for warning in cluster.ledger.worker().warnings(job.uid)]


def check(cluster: Cluster, job: JobRecord) -> dict[str, Any]:
    """Assert that the captions belong to the audio; return the words document."""
    files = files_of(cluster, job)
    audio_s = soundfile.info(io.BytesIO(cluster.storage.get(job.outputs[0].key))).duration
    document: dict[str, Any] = json.loads(files["words"])
    assert document["audio_s"] == pytest.approx(audio_s, abs=1e-4)
    assert [row["word"] for row in document["words"]] == WORDS
    position = 0.0
    for row in document["words"]:
        assert position <= row["start_s"] < row["end_s"] <= audio_s
        position = row["end_s"]
        sentence = document["sentences"][row["sentence"]]
        assert sentence["segment"] == row["segment"]
        assert sentence["start_s"] <= row["start_s"] < row["end_s"] <= sentence["end_s"]
        shown = TEXT[row["span"]["start"] : row["span"]["end"]]
        assert row["word"] in shown
    for before, after in itertools.pairwise(document["sentences"]):
        assert before["end_s"] <= after["start_s"]
    subtitles = list(srt.parse(files["srt"]))
    cues = webvtt.from_buffer(io.StringIO(files["vtt"])).captions
    assert [cue.content for cue in subtitles] == [cue.text for cue in cues]
    heard = " ".join(cue.content.replace("\n", " ") for cue in subtitles)
    assert heard == " ".join(row["text"] for row in document["sentences"])
    assert subtitles[-1].end.total_seconds() <= audio_s + 0.001
    for one, two in itertools.pairwise(subtitles):
        assert one.start < one.end <= two.start
    # The pause of 1.5 s is between two words, and nothing is said in it.
    gaps = [b["start_s"] - a["end_s"] for a, b in itertools.pairwise(document["words"])]
    assert gaps[WORDS.index("And") - 1] >= 1.5
    return document


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_words_of_kokoro_end_where_its_audio_does(
    cluster: Cluster, tmp_path: Path, speed: float
) -> None:
    write_checkpoint(tmp_path / "tiny", size="tiny")
    cluster.start("synth", engine="kokoro", model=str(tmp_path / "tiny"))
    job = cluster.finished(cluster.submit(TEXT, spec=caption_spec(speed=speed)), 90)
    document = check(cluster, job)
    assert document["exact"] is True
    assert "timings_estimated" not in warning_codes(cluster, job)
    segments = cluster.ledger.worker().segments(job.uid, 0, job.segments_total)
    lengths = [(segment.samples or 0) / 24_000 for segment in segments]
    ends = list(itertools.accumulate(lengths))
    durations = [
        None if s.key is None else decode_segment(cluster.storage.get(s.key)).durations
        for s in segments
    ]
    for index, end_s in enumerate(ends):
        words = [row for row in document["words"] if row["segment"] == index]
        frames = durations[index]
        if frames is None:
            assert words == []
            continue
        first, last = frames[0], frames[-2:]
        start_s = end_s - lengths[index]
        # What upstream does not count as heard: three frames of the start mark, and the stop.
        assert words[0]["start_s"] == pytest.approx(start_s + max(0, first - 3) / 40, abs=1e-4)
        assert words[-1]["end_s"] == pytest.approx(
            end_s - (sum(last) + min(first, 3)) / 40, abs=1e-4
        )
    assert all(
        math.isclose(time_s / HALF_FRAME_S, round(time_s / HALF_FRAME_S), abs_tol=0.02)
        for row in document["words"]
        for time_s in (row["start_s"], row["end_s"])
    )
    again = cluster.finished(cluster.submit(TEXT, spec=caption_spec(speed=speed)))
    assert again.segments_reused == 3
    assert files_of(cluster, again) == files_of(cluster, job), "reused segments tell the same"


def test_without_durations_times_are_shared_out_and_the_job_says_so(cluster: Cluster) -> None:
    cluster.start("synth")
    job = cluster.finished(cluster.submit(TEXT, spec=caption_spec()))
    assert check(cluster, job)["exact"] is False
    assert warning_codes(cluster, job).count("timings_estimated") == 1


def test_a_job_without_captions_keeps_no_words_and_one_with_them_none_after_its_end(
    cluster: Cluster,
) -> None:
    cluster.start("synth", model="scripted:sleep_s=1")
    plain = cluster.submit(TEXT, spec=wav_spec())
    told = cluster.submit(TEXT.replace("first", "other"), spec=caption_spec())
    cluster.wait(lambda: cluster.client.exists(f"kc:job:{told}:words"))
    assert not cluster.client.exists(f"kc:job:{plain}:words")
    assert cluster.finished(plain).captions == ()
    assert cluster.finished(told).captions != ()
    assert not cluster.client.exists(f"kc:job:{told}:words")


def test_captions_of_a_long_text_go_on_across_its_slices(cluster: Cluster) -> None:
    cluster.start("synth")
    paragraphs = [f"Paragraph number {n} says something of its own." for n in range(600)]
    text = "\n\n".join(paragraphs)
    job = cluster.finished(cluster.submit(text, spec=caption_spec()), 120)
    document = json.loads(files_of(cluster, job)["words"])
    assert [row["text"] for row in document["sentences"]] == paragraphs
    assert [row["segment"] for row in document["sentences"]] == list(range(600))
    assert all(
        text[row["span"]["start"] : row["span"]["end"]] == row["word"] for row in document["words"]
    )
    starts = [row["start_s"] for row in document["words"]]
    assert starts == sorted(starts)
    assert document["words"][-1]["end_s"] <= document["audio_s"]
    assert document["words"][-1]["end_s"] > document["audio_s"] - 1
