"""One contract for every store, held by a folder and by S3 over real HTTP."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from shared.errors import InvalidSettings, ObjectMissing, StorageUnavailable
from shared.storage import STREAM_BYTES, Storage, open_storage

BUCKET = "kokoro-test"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/{BUCKET}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> Storage:
    return open_storage(f"s3://{BUCKET}/{tmp_path.name}", endpoint=endpoint)


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage((tmp_path / "objects").as_uri())
    bucket: Storage = request.getfixturevalue("bucket")
    return bucket


def test_what_is_put_can_be_got(storage: Storage) -> None:
    storage.put("jobs/1/a.wav", b"audio", media_type="audio/wav", filename="a.wav")
    assert storage.get("jobs/1/a.wav") == b"audio"
    assert asyncio.run(storage.get_async("jobs/1/a.wav")) == b"audio"


def test_an_empty_object_is_an_object(storage: Storage) -> None:
    storage.put("empty", b"")
    assert storage.get("empty") == b""
    assert list(storage.stream("empty")) == []


def test_repeating_a_write_is_fine(storage: Storage) -> None:
    storage.put("a", b"same")
    storage.put("a", b"same")
    assert storage.get("a") == b"same"


def test_head_tells_size_etag_and_time(storage: Storage) -> None:
    storage.put("a/b", b"12345")
    info = storage.head("a/b")
    assert (info.key, info.size) == ("a/b", 5)
    assert info.etag is not None
    assert info.etag.startswith('"')
    assert abs(datetime.now(UTC) - info.modified) < timedelta(minutes=1)
    assert storage.size("a/b") == 5
    assert asyncio.run(storage.head_async("a/b")) == info


def test_an_absent_object_is_missing_by_every_way_of_reading(storage: Storage) -> None:
    for read in (storage.get, storage.head, storage.size, lambda key: list(storage.stream(key))):
        with pytest.raises(ObjectMissing, match="absent"):
            read("absent")
    with pytest.raises(ObjectMissing):
        asyncio.run(storage.get_async("absent"))
    with pytest.raises(ObjectMissing):
        asyncio.run(storage.head_async("absent"))


def test_deleting_skips_what_is_gone(storage: Storage) -> None:
    storage.put("a", b"1")
    storage.put("b", b"2")
    storage.delete(["absent", "a", "b", "gone"])
    storage.delete(["a"])
    storage.delete([])
    assert list(storage.list()) == []


def test_deleting_from_an_event_loop_skips_what_is_gone(storage: Storage) -> None:
    storage.put("a", b"1")
    asyncio.run(storage.delete_async(["absent", "a", "a"]))
    assert list(storage.list()) == []


def test_more_objects_than_one_bulk_deletion_takes_are_deleted(bucket: Storage) -> None:
    bucket.put("kept", b"1")
    bucket.delete([f"absent/{number}" for number in range(1001)])
    assert [info.key for info in bucket.list()] == ["kept"]


def test_listing_gives_what_lies_below_a_prefix(storage: Storage) -> None:
    for key in ("jobs/1/a", "jobs/1/b/c", "jobs/10/a", "other"):
        storage.put(key, b"x")
    assert sorted(info.key for info in storage.list("jobs/1")) == ["jobs/1/a", "jobs/1/b/c"]
    assert len(list(storage.list())) == 4
    assert list(storage.list("absent")) == []


def test_a_range_is_streamed_exactly(storage: Storage) -> None:
    data = os.urandom(2 * STREAM_BYTES + 12345)
    storage.put("big", data)
    assert b"".join(storage.stream("big")) == data
    assert b"".join(storage.stream("big", 5, 10)) == data[5:10]
    start, end = STREAM_BYTES - 3, 2 * STREAM_BYTES + 7
    chunks = list(storage.stream("big", start, end))
    assert b"".join(chunks) == data[start:end]
    assert max(map(len, chunks)) <= STREAM_BYTES
    assert b"".join(storage.stream("big", 7, 10**12)) == data[7:]
    assert list(storage.stream("big", len(data))) == []
    assert list(storage.stream("big", 9, 3)) == []


def test_an_event_loop_streams_the_same_bytes(storage: Storage) -> None:
    data = os.urandom(STREAM_BYTES + 99)
    storage.put("big", data)

    async def read() -> bytes:
        return b"".join([chunk async for chunk in storage.stream_async("big", 3)])

    assert asyncio.run(read()) == data[3:]


def test_a_20_mb_file_arrives_whole(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(20_000_001))
    storage.put_file("big", file, media_type="audio/wav", filename="speech.wav")
    assert storage.get("big") == file.read_bytes()


def test_a_file_that_is_not_there_is_the_callers_mistake(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        storage.put_file("a", tmp_path / "absent")


@pytest.mark.parametrize("key", ["../a", "/a", "a/../../b", "a\nb"])
def test_traversal_is_refused_by_every_method(storage: Storage, tmp_path: Path, key: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    calls = (
        lambda: storage.put(key, b"x"),
        lambda: storage.put_file(key, file),
        lambda: storage.get(key),
        lambda: storage.head(key),
        lambda: list(storage.stream(key)),
        lambda: storage.delete([key]),
        lambda: list(storage.list(key)),
        lambda: storage.sign_get(key, expires_s=60),
        lambda: asyncio.run(storage.delete_async([key])),
        lambda: asyncio.run(storage.sign_get_async(key, expires_s=60)),
    )
    for call in calls:
        with pytest.raises(ValueError, match="storage key"):
            call()


def test_a_file_name_cannot_inject_a_header(storage: Storage) -> None:
    with pytest.raises(ValueError, match="storage key"):
        storage.put("a", b"x", filename='a"\r\nx: y')


def test_pinging_leaves_nothing_behind(storage: Storage) -> None:
    storage.ping()
    asyncio.run(storage.ping_async())
    assert list(storage.list()) == []


def test_a_signed_url_downloads_without_credentials(bucket: Storage, endpoint: str) -> None:
    bucket.put("jobs/1/a.mp3", b"0123456789", media_type="audio/mpeg", filename="speech.mp3")
    url = bucket.sign_get("jobs/1/a.mp3", expires_s=60)
    assert url is not None
    assert url.startswith(endpoint)
    answer = httpx.get(url, trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-disposition"] == 'attachment; filename="speech.mp3"'
    part = httpx.get(url, headers={"Range": "bytes=2-4"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"234")


def test_a_large_file_keeps_its_media_type_too(bucket: Storage, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(9_000_000))
    bucket.put_file("a.mp3", file, media_type="audio/mpeg", filename="speech.mp3")
    url = asyncio.run(bucket.sign_get_async("a.mp3", expires_s=60))
    assert url is not None
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert len(answer.read()) == 9_000_000


def test_signed_urls_name_the_public_endpoint(endpoint: str) -> None:
    public = "https://audio.example.com"
    storage = open_storage(f"s3://{BUCKET}/p", endpoint=endpoint, public_endpoint=public)
    url = storage.sign_get("a", expires_s=60)
    assert url is not None
    assert url.startswith(f"{public}/{BUCKET}/p/a?")


def test_a_plain_endpoint_can_come_from_the_environment(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    open_storage(f"s3://{BUCKET}/environment").ping()


def test_an_absent_bucket_is_a_bad_setting_at_start_and_an_outage_later(endpoint: str) -> None:
    storage = open_storage("s3://no-such-bucket", endpoint=endpoint)
    with pytest.raises(InvalidSettings):
        storage.ping()
    with pytest.raises(StorageUnavailable):
        storage.put("a", b"x")


def test_every_call_to_a_closed_port_is_an_outage_within_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    storage = open_storage(f"s3://{BUCKET}", endpoint=address)
    file = tmp_path / "file"
    file.write_bytes(bytes(9_000_000))
    for call in (
        storage.ping,
        lambda: storage.put("a", b"x"),
        lambda: storage.put_file("a", file),
        lambda: storage.get("a"),
        lambda: storage.head("a"),
        lambda: list(storage.stream("a")),
        lambda: list(storage.list()),
        lambda: storage.delete(["a"]),
        lambda: asyncio.run(storage.ping_async()),
        lambda: asyncio.run(storage.delete_async(["a"])),
    ):
        began = time.monotonic()
        with pytest.raises(StorageUnavailable):
            call()
        assert time.monotonic() - began < 5


def test_a_store_that_accepts_and_never_answers_is_an_outage_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        storage = open_storage(
            f"s3://{BUCKET}", endpoint=address, request_timeout_s=0.5, max_retries=1
        )
        for call in (lambda: storage.put("a", b"x"), lambda: storage.get("a")):
            began = time.monotonic()
            with pytest.raises(StorageUnavailable):
                call()
            assert 0.4 < time.monotonic() - began < 4


class Refusal(ThreadingHTTPServer):
    """An HTTP server that answers all requests with one status and counts them."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.requests = 0
        super().__init__(("127.0.0.1", 0), RefusalHandler)


class RefusalHandler(BaseHTTPRequestHandler):
    server: Refusal

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusal(request: pytest.FixtureRequest) -> Iterator[Refusal]:
    with Refusal(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("refusal", [500, 503], indirect=True)
def test_a_server_error_is_tried_again_and_then_an_outage(refusal: Refusal) -> None:
    address = f"http://127.0.0.1:{refusal.server_port}"
    storage = open_storage(f"s3://{BUCKET}", endpoint=address, max_retries=2)
    with pytest.raises(StorageUnavailable):
        storage.put("a", b"x")
    assert refusal.requests == 3


@pytest.mark.parametrize("refusal", [401, 403], indirect=True)
def test_refused_credentials_are_a_bad_setting_at_start_and_an_outage_later(
    refusal: Refusal,
) -> None:
    storage = open_storage(f"s3://{BUCKET}", endpoint=f"http://127.0.0.1:{refusal.server_port}")
    with pytest.raises(InvalidSettings, match="refuses access"):
        storage.ping()
    with pytest.raises(StorageUnavailable, match="refuses access"):
        storage.get("a")


UPLOAD = """
import resource, sys
from pathlib import Path
from shared.storage import open_storage
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
storage = open_storage(sys.argv[1], endpoint=sys.argv[2])
storage.ping()
before = peak()
storage.put_file("file", Path(sys.argv[3]))
assert storage.size("file") == 96_000_000
assert sum(map(len, storage.stream("file", 60_000_000, 66_000_000))) == 6_000_000
print(peak() - before)
"""


def test_a_96_mb_file_goes_out_and_in_with_less_than_48_mib(endpoint: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as sparse:
        sparse.truncate(96_000_000)
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, f"s3://{BUCKET}/memory", endpoint, str(file)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert float(done.stdout) < 48
