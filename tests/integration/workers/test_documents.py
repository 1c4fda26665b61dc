"""A book from the upload to the audio, through real processes."""

import time

import httpx

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


def test_a_book_is_heard_as_its_lexicon_says(cluster: Cluster) -> None:
    cluster.start("synth")
    cluster.engine()
    port = free_port()
    cluster.start("gateway", "0", port=port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
        cluster.wait(lambda: _live(http), 60)
        words = {"entries": [{"word": "SQL", "respelling": "sequel"}]}
        assert http.put("/v1/lexicons/words", json=words).status_code == 200
        fields = {"voice": "af_heart", "lexicons": "words", "outputs": "wav,mp3"}
        files = {"file": ("book.epub", BOOK.to_bytes())}
        answer = http.post("/v1/jobs", files=files, data=fields)
        assert answer.status_code == 202, answer.text
        job = answer.json()
        assert job["lexicons"] == ["words@1"]
        deadline = time.monotonic() + 90
        while job["status"] not in ("succeeded", "failed") and time.monotonic() < deadline:
            time.sleep(0.1)
            job = http.get(f"/v1/jobs/{job['id']}").json()
        assert job["status"] == "succeeded", job
        assert [job["output"]["format"], job["output"]["others"][0]["format"]] == ["wav", "mp3"]
        assert job["output"]["audio_s"] > 1
        assert job["warnings"] == [] or all(
            warning["code"] == "g2p_degraded" for warning in job["warnings"]
        )


def _live(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False
