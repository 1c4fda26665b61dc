"""Caption files, read back by parsers of others."""

import errno
import hashlib
import io
import json
from pathlib import Path

import pytest
import srt
import webvtt

from shared.formats import CaptionFormat
from shared.languages import Language
from shared.timings import TimedSentence
from tests.unit.assemble.test_cues import sentence
from worker.assemble import captions
from worker.assemble.captions import CaptionWriter
from worker.assemble.cues import Cue

EN = Language.AMERICAN_ENGLISH
STORY = (
    sentence("It was late.", 0.0),
    sentence("Nobody, not even the captain, had slept for more than an hour that night.", 2.0),
    sentence("Then came the storm!", 9.0, segment=2),
)


def written(folder: Path, *sentences: TimedSentence, audio_s: float = 12.0) -> dict[str, str]:
    with CaptionWriter(tuple(CaptionFormat), folder, EN) as writer:
        for one in sentences:
            writer.add([one])
        made = writer.close(audio_s)
    assert [file.format for file in made] == list(CaptionFormat)
    for file in made:
        data = file.path.read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert sorted(folder.iterdir()) == sorted(file.path for file in made), "others are left behind"
    return {file.format: file.path.read_text(encoding="utf-8") for file in made}


def test_both_kinds_of_subtitles_hold_the_same_cues(tmp_path: Path) -> None:
    files = written(tmp_path, *STORY)
    subtitles = list(srt.parse(files["srt"]))
    cues = webvtt.from_buffer(io.StringIO(files["vtt"])).captions
    assert [cue.index for cue in subtitles] == [1, 2, 3]
    assert [cue.content for cue in subtitles] == [cue.text for cue in cues]
    assert [cue.start.total_seconds() for cue in subtitles] == [0.0, 2.0, 9.0]
    assert [cue.start_in_seconds for cue in cues] == [0, 2, 9]
    assert subtitles[1].content.split("\n") == [
        "Nobody, not even the captain, had",
        "slept for more than an hour that night.",
    ]
    assert files["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nIt was late.\n\n")
    assert files["srt"].startswith("1\n00:00:00,000 --> 00:00:01,000\nIt was late.\n\n2\n")


def test_hours_are_counted_up(tmp_path: Path) -> None:
    files = written(tmp_path, sentence("Late in the long book.", 36_000 + 61.5), audio_s=40_000.0)
    assert "10:01:01,500 --> " in files["srt"]
    assert "10:01:01.500 --> " in files["vtt"]


def test_the_words_have_their_times_and_places(tmp_path: Path) -> None:
    document = json.loads(written(tmp_path, *STORY)["words"])
    assert {name: document[name] for name in ("object", "language", "audio_s", "exact")} == {
        "object": "captions",
        "language": "en-us",
        "audio_s": 12.0,
        "exact": True,
    }
    assert (document["complete"], document["after"]) == (True, None)
    assert [row["text"] for row in document["sentences"]] == [one.text for one in STORY]
    assert document["sentences"][2] == {
        "text": "Then came the storm!",
        "start_s": 9.0,
        "end_s": 10.4,
        "span": {"start": 0, "end": 20},
        "segment": 2,
    }
    assert document["words"][-1] == {
        "word": "storm!",
        "start_s": 9.98,
        "end_s": 10.4,
        "span": {"start": 14, "end": 20},
        "segment": 2,
        "sentence": 2,
    }
    assert [row["sentence"] for row in document["words"]] == [0] * 3 + [1] * 14 + [2] * 4


def test_one_estimated_segment_makes_the_whole_inexact(tmp_path: Path) -> None:
    document = json.loads(written(tmp_path, STORY[0], STORY[1]._replace(exact=False))["words"])
    assert document["exact"] is False


def test_nothing_said_is_still_a_valid_file_of_each_kind(tmp_path: Path) -> None:
    files = written(tmp_path)
    assert list(srt.parse(files["srt"])) == []
    assert webvtt.from_buffer(io.StringIO(files["vtt"])).captions == []
    assert json.loads(files["words"])["words"] == []


NASTY = 'a < b & c --> d <i>not</i> {\\an8}up "x" &amp; <v Bob>'


def test_text_that_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    files = written(tmp_path, sentence(NASTY, 1.0))
    cues = webvtt.from_buffer(io.StringIO(files["vtt"])).captions
    shown = " ".join(line for cue in cues for line in cue.raw_text.split("\n"))
    plain = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert plain == NASTY
    assert "<" not in shown
    assert files["vtt"].count("-->") == len(cues)
    subtitles = list(srt.parse(files["srt"]))
    told = " ".join(cue.content.replace("\n", " ") for cue in subtitles)
    assert told.replace("\u2060", "") == NASTY
    assert files["srt"].count("-->") == len(subtitles)
    assert "<i>" not in told
    assert "{\\" not in told


def test_lines_that_begin_from_the_right_are_marked_where_players_do_not_look(
    tmp_path: Path,
) -> None:
    files = written(tmp_path, sentence("שלום, world.", 1.0), sentence("Hello שלום.", 4.0))
    first, second = srt.parse(files["srt"])
    assert first.content == "\u202bשלום, world.\u202c"
    assert second.content == "Hello שלום."
    assert "\u202b" not in files["vtt"]


def test_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    with CaptionWriter((CaptionFormat.VTT,), tmp_path, EN) as writer:
        writer.add(STORY)
        (made,) = writer.close(12.0)
    assert list(tmp_path.iterdir()) == [made.path]
    with CaptionWriter((), tmp_path / "none", EN) as writer:
        assert writer.close(1.0) == []


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(cue: Cue) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(captions, "srt_cue", full)
    with (
        pytest.raises(OSError, match="No space"),
        CaptionWriter(tuple(CaptionFormat), tmp_path, EN) as writer,
    ):
        writer.add(STORY)
        writer.close(12.0)
    assert list(tmp_path.iterdir()) == []
