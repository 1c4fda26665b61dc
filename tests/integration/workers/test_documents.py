"""A book from the upload to the audio, through real processes."""

import io
import time
from collections.abc import Iterator
from typing import Any

import av
import httpx
import pytest

from tests.books import Book
from tests.conftest import free_port
from tests.integration.workers.conftest import Cluster

BOOK = Book(
    {
        "one.xhtml": "<h1>The First</h1><p>It begins at 3:30.<a href='#n'>1</a></p>",
        "two.xhtml": "<h1>The Second</h1><p>SQL ends it.</p>",
    },
    nav=[("one.xhtml", "First"), ("two.xhtml", "Second")],
)


@pytest.fixture
def http(cluster: Cluster) -> Iterator[httpx.Client]:
    cluster.start("synth")
    cluster.engine()
    port = free_port()
    cluster.start("gateway", "0", port=port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        cluster.wait(lambda: _live(client), 60)
        yield client


def speak(http: httpx.Client, name: str, data: bytes, **fields: str) -> dict[str, Any]:
    """Upload a document; return its job once that has succeeded."""
    answer = http.post("/v1/jobs", files={"file": (name, data)}, data=fields)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    deadline = time.monotonic() + 90
    while job["status"] not in ("succeeded", "failed") and time.monotonic() < deadline:
        time.sleep(0.1)
        job = http.get(f"/v1/jobs/{job['id']}").json()
    assert job["status"] == "succeeded", job
    return dict(job)


def test_a_book_is_heard_as_its_lexicon_says(http: httpx.Client) -> None:
    words = {"entries": [{"word": "SQL", "respelling": "sequel"}]}
    assert http.put("/v1/lexicons/words", json=words).status_code == 200
    fields = {"voice": "af_heart", "lexicons": "words", "outputs": "wav,mp3"}
    job = speak(http, "book.epub", BOOK.to_bytes(), **fields)
    assert job["lexicons"] == ["words@1"]
    assert [job["output"]["format"], job["output"]["others"][0]["format"]] == ["wav", "mp3"]
    assert job["output"]["audio_s"] > 1
    assert {warning["code"] for warning in job["warnings"]} <= {"g2p_degraded"}


def test_a_books_title_author_and_chapters_are_the_audiobooks(http: httpx.Client) -> None:
    job = speak(http, "book.epub", BOOK.to_bytes(), response_format="m4b")
    assert (job["title"], job["author"]) == ("A Book", "Ann Author")
    assert [chapter["title"] for chapter in job["chapters"]] == ["First", "Second"]
    heard = http.get(f"/v1/jobs/{job['id']}/audio", follow_redirects=True)
    with av.open(io.BytesIO(heard.content)) as container:
        assert container.metadata["title"] == "A Book"
        assert container.metadata["artist"] == "Ann Author"
        marks = [
            (mark["metadata"]["title"], float(mark["start"] * (mark["time_base"] or 0)))
            for mark in container.chapters()
        ]
    assert [title for title, _ in marks] == ["First", "Second"]
    starts = [chapter["start_s"] for chapter in job["chapters"]]
    assert [start for _, start in marks] == pytest.approx(starts, abs=0.002)
    assert starts[1] > 1


def test_what_the_request_says_of_a_work_goes_before_what_its_document_says(
    http: httpx.Client,
) -> None:
    front = b"---\ntitle: The Draft\nauthors:\n  - Ann\n  - Bo\n---\nSome text."
    own = speak(http, "draft.md", front, response_format="wav")
    assert (own["title"], own["author"]) == ("The Draft", "Ann, Bo")
    asked = speak(http, "draft.md", front, response_format="wav", title="The Book")
    assert (asked["title"], asked["author"]) == ("The Book", "Ann, Bo")


def _live(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False
