"""Chapters in the audio: where they lie, in M4B and as files of their own."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from shared.errors import IncompleteAudio
from shared.formats import FORMATS, AudioFormat
from shared.ledger.records import ChapterRecord
from tests.unit.assemble.test_assembler import book, decoded, likeness
from worker.assemble.assembler import EncodedFile, Part, assemble
from worker.assemble.chapters import place_chapters
from worker.assemble.m4b import ChapterMark, Tags, short_title

M4B = AudioFormat.M4B
TITLES = ["Über „alles“", "第二章 — 猫", "🎧 " + "lang " * 30]


def marks(total: int) -> list[ChapterMark]:
    edges = [0, 70_001, 140_003, total]
    return [ChapterMark(title, edges[i], edges[i + 1]) for i, title in enumerate(TITLES)]


def m4b(folder: Path, **tags: Any) -> tuple[EncodedFile, np.ndarray[Any, np.dtype[np.int16]]]:
    items, whole = book()
    made = Tags(chapters=marks(whole.size), **tags)
    (file,) = assemble(items, [M4B], folder, total_samples=whole.size, tags=made)
    return file, whole


def test_an_m4b_says_its_chapters_title_and_author(tmp_path: Path) -> None:
    file, whole = m4b(tmp_path, title="Ein Büch 猫", author="Ich & Co.")
    assert file.path.suffix == ".m4b"
    with av.open(str(file.path)) as container:
        chapters = container.chapters()
        assert [c["metadata"]["title"] for c in chapters] == TITLES
        for chapter, mark in zip(chapters, marks(whole.size), strict=True):
            for name, samples in (("start", mark.start), ("end", mark.end)):
                seconds = float(chapter[name] * chapter["time_base"])  # type: ignore[literal-required]
                assert seconds == pytest.approx(samples / 24_000, abs=0.0011)
        said = container.metadata
        assert (said["title"], said["album"], said["artist"]) == (
            *("Ein Büch 猫", "Ein Büch 猫"),
            "Ich & Co.",
        )
        assert said["media_type"] == "2"
        assert container.streams.audio[0].codec_context.name == "aac"


def test_an_m4b_has_its_brand_and_its_index_in_front(tmp_path: Path) -> None:
    file, _ = m4b(tmp_path)
    data = file.path.read_bytes()
    assert data[4:12] == b"ftypM4B "
    assert data.index(b"moov") < data.index(b"mdat")
    assert FORMATS[M4B].media_type == "audio/mp4"


def test_an_m4b_plays_all_of_the_audio_in_place(tmp_path: Path) -> None:
    file, whole = m4b(tmp_path)
    heard = decoded(file)
    assert 0 <= heard.size - whole.size < 1024
    assert likeness(heard[: whole.size], whole) > 0.98
    assert likeness(heard[whole.size - 24_000 : whole.size], whole[-24_000:]) > 0.98


def test_an_m4b_without_chapters_is_a_plain_one(tmp_path: Path) -> None:
    items, whole = book()
    (file,) = assemble(items, [M4B], tmp_path, total_samples=whole.size)
    with av.open(str(file.path)) as container:
        assert container.chapters() == []
        assert "title" not in container.metadata
    again, _ = m4b(tmp_path), None
    assert again[0].sha256 == m4b(tmp_path)[0].sha256


def test_a_long_title_is_cut_between_characters() -> None:
    assert short_title("猫" * 200) == "猫" * 85
    assert short_title("a" * 200) == "a" * 200


def test_five_hundred_chapters_are_all_there(tmp_path: Path) -> None:
    items, whole = book()
    edges = np.linspace(0, whole.size, 501).astype(int).tolist()
    many = [ChapterMark(f"Chapter {n}", edges[n], edges[n + 1]) for n in range(500)]
    (file,) = assemble(items, [M4B], tmp_path, total_samples=whole.size, tags=Tags(chapters=many))
    with av.open(str(file.path)) as container:
        found = [c["metadata"]["title"] for c in container.chapters()]
    assert found == [mark.title for mark in many]


def test_chapters_lie_where_their_segments_do() -> None:
    planned = [ChapterRecord("One", 1), ChapterRecord("Two", 2), ChapterRecord("End", 3)]
    placed, total = place_chapters(planned, [100, 20, 3])
    assert total == 123
    assert placed == [
        ChapterRecord("", 0, 0, 100),
        ChapterRecord("One", 1, 100, 120),
        ChapterRecord("Two", 2, 120, 123),
        ChapterRecord("End", 3, 123, 123),
    ]
    assert [chapter.samples for chapter in placed] == [100, 20, 3, 0]


def test_a_chapter_at_the_beginning_has_none_before_it_and_an_empty_one_no_length() -> None:
    placed, _ = place_chapters([ChapterRecord("A", 0), ChapterRecord("B", 0)], iter([5, 5]))
    assert placed == [ChapterRecord("A", 0, 0, 0), ChapterRecord("B", 0, 0, 10)]
    assert place_chapters([], [5, 5]) == ([], 10)


def test_each_part_gets_its_files_and_only_one_parts_lie_there_at_a_time(tmp_path: Path) -> None:
    items, whole = book()
    edges = [0, 70_001, 140_003, whole.size]
    sizes = [b - a for a, b in pairwise(edges)]
    parts = [Part(n, size, Tags(title=TITLES[n - 1])) for n, size in enumerate(sizes, 1)]
    formats = [AudioFormat.WAV, M4B]
    lying: list[int] = []

    def take(part: Part, files: list[EncodedFile]) -> None:
        lying.append(len(list(tmp_path.iterdir())))
        assert [file.format for file in files] == formats
        start, end = edges[part.number - 1], edges[part.number]
        assert np.array_equal(decoded(files[0]), whole[start:end])
        assert files[0].audio_s == pytest.approx(part.samples / 24_000)
        with av.open(str(files[1].path)) as container:
            assert container.metadata["title"] == part.tags.title
        for file in files:
            file.path.unlink()

    (wav, _) = assemble(
        items, formats, tmp_path, total_samples=whole.size, parts=parts, on_part=take
    )
    assert lying == [4, 4, 4]
    assert np.array_equal(decoded(wav), whole)


def test_nothing_is_left_of_a_part_when_the_whole_fails(tmp_path: Path) -> None:
    items, whole = book()
    part = Part(1, whole.size + 1000, Tags())
    with pytest.raises(IncompleteAudio):
        assemble(items, [AudioFormat.MP3], tmp_path, total_samples=whole.size + 1000, parts=[part])
    assert list(tmp_path.iterdir()) == []


def test_a_gain_is_put_on_every_sample_once(tmp_path: Path) -> None:
    items, whole = book()
    (file,) = assemble(items, [AudioFormat.WAV], tmp_path, total_samples=whole.size, gain=0.5)
    assert np.array_equal(decoded(file), np.rint(whole * 0.5).astype(np.int16))
