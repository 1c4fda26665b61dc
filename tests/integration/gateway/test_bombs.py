"""Small or well-formed bodies that would grow large: refused before they cost memory."""

import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from deploy.redis_server import RedisServer
from gateway.body_limit import max_body_bytes
from tests.integration.gateway.conftest import Cluster, GatewayProcess, in_a_process

JSON = {"Content-Type": "application/json"}
LARGEST = max_body_bytes(2_000_000)
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def process(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    with in_a_process(redis_server, tmp_path_factory.mktemp("bombs")) as process:
        yield process


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


@contextmanager
def probed(process: GatewayProcess) -> Iterator[list[float]]:
    """Ask for its liveness over and over; give the list of how long each answer took, in s."""
    took: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        with httpx.Client(base_url=process.http.base_url, timeout=30, trust_env=False) as http:
            while not stop.wait(0.02):
                began = time.monotonic()
                assert http.get("/health/live").status_code == 200
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", deflated),
        ("br", gzip.compress),
        ("GZIP", gzip.compress),
    ],
)
def test_a_compressed_body_is_refused_and_never_unpacked(
    process: GatewayProcess, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = pack(b'{"input": "' + b"a" * (200 * MIB) + b'"}')
    assert len(body) < MIB
    process.forget_peak()
    before = process.peak_mib()
    answer = process.http.post(
        "/v1/jobs", content=body, headers={**JSON, "Content-Encoding": coding}
    )
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"
    assert "Content-Encoding" in answer.json()["error"]["message"]
    assert process.peak_mib() - before < 16


def test_a_body_that_says_it_is_not_compressed_is_read(cluster: Cluster) -> None:
    headers = {**JSON, "Content-Encoding": "identity"}
    answer = cluster.http.post("/v1/jobs", content=b'{"input": "Hi."}', headers=headers)
    assert answer.status_code == 202


def test_a_compressed_body_that_hides_it_is_malformed(cluster: Cluster) -> None:
    body = gzip.compress(b'{"input": "Hi."}')
    answer = cluster.http.post("/v1/jobs", content=body, headers=JSON)
    assert cluster.error(answer, 400)["code"] == "malformed_json"


def filled(start: bytes, part: bytes, end: bytes) -> bytes:
    """Return a body as large as any may be."""
    return start + part * ((LARGEST - len(start) - len(end)) // len(part)) + end


BOMBS = {
    "nested arrays": b"[" * LARGEST,
    "nested objects": filled(b"", b'{"a":', b""),
    "many arrays": filled(b"[", b"[],", b"[]]"),
    "many objects": filled(b'{"metadata": [', b"{},", b"{}]}"),
    "many keys": b'{"input": "Hi.", "metadata": {'
    + b",".join(b'"%d":""' % n for n in range(1_500_000))
    + b"}}",
    "many numbers": filled(b"[", b"1.5,", b"0]"),
    "many strings": filled(b"[", b'"\\u00e9",', b'""]'),
    "a number of many digits": filled(b'{"input": "a", "deadline_s": ', b"9", b"}"),
    "a fraction of many digits": filled(b'{"input": "a", "speed": 1.', b"1", b"e999999}"),
    "a huge exponent": b'{"input": "a", "speed": 1e999999}',
    "a string of escapes": filled(b'{"input": "', b"\\u0061", b'"}'),
    "a string of backslashes": filled(b'{"input": "', b"\\\\", b'"}'),
    "a string without an end": filled(b'{"input": "', b'\\"', b""),
    "a long name": filled(b'{"', b"n", b'": 1}'),
    "blanks": filled(b"", b" ", b""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little_more_than_its_bytes(process: GatewayProcess, name: str) -> None:
    body = BOMBS[name]
    assert len(body) <= LARGEST
    process.http.post("/v1/jobs", content=b"{}", headers=JSON)
    process.forget_peak()
    before = process.peak_mib()
    with probed(process) as took:
        began = time.monotonic()
        answer = process.http.post("/v1/jobs", content=body, headers=JSON)
        answered_s = time.monotonic() - began
    assert answer.status_code in {400, 422}, answer.text
    assert answered_s < 10
    assert max(took, default=0) < 5
    # The body as it came and joined; or joined, decoded and its one string.
    assert process.peak_mib() - before < 3 * LARGEST / MIB + 16
    assert len(answer.content) < 2000
