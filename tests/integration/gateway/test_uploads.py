"""Documents as forms through a real gateway: what becomes of them, and what is left behind."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.redis_server import RedisServer
from gateway import uploads
from gateway.documents.task import Task
from gateway.uploads import FORM_BYTES
from shared.apikeys import add_key
from tests import books
from tests.books import Book
from tests.integration.gateway.conftest import Cluster, Starter, in_a_process

MIB = 1024 * 1024
BOOK = Book(
    {"a.xhtml": "<h1>One</h1><p>Text one.</p>", "b.xhtml": "<h1>Two</h1><p>Text two.</p>"},
    nav=[("a.xhtml", "One"), ("b.xhtml", "Two")],
)


def upload(
    cluster: Cluster,
    data: bytes,
    name: str = "a.txt",
    *,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    return cluster.http.post(
        "/v1/jobs", files={"file": (name, data)}, data=fields, headers=headers, timeout=120
    )


def accepted(cluster: Cluster, data: bytes, name: str = "a.txt", **fields: Any) -> dict[str, Any]:
    answer = upload(cluster, data, name, **fields)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def input_of(cluster: Cluster, job: dict[str, Any]) -> str:
    text = cluster.redis.get(f"kc:job:{job['id']}:input")
    assert isinstance(text, bytes)
    return text.decode()


def readers() -> list[int]:
    """Return the processes of this one that read documents."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"gateway.documents" in command and parent == os.getpid():
                found.append(int(folder.name))
    return found


def check_nothing_left(cluster: Cluster) -> None:
    """Assert that no process, no file with a name and no open file without one is left."""
    deadline = time.monotonic() + 20
    while readers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert readers() == []
    folder = cluster.settings.data_dir
    assert [p for p in folder.rglob("*") if p.is_file() and p.name.startswith("tmp")] == []
    while _unnamed(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _unnamed(folder) == []


def _unnamed(folder: Path) -> list[str]:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except OSError:
            continue
    return [link for link in links if link.startswith(str(folder)) and "deleted" in link]


def refused(cluster: Cluster, data: bytes, status: int, name: str = "a.txt", **fields: Any) -> Any:
    before = cluster.redis.keys("kc:job*")
    error = cluster.error(upload(cluster, data, name, **fields), status)
    assert cluster.redis.keys("kc:job*") == before
    check_nothing_left(cluster)
    return error


def test_a_text_is_spoken_with_the_fields_beside_it(cluster: Cluster) -> None:
    job = accepted(
        cluster,
        "Hello, wörld.\n".encode(),
        voice="af_bella",
        speed="1.5",
        outputs="wav, mp3",
        deadline_s="60",
        metadata='{"a": "b"}',
        custom_id="mine",
        language="",
    )
    assert input_of(cluster, job) == "Hello, wörld."
    assert (job["metadata"], job["custom_id"]) == ({"a": "b"}, "mine")
    spec = json.loads(cluster.redis.hget(f"kc:job:{job['id']}", "spec") or b"")
    assert (spec["voice"], spec["speed"], spec["outputs"]) == ("af_bella", 1.5, ["wav", "mp3"])
    check_nothing_left(cluster)


def test_a_book_is_spoken_chapter_by_chapter_with_a_job_beside_it(cluster: Cluster) -> None:
    wanted = json.dumps({"voice": "bm_george", "speed": 1.25, "priority": "batch"})
    job = accepted(cluster, BOOK.to_bytes(), "book.epub", job=wanted)
    assert input_of(cluster, job).split("\n\n") == [
        "[chapter:One]", "One.", "Text one.", "[chapter:Two]", "Two.", "Text two.",
    ]  # fmt: skip
    check_nothing_left(cluster)


def test_subtitles_keep_their_silences_where_that_is_asked_for(cluster: Cluster) -> None:
    srt = b"1\n00:00:01,000 --> 00:00:02,000\nOne.\n\n2\n00:00:04,500 --> 00:00:05,000\nTwo.\n"
    job = accepted(cluster, srt, "a.srt", srt_timing="true")
    assert input_of(cluster, job) == "One. [pause:2.50s] Two."
    assert input_of(cluster, accepted(cluster, srt, "a.srt")) == "One.\n\nTwo."


def test_what_is_doubtful_about_a_document_is_a_warning_of_the_job(cluster: Cluster) -> None:
    text = "# Titel\n\nGroße Bären fahren über die Brücke.\n\n```\ncode\n```\n"
    book = "---\nlang: de\n---\n" + text
    job = accepted(cluster, book.encode(), "a.md")
    codes = [warning["code"] for warning in job["warnings"]]
    assert codes == ["document_skipped", "document_language"]
    assert cluster.http.get(f"/v1/jobs/{job['id']}").json()["warnings"] == job["warnings"]


def test_a_repeat_is_the_same_job_and_another_file_is_not(cluster: Cluster) -> None:
    key = {"Idempotency-Key": "k1"}
    first = upload(cluster, b"Hello.", headers=key, voice="af_heart").json()
    again = upload(cluster, b"Hello.", "other-name.txt", headers=key, voice="af_heart")
    assert again.json()["id"] == first["id"]
    for data, voice in ((b"Hello!", "af_heart"), (b"Hello.", "af_bella")):
        other = upload(cluster, data, headers=key, voice=voice)
        assert cluster.error(other, 422)["code"] == "idempotency_conflict"
    put = {"files": {"file": ("a.txt", b"Hello.")}}
    mine = cluster.http.put("/v1/jobs/my-book", **put)  # type: ignore[arg-type]
    assert mine.status_code == 202
    assert cluster.http.put("/v1/jobs/my-book", **put).json() == mine.json()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "name", "status", "code"),
    [
        (BOOK.to_bytes()[:700], "book.epub", 422, "document_broken"),
        (b"Hello.", "book.epub", 422, "document_broken"),
        (books.encrypted(), "book.epub", 422, "document_encrypted"),
        (books.bomb(300), "book.epub", 422, "document_bomb"),
        (books.laughs(), "book.epub", 422, "document_bomb"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "book.epub", 415, "document_unsupported"),
        (b"%PDF-1.7\n", "a.pdf", 415, "document_unsupported"),
        (b"PK\x03\x04word/document.xml", "a.docx", 415, "document_unsupported"),
        (bytes(range(256)) * 100, "a.txt", 415, "document_unsupported"),
        (b"word " * 400_001, "a.txt", 422, "document_too_long"),
        (b"", "a.txt", 422, "nothing_to_speak"),
        (b" -- ... \n", "a.md", 422, "nothing_to_speak"),
        (b"Wait [pause:1s please", "a.txt", 422, "invalid_markup"),
        (b"[chapter:One\n\nText.", "a.md", 422, "invalid_markup"),
        (b"[voice:nobody] Text.", "a.txt", 422, "unknown_voice"),
    ],
)
def test_a_bad_document_is_refused_by_name_and_leaves_nothing(
    cluster: Cluster, data: bytes, name: str, status: int, code: str
) -> None:
    assert refused(cluster, data, status, name)["code"] == code


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"speed": "fast"}, "speed"),
        ({"input": "Hello."}, "input"),
        ({"job": '{"input": "Hello."}'}, "input"),
        ({"job": '{"chapters": []}'}, "chapters"),
        ({"job": "[]"}, "job"),
        ({"job": '{"speed": "1.5"}'}, "speed"),
        ({"job": "{}", "voice": "af_heart"}, "voice"),
        ({"nonsense": "1"}, "nonsense"),
        ({"srt_timing": "maybe"}, "srt_timing"),
        ({"outputs": "mp3,exe"}, "outputs.1"),
        ({"lexicons": "nobody"}, "lexicons"),
    ],
)
def test_a_bad_field_is_refused(cluster: Cluster, fields: dict[str, str], param: str) -> None:
    assert refused(cluster, b"Hello.", 422, **fields)["param"] == param


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"'),
        ("multipart/form-data; boundary=x", b"--x\r\nNo: name\r\n\r\nx\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="voice"\r\n\r\naf_heart\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nHello.\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nHi.\r\n' * 2
            + b"--x--\r\n",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 100 + b"--x--\r\n",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nX: " + b"h" * 100_000 + b"\r\n\r\nb\r\n--x--\r\n",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="voice"\r\n\r\n'
            + b"v" * 300_000
            + b"\r\n--x--\r\n",
        ),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x--\r\n"),
    ],
)
def test_a_malformed_form_is_refused(cluster: Cluster, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = cluster.http.post("/v1/jobs", content=body, headers=headers)
    assert cluster.error(answer, 400)["code"] == "malformed_form"
    assert cluster.redis.keys("kc:job*") == []
    check_nothing_left(cluster)


def test_a_file_over_the_bound_is_refused_before_it_is_held(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with in_a_process(redis_server, tmp_path) as process:
        files = {"file": ("a.txt", b"word " * (10 * MIB))}
        process.http.post("/v1/jobs", files={"file": ("a.txt", b"Hello.")})
        process.forget_peak()
        before = process.peak_mib()
        answer = process.http.post("/v1/jobs", files=files)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        # One within the bound is on the disk, not in memory, and its reader is another process.
        largest = b"word " * ((32 * MIB - FORM_BYTES) // 5)
        answer = process.http.post("/v1/jobs", files={"file": ("a.txt", largest)}, timeout=120)
        assert answer.json()["error"]["code"] in ("document_too_long", "no_engine")
        assert process.peak_mib() - before < 24


def test_a_file_over_a_lower_bound_is_refused_by_its_own_code(start: Starter) -> None:
    cluster = start(max_upload_bytes=2048)
    assert refused(cluster, b"word " * 1000, 413)["code"] == "document_too_large"
    assert accepted(cluster, b"word " * 400)


def test_a_client_that_leaves_while_it_sends_leaves_nothing(cluster: Cluster) -> None:
    before = cluster.redis.keys("kc:job*")
    head = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 10000000\r\n\r\n--x\r\n"
        b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", cluster.port)) as client:
        client.sendall(head + b"word " * 400_000)
        deadline = time.monotonic() + 10
        while not _unnamed(cluster.settings.data_dir) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _unnamed(cluster.settings.data_dir) != []
    check_nothing_left(cluster)
    assert cluster.redis.keys("kc:job*") == before
    assert accepted(cluster, b"And it goes on.")


def test_a_form_that_comes_too_slowly_is_given_up(start: Starter) -> None:
    cluster = start(body_timeout_s=0.5)
    head = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 100000\r\n\r\n--x\r\n"
    )
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=20) as client:
        client.sendall(head)
        assert b" 408 " in client.recv(4096).partition(b"\r\n")[0]
    check_nothing_left(cluster)


def test_more_uploads_than_can_be_read_are_asked_to_come_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOADS", 0)
    answer = upload(cluster, b"Hello.")
    assert cluster.error(answer, 503)["code"] == "uploads_full"
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.setattr(uploads, "MAX_UPLOADS", 1)
    assert accepted(cluster, b"Hello.")


def test_a_key_that_brings_many_documents_leaves_room_and_a_turn_for_another(
    start: Starter, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    (_, many), (_, one) = add_key(path, "many"), add_key(path, "one")
    cluster = start(
        api_keys_file=path,
        document_readers=1,
        max_queued_chars=10**9,
        key_max_queued_chars=10**9,
        key=many,
    )
    pages = {f"p{i}.xhtml": f"<p>{'A sentence of words. ' * 4000}</p>" for i in range(20)}
    book = Book(pages).to_bytes()
    ended: list[tuple[str, int]] = []

    def bring(name: str, token: str) -> None:
        with httpx.Client(base_url=cluster.http.base_url, trust_env=False, timeout=120) as http:
            answer = http.post(
                "/v1/jobs",
                files={"file": ("book.epub", book)},
                headers={"Authorization": f"Bearer {token}"},
            )
        ended.append((name, answer.status_code))

    threads = [threading.Thread(target=bring, args=("many", many)) for _ in range(16)]
    for thread in threads:
        thread.start()
    full = int(uploads.MAX_UPLOADS * uploads.OWN_PART)
    deadline = time.monotonic() + 20
    while ended.count(("many", 503)) < 16 - full and time.monotonic() < deadline:
        time.sleep(0.01)
    late = threading.Thread(target=bring, args=("one", one))
    late.start()
    for thread in (*threads, late):
        thread.join(120)
    assert ended.count(("many", 503)) == 16 - full, "of its own it has too many"
    done = [name for name, status in ended if status == 202]
    assert done.count("many") == full
    assert done.index("one") < full - 3, "it did not wait for all of the other's"


@pytest.mark.parametrize(
    ("bound", "value"), [("WALL_S", 1), ("CPU_S", 1), ("MEMORY_BYTES", 160 * MIB)]
)
def test_a_document_that_costs_too_much_is_given_up(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(uploads, bound, value)
    # Emphasis that never closes takes Markdown's parser long.
    error = refused(cluster, b"*a **b " * 250_000, 422, "a.md")
    assert error["code"] == "document_too_costly"


def test_readers_starve_nobody(cluster: Cluster) -> None:
    took: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        with httpx.Client(base_url=cluster.http.base_url, trust_env=False, timeout=30) as http:
            while not stop.wait(0.02):
                began = time.monotonic()
                assert http.get("/health/live").status_code == 200
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        pages = {f"p{i}.xhtml": f"<p>{'A sentence of words. ' * 4000}</p>" for i in range(20)}
        for _ in range(50):  # a fast machine reads one in a tenth of a second
            accepted(cluster, Book(pages).to_bytes(), "book.epub")
            if len(took) > 20:
                break
    finally:
        stop.set()
        thread.join(30)
    assert len(took) > 20
    assert sorted(took)[len(took) // 2] < 0.25


def test_a_reader_ends_by_itself_when_nobody_ends_it(tmp_path: Path) -> None:
    task = Task("multipart/form-data; boundary=x", MIB, 1000, 1024 * MIB, 30, 1, MIB)
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.documents", task.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        # Its form never comes, and whoever started it does not look after it.
        assert process.wait(timeout=30) == -14


def test_readers_get_no_setting_and_no_secret(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, str]] = []
    popen: Any = subprocess.Popen

    def watched(*args: Any, env: dict[str, str], **kwargs: Any) -> Any:
        given.append(env)
        return popen(*args, env=env, **kwargs)

    monkeypatch.setenv("KC_WEBHOOK_SECRET", "whsec_very")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very")
    monkeypatch.setattr(subprocess, "Popen", watched)
    accepted(cluster, b"Hello.")
    assert len(given) == 1
    assert "PATH" in given[0]
    assert not any("very" in value for value in given[0].values())
