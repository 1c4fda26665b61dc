import pytest

from client.answers import Chapter, Job, Output, OutputFile
from client.cli.download import default_name
from client.speech import Download, has_file

TITLES = ("One", "  What/who: a\\b? ", "..", "")


def job(chapters: int = 4) -> Job:
    others = tuple(
        OutputFile(url="", format=format, bytes=n, chapter=n)
        for format in ("mp3", "wav")
        for n in range(chapters, 0, -1)
    )
    output = Output(url="", format="mp3", bytes=100, others=others)
    titles = tuple(Chapter(title=title) for title in TITLES)
    return Job(id="job_1", status="succeeded", output=output, chapters=titles)


@pytest.mark.parametrize(
    ("chapter", "format", "name"),
    [
        (None, None, "job_1.mp3"),
        (None, "wav", "job_1.wav"),
        (1, None, "01 One.mp3"),
        (2, "wav", "02 What who a b.wav"),
        (3, None, "03.mp3"),
        (4, None, "04.mp3"),
        (5, None, "05.mp3"),
    ],
)
def test_a_file_is_called_by_its_chapter_in_a_way_every_file_system_has(
    chapter: int | None, format: str | None, name: str
) -> None:
    assert default_name(job(), format, chapter) == name


def test_a_chapters_file_is_told_from_the_wholes() -> None:
    output = job().output
    assert output is not None
    assert [one.chapter for one in output.chapter_files()] == [1, 2, 3, 4]
    assert {one.format for one in output.chapter_files("wav")} == {"wav"}
    assert (output.file(), output.file("wav")) == (output, None)
    two = output.file(chapter=2)
    assert two is not None
    assert (two.format, two.bytes) == ("mp3", 2)
    assert has_file(job(), "wav", 4)
    assert not has_file(job(), None, 5)
    download = Download(job(), None, 3)
    download.take(b"abc")
    assert download.whole
