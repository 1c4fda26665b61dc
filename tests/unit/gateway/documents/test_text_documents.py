"""Plain text, Markdown and subtitles."""

import time

import pytest

from gateway.documents.document import Kind
from gateway.documents.faults import DocumentBroken, DocumentTooLong, DocumentUnsupported
from gateway.documents.kinds import kind_of
from gateway.documents.markdown import read_markdown
from gateway.documents.plain_text import read_plain_text
from gateway.documents.subtitles import read_subtitles
from shared.markup import find_marks
from tests import books

MOST = 2_000_000


def plain(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return read_plain_text(raw, most_chars=MOST).text


def markdown(text: str) -> str:
    return read_markdown(text.encode(), most_chars=MOST).text


def cues(*lines: str, timing: bool = False) -> str:
    text = "".join(
        f"{i}\n00:00:{times[0]:06.3f} --> 00:00:{times[1]:06.3f}\n{line}\n\n".replace(".", ",", 2)
        for i, (times, line) in enumerate(zip([(1, 2), (2.1, 3), (8, 9)], lines, strict=False), 1)
    )
    return read_subtitles(text.encode(), most_chars=MOST, timing=timing).text


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_is_told_by_its_bytes(encoding: str) -> None:
    document = read_plain_text("Hello, naïve wörld.\r\nYes.".encode(encoding), most_chars=MOST)
    assert document.text.lstrip("\ufeff") == "Hello, naïve wörld.\nYes."
    assert document.remarks == ()


def test_another_encoding_is_guessed_and_told_of() -> None:
    text = "Ein schöner Tag für große Bären, sagte die Königin und fuhr über die Brücke. " * 5
    document = read_plain_text(text.encode("latin-1"), most_chars=MOST)
    assert document.text == text.strip()
    assert [remark.code for remark in document.remarks] == ["document_encoding"]


def test_damaged_unicode_is_read_as_far_as_it_goes() -> None:
    data = "Grüße, Bäume, Höhlen, Füße, Käse, Öl. ".encode() * 3 + b"x\xff."
    document = read_plain_text(data, most_chars=MOST)
    assert document.text.startswith("Grüße, Bäume")
    assert [remark.detail for remark in document.remarks] == [
        "The file's UTF-8 is damaged, in 1 place(s)."
    ]


def test_a_word_in_an_old_encoding_is_read_too() -> None:
    document = read_plain_text("A café. ".encode("cp1252"), most_chars=MOST)
    assert document.text[:5] == "A caf"
    assert [remark.code for remark in document.remarks] == ["document_encoding"]


@pytest.mark.parametrize(
    "data",
    [b"\x00\x01\x02\x03" * 100, bytes(range(256)) * 50, bytes(range(1, 256)) * 50],
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentUnsupported):
        plain(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a wrap-\nped word", "a wrapped word"),
        ("well-known and well-\nknown", "well-known and well-known"),
        ("Jean-\nLuc", "Jean-Luc"),
        ("soft\u00ad\nly", "softly"),
        ("1990-\n1995", "1990-\n1995"),
        ("a page\fbreak", "a page\nbreak"),
        ("The end.\f\nChapter", "The end.\n\nChapter"),
        ("[pause:1s] stays [word](/wɜːd/)", "[pause:1s] stays [word](/wɜːd/)"),
        ("bell\x07 \x1b[0m", "bell [0m"),
    ],
)
def test_a_plain_text_is_read_as_its_author_meant(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_hostile_wraps_take_no_time() -> None:
    began = time.perf_counter()
    plain("a-\n" * 600_000)
    assert time.perf_counter() - began < 10


def test_headings_become_chapters_at_the_level_that_has_several() -> None:
    one_title = markdown("# Book\n\nIntro.\n\n## One\n\nA.\n\n## Two\n\nB.\n\n### Part\n\nC.")
    assert one_title.split("\n\n") == [
        "Book.", "Intro.", "[chapter:One]", "One.", "A.", "[chapter:Two]", "Two.", "B.", "Part.",
        "C.",
    ]  # fmt: skip
    assert markdown("# One\n\nA.\n\n## Sub\n\n# Two\n\nB.").count("[chapter:") == 2
    assert "[chapter:" not in markdown("# Only\n\nText.")


def test_front_matter_and_the_only_first_heading_are_the_title() -> None:
    front = "---\ntitle: 'The Book'\nauthor: Ann\nlang: fr\n---\n# Heading\n\nText."
    document = read_markdown(front.encode(), most_chars=MOST)
    assert (document.title, document.author, document.language) == ("The Book", "Ann", "fr")
    assert document.text == "Heading.\n\nText."
    assert read_markdown(b"# Heading\n\nText.", most_chars=MOST).title == "Heading"


@pytest.mark.parametrize(
    "authors",
    ["author: Ann, Bo", "authors: [Ann, 'Bo']", 'author:\n  - Ann\n  - "Bo"\ntags:\n  - x'],
)
def test_several_authors_are_named_with_commas(authors: str) -> None:
    front = f"---\n{authors}\ntitle: T\n---\nText."
    document = read_markdown(front.encode(), most_chars=MOST)
    assert (document.title, document.author) == ("T", "Ann, Bo")


def test_lists_and_tables_are_read_sensibly() -> None:
    assert markdown("- one\n- two\n  - three\n\n3. a\n4. b") == (
        "one.\n\ntwo.\n\nthree.\n\n3. a.\n\n4. b."
    )
    table = "| Name | Age |\n|---|---|\n| Bob | 4 |\n| Al | |\n"
    assert markdown(table) == "Name: Bob; Age: 4.\n\nName: Al."


def test_what_is_for_the_eye_is_left_out() -> None:
    text = (
        "A [link](http://x.y) and ![alt *text*](i.png) and `code`.\n\n```\nx = 1\n```\n\n<!-- c -->"
    )
    document = read_markdown(text.encode(), most_chars=MOST)
    assert document.text == "A link and alt text and code."
    assert [remark.detail for remark in document.remarks] == ["One block of code was left out."]


def test_marks_that_are_typed_stay_and_others_never_are() -> None:
    text = (
        "[pause:1s] [Kubernetes](/kˌubəɹnˈɛTiz/) [voice:am_adam] but [docs](/docs/) "
        "`[pause:2s]` \\[pause:3s\\] [a](/b c/) ![\\[pause:4s\\]](x)"
    )
    marks = list(find_marks(markdown(text)))
    assert [(m.pause_s, m.word, m.voice) for m in marks] == [
        (1.0, "", ""), (0.0, "Kubernetes", ""), (0.0, "", "am_adam"),
    ]  # fmt: skip


def test_subtitles_are_read_in_order_without_their_tags() -> None:
    said = cues("<i>Hello</i> {\\an8}there,", "General\nKenobi &amp; Co.", "Later [pause:9s].")
    assert said.replace("\u2060", "") == ("Hello there, General Kenobi & Co.\n\nLater [pause:9s].")
    assert list(find_marks(said)) == []


def test_silences_between_subtitles_are_kept_where_asked_for() -> None:
    assert cues("One.", "Two.", "Three.", timing=True) == "One. Two. [pause:5.00s] Three."


def test_subtitles_without_a_cue_are_broken() -> None:
    with pytest.raises(DocumentBroken):
        read_subtitles(b"nothing", most_chars=MOST, timing=False)


@pytest.mark.parametrize(
    ("data", "filename", "media_type", "kind"),
    [
        (b"Hello.", "a.txt", "text/plain", Kind.TXT),
        (b"# Hi", "a.MD", "application/octet-stream", Kind.MARKDOWN),
        (b"# Hi", "notes", "text/markdown", Kind.MARKDOWN),
        (b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHi", "a.txt", "", Kind.SRT),
        ("\ufeff1\n00:00:01,000 --> 00:00:02,000\nHi".encode(), "a", "", Kind.SRT),
        (books.Book({"a": "b"}).to_bytes(), "a.txt", "text/plain", Kind.EPUB),
    ],
)
def test_content_tells_the_kind_before_the_name(
    data: bytes, filename: str, media_type: str, kind: Kind
) -> None:
    assert kind_of(data, filename=filename, media_type=media_type) is kind


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (b"\x89PNG\r\n", "book.epub"),
        (b"%PDF-1.7", "a.txt"),
        (b"PK\x03\x04 word/document.xml", "a.docx"),
        (b"<!DOCTYPE html><p>", "a.txt"),
    ],
)
def test_other_kinds_are_refused(data: bytes, filename: str) -> None:
    with pytest.raises(DocumentUnsupported):
        kind_of(data, filename=filename, media_type="")


def test_text_that_is_called_an_epub_is_broken() -> None:
    with pytest.raises(DocumentBroken):
        kind_of(b"Hello", filename="a.epub", media_type="")


@pytest.mark.parametrize("read", [read_plain_text, read_markdown])
def test_too_much_text_is_refused(read: object) -> None:
    with pytest.raises(DocumentTooLong):
        read(b"word " * 1000, most_chars=1000)  # type: ignore[operator]
