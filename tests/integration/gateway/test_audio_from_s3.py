"""Downloads from a bucket go by signed URL, past the gateway."""

import os
import urllib.request
from collections.abc import Iterator

import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.gateway.conftest import AUDIO, Starter


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    request = urllib.request.Request(f"http://{host}:{port}/speech", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    yield f"http://{host}:{port}"
    server.stop()


def test_audio_in_a_bucket_is_fetched_by_a_signed_url(start: Starter, endpoint: str) -> None:
    cluster = start(storage_url="s3://speech/prefix", storage_endpoint=endpoint)
    assert cluster.http.get("/health/ready").json()["checks"]["storage"] == "ok"
    job = cluster.succeed(response_format="flac")
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/audio")
    assert answer.status_code == 307
    location = answer.headers["location"]
    assert location.startswith(endpoint)
    with httpx.Client(trust_env=False) as stranger:
        assert stranger.get(location).content == AUDIO + b"flac"
        part = stranger.get(location, headers={"Range": "bytes=0-9"})
        assert (part.status_code, part.content) == (206, AUDIO[:10])


def test_a_browsers_script_gets_the_bytes_of_a_bucket_from_the_gateway(
    start: Starter, endpoint: str
) -> None:
    cluster = start(storage_url="s3://speech/prefix", storage_endpoint=endpoint)
    job = cluster.succeed(response_format="flac")
    answer = cluster.http.get(f"/v1/jobs/{job['id']}/audio?redirect=false")
    assert (answer.status_code, answer.content) == (200, AUDIO + b"flac")
