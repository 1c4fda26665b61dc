import io
import zipfile

import pytest

from gateway.documents import archive
from gateway.documents.epub import read_epub
from gateway.documents.faults import (
    DocumentBomb,
    DocumentBroken,
    DocumentEncrypted,
    DocumentTooLong,
)
from shared.errors import ClusterError
from shared.markup import find_marks
from tests import books
from tests.books import Book

MOST = 2_000_000


def text_of(book: Book) -> str:
    return read_epub(book.to_bytes(), most_chars=MOST).text


def test_a_book_is_read_in_the_order_of_its_spine_with_its_titles() -> None:
    book = Book(
        {
            "one.xhtml": "<h1>The First</h1><p>It begins&#8230; &amp; goes&nbsp;on.</p>",
            "two.xhtml": "<h2>The Second</h2><p>It<br/>ends.</p>",
        },
        nav=[("one.xhtml", "First"), ("two.xhtml#x", "Second [2]")],
    )
    document = read_epub(book.to_bytes(), most_chars=MOST)
    assert (document.title, document.author, document.language) == ("A Book", "Ann Author", "en")
    assert document.text.split("\n\n") == [
        "[chapter:First]",
        "The First.",
        "It begins… & goes on.",
        "[chapter:Second (2)]",
        "The Second.",
        "It\nends.",
    ]
    assert document.remarks == ()


def test_titles_are_printable_and_short() -> None:
    book = Book(
        {"a.xhtml": "<p>A.</p>"}, title="So\u00adft\u200b  \n" + "x" * 300, author="A\u2028B"
    )
    document = read_epub(book.to_bytes(), most_chars=MOST)
    assert document.title.startswith("Soft xxx") and len(document.title) == 200
    assert document.title.isprintable()
    assert document.author == "A B"


def test_the_contents_of_an_older_book_count_too() -> None:
    book = Book({"a.xhtml": "<p>Text.</p>"}, ncx=[("a.xhtml", "Alpha")])
    assert text_of(book) == "[chapter:Alpha]\n\nText."


def test_chapters_inside_a_file_begin_at_their_places() -> None:
    body = (
        '<p>Before.</p><h2 id="c1">One</h2><p>A.</p><div><a id="c2"></a><h2>Two</h2></div><p>B.</p>'
    )
    book = Book({"a.xhtml": body}, nav=[("a.xhtml#c1", "One"), ("a.xhtml#c2", "Two")])
    assert text_of(book).split("\n\n") == [
        "Before.", "[chapter:One]", "One.", "A.", "[chapter:Two]", "Two.", "B.",
    ]  # fmt: skip


def test_sections_of_a_chapter_are_no_chapters_and_files_of_a_part_are() -> None:
    nav = (
        '<nav epub:type="toc"><ol><li><a href="p.xhtml">Part</a><ol>'
        '<li><a href="a.xhtml">A</a><ol><li><a href="b.xhtml">deep</a></li></ol></li>'
        '<li><a href="p.xhtml#s">Section</a></li></ol></li></ol></nav>'
    )
    pages = {"p.xhtml": '<p>P.</p><p id="s">S.</p>', "a.xhtml": "<p>A.</p>", "b.xhtml": "<p>B.</p>"}
    book = Book(pages, nav=[], extra={"OEBPS/nav.xhtml": books.page(nav)})
    assert text_of(book) == "[chapter:Part]\n\nP.\n\nS.\n\n[chapter:A]\n\nA.\n\nB."


def test_without_contents_each_files_first_heading_is_its_title() -> None:
    book = Book({"a.xhtml": "<h1>One</h1><p>A.</p>", "b.xhtml": "<h2>Two</h2><p>B.</p>"})
    assert text_of(book).count("[chapter:") == 2


def test_what_is_not_read_aloud_is_left_out() -> None:
    body = """<p>Said<a epub:type="noteref" href="#n">1</a> again<sup><a href="#m">[2]</a></sup>
    and<a href="x.xhtml#k">*</a> <ruby>漢<rt>kan</rt></ruby><span hidden="">h</span><span
    style="display: none">d</span><span aria-hidden="true">a</span><span epub:type="pagebreak"
    title="9">9</span>.</p><aside epub:type="footnote" id="n"><p>The note.</p></aside>
    <script>x()</script><style>p {}</style><svg><text>svg</text></svg><!-- comment --><?pi x?>
    <section role="doc-endnotes"><p>Ends.</p></section><img src="a" alt="picture"/>"""
    assert text_of(Book({"a.xhtml": body})) == "Said again and 漢."


def test_covers_and_contents_in_the_spine_are_left_out() -> None:
    book = Book(
        {
            "cover.xhtml": "<p>Cover</p>",
            "nav.xhtml": "",
            "c.xhtml": '<section epub:type="x"><p>Text.</p></section>',
        },
        nav=[("c.xhtml", "C")],
        guide='<guide><reference type="cover" href="cover.xhtml"/></guide>',
    )
    assert text_of(book) == "[chapter:C]\n\nText."


def test_nothing_in_a_book_is_a_mark() -> None:
    body = "<p>See [pause:5s], [Voice:x], [chapter:No] and [a](/b/) or [c](+1).</p>"
    (line,) = text_of(Book({"a.xhtml": body})).split("\n\n")
    assert line.replace("\u2060", "") == (
        "See [pause:5s], [Voice:x], [chapter:No] and [a](/b/) or [c](+1)."
    )
    assert list(find_marks(line)) == []


def test_tables_and_lists_are_read_line_by_line() -> None:
    body = (
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td/></tr></table>"
        "<ul><li>One</li><li><p>Two</p></li></ul>"
    )
    assert text_of(Book({"a.xhtml": body})) == "a, b\n\nc\n\nOne\n\nTwo"


def test_sloppy_pages_are_read_as_far_as_they_go() -> None:
    sloppy = b"<html><body><p>One<p>Two &unknown; <b>three</p><br>four</body>"
    book = Book({"a.xhtml": ""}, extra={"OEBPS/a.xhtml": sloppy})
    text = text_of(book)
    assert all(word in text for word in ("One", "Two", "three", "four"))


def test_a_missing_page_is_told_of() -> None:
    book = Book({"a.xhtml": "<p>A.</p>", "b.xhtml": "<p>B.</p>"})
    with zipfile.ZipFile(io.BytesIO(book.to_bytes())) as whole:
        files = {
            n: whole.read(n) for n in whole.namelist() if n not in ("mimetype", "OEBPS/b.xhtml")
        }
    document = read_epub(books.zipped(files), most_chars=MOST)
    assert document.text == "A."
    assert [remark.code for remark in document.remarks] == ["document_skipped"]


def test_obfuscated_fonts_are_no_lock() -> None:
    fonts = books.encrypted()
    with zipfile.ZipFile(io.BytesIO(fonts)) as whole:
        files = {n: whole.read(n) for n in whole.namelist() if n != "mimetype"}
    lock = files["META-INF/encryption.xml"]
    files["META-INF/encryption.xml"] = lock.replace(
        b"http://www.w3.org/2001/04/xmlenc#aes128-cbc", b"http://ns.adobe.com/pdf/enc#RC"
    )
    assert read_epub(books.zipped(files), most_chars=MOST).text == "x"


WHOLE = Book({"a.xhtml": "<p>x</p>"}).to_bytes()
FAR = books.CONTAINER.replace("OEBPS/book.opf", "../../../../etc/passwd").encode()


def deep() -> bytes:
    page = b"<html><body>" + b"<div>" * 60_000 + b"x" + b"</div>" * 60_000 + b"</body></html>"
    return Book({"a.xhtml": "", "b.xhtml": "<p>b</p>"}, extra={"OEBPS/a.xhtml": page}).to_bytes()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (WHOLE[: len(WHOLE) // 2], DocumentBroken),
        (WHOLE[:-200] + b"\0" * 200, DocumentBroken),
        (b"PK\x03\x04" + b"\xff" * 1000, DocumentBroken),
        (books.zipped({}), DocumentBroken),
        (books.zipped({"META-INF/container.xml": b"<no"}), DocumentBroken),
        (books.zipped({"META-INF/container.xml": FAR}), DocumentBroken),
        (Book({}).to_bytes(), DocumentBroken),
        (books.encrypted(), DocumentEncrypted),
        (books.bomb(30), DocumentBomb),
        (books.laughs(), DocumentBomb),
    ],
)
def test_a_bad_book_is_refused_by_name(data: bytes, kind: type[ClusterError]) -> None:
    with pytest.raises(kind) as caught:
        read_epub(data, most_chars=MOST)
    assert caught.value.param == "file"


def test_too_many_files_are_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(DocumentBomb):
        read_epub(WHOLE, most_chars=MOST)


def test_many_pages_that_are_each_within_bounds_are_a_bomb_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "MAX_READ_BYTES", 50_000)
    pages = {f"p{i}.xhtml": f"<p>{'word ' * 2000}{i}</p>" for i in range(10)}
    with pytest.raises(DocumentBomb):
        read_epub(Book(pages).to_bytes(), most_chars=MOST)


def test_a_size_that_the_archive_lies_about_is_found_out() -> None:
    data = bytearray(books.bomb(30))
    at = data.rindex(b"OEBPS/a.xhtml") - 46  # its entry in the central directory
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    with pytest.raises((DocumentBomb, DocumentBroken)):
        read_epub(bytes(data), most_chars=MOST)


def test_endless_nesting_ends_nothing() -> None:
    assert "b" in read_epub(deep(), most_chars=MOST).text


def test_too_much_text_is_refused() -> None:
    book = Book({"a.xhtml": f"<p>{'word ' * 100}</p>"})
    with pytest.raises(DocumentTooLong) as caught:
        read_epub(book.to_bytes(), most_chars=100)
    assert "100 characters" in caught.value.message
