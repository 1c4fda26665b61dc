"""What can't be spoken is refused with a clear error, and nothing half-made is left behind."""

import json
import socket
import time
from typing import Any

import pytest

from tests.integration.gateway.conftest import Cluster, Starter

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("text", ["", " ", "\n\t \n", "🙂🎉", "?!… — ,", "[pause:1s]"])
def test_text_with_nothing_to_speak_is_refused(cluster: Cluster, text: str) -> None:
    error = cluster.refused({"input": text})
    assert error["param"] == "input"


def test_one_character_too_many_is_refused(cluster: Cluster) -> None:
    error = cluster.refused({"input": "a" * 2_000_001})
    assert error["param"] == "input"
    assert "2000000" in error["message"]


def test_the_longest_text_is_accepted_in_any_spelling(cluster: Cluster) -> None:
    body = b'{"input": "' + b"\\ud83d\\ude42" * 1_999_999 + b'a"}'
    answer = cluster.http.post("/v1/jobs", content=body, headers=JSON)
    assert answer.status_code == 202, answer.text[:200]
    assert answer.json()["input_chars"] == 2_000_000


def test_a_shorter_limit_of_the_cluster_is_kept(start: Starter) -> None:
    cluster = start(max_input_chars=10)
    assert cluster.refused({"input": "a" * 11})["param"] == "input"


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\x9fb"])
def test_control_characters_are_refused(cluster: Cluster, text: str) -> None:
    error = cluster.refused({"input": text})
    assert error["param"] == "input"
    assert "U+" in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input": "a\\ud800b"}', "input"),
        (b'{"input": "a", "metadata": {"k": "\\udfff"}}', "metadata.k"),
        (b'{"input": "a", "custom_id": "\\ud800"}', "custom_id"),
        (b'{"input": "a", "\\ud800": 1}', None),
        (b'{"input": "a", "voice": "\\ud800"}', "voice"),
    ],
)
def test_lone_surrogates_are_refused_wherever_they_stand(
    cluster: Cluster, body: bytes, param: str | None
) -> None:
    answer = cluster.http.post("/v1/jobs", content=body, headers=JSON)
    error = cluster.error(answer, 422)
    assert error["param"] == param
    assert "surrogate" in error["message"] or param == "voice"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"voice": "af_hart"}, "unknown_voice", "voice"),
        ({"voice": "af_heart+af_hart"}, "unknown_voice", "voice"),
        ({"voice": "af_heart(2"}, "invalid_input", "voice"),
        ({"voice": "af_heart(0)"}, "invalid_input", "voice"),
        ({"voice": "af_heart+af_heart"}, "invalid_input", "voice"),
        ({"voice": "../../etc/passwd"}, "invalid_input", "voice"),
        ({"voice": ""}, "invalid_input", "voice"),
        ({"voice": None}, "invalid_input", "voice"),
        ({"voice": "custom"}, "unknown_language", "language"),
        ({"language": "tlh"}, "unknown_language", "language"),
        ({"model": "gpt-4o"}, "unknown_model", "model"),
        ({"speed": 0}, "invalid_input", "speed"),
        ({"speed": 4.01}, "invalid_input", "speed"),
        ({"speed": "1.0"}, "invalid_input", "speed"),
        ({"speed": True}, "invalid_input", "speed"),
        ({"response_format": "ogg"}, "invalid_input", "response_format"),
        ({"outputs": []}, "invalid_input", "outputs"),
        ({"outputs": ["mp3", "mp3"]}, "invalid_input", "outputs"),
        ({"outputs": ["mp3", "srt!"]}, "invalid_input", "outputs.1"),
        ({"outputs": ["wav"], "response_format": "mp3"}, "invalid_input", "outputs"),
        ({"priority": "urgent"}, "invalid_input", "priority"),
        ({"deadline_s": 0}, "invalid_input", "deadline_s"),
        ({"deadline_s": 10**9}, "invalid_input", "deadline_s"),
        ({"deadline_s": 10**400}, "invalid_input", "deadline_s"),
        ({"ttl_s": 1.5}, "invalid_input", "ttl_s"),
        ({"ttl_s": 10**9}, "invalid_input", "ttl_s"),
        ({"custom_id": "c" * 65}, "invalid_input", "custom_id"),
        ({"custom_id": "a\nb"}, "invalid_input", "custom_id"),
        ({"metadata": {str(i): "" for i in range(17)}}, "invalid_input", "metadata"),
        ({"metadata": {"k": "v" * 513}}, "invalid_input", "metadata.k"),
        ({"metadata": {"k": 1}}, "invalid_input", "metadata.k"),
        ({"speeed": 1}, "invalid_input", "speeed"),
        ({"timestamps": "yes"}, "invalid_input", "timestamps"),
        ({"input": "[pause:forever]"}, "invalid_markup", "input"),
        ({"input": 5}, "invalid_input", "input"),
    ],
)
def test_a_bad_field_is_named(
    cluster: Cluster, fields: dict[str, Any], code: str, param: str
) -> None:
    error = cluster.refused({"input": "Hello.", **fields})
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"


def test_a_missing_input_is_named(cluster: Cluster) -> None:
    assert cluster.refused({"voice": "af_heart"})["param"] == "input"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"input": "a",}',
        b"\xff\xfe",
        b'{"input": "a", "speed": NaN}',
        b'{"input": "a", "speed": Infinity}',
        b'{"input": "a", "speed": 1e999}',
        b'{"input": "a", "deadline_s": ' + b"9" * 10_000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_not_json_is_malformed(cluster: Cluster, body: bytes) -> None:
    answer = cluster.http.post("/v1/jobs", content=body, headers=JSON)
    assert cluster.error(answer, 400)["code"] == "malformed_json"


@pytest.mark.parametrize("body", [[], "text", 1, None, [{"input": "a"}]])
def test_json_that_is_no_object_is_refused(cluster: Cluster, body: Any) -> None:
    answer = cluster.http.post("/v1/jobs", content=json.dumps(body), headers=JSON)
    assert "JSON object" in cluster.error(answer, 422)["message"]


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/mixed", "application/jsonp"])
def test_another_content_type_is_refused(cluster: Cluster, media_type: str) -> None:
    answer = cluster.http.post(
        "/v1/jobs", content=b'{"input": "a"}', headers={"Content-Type": media_type}
    )
    assert cluster.error(answer, 415)["code"] == "unsupported_media_type"


def test_no_content_type_is_refused_and_a_charset_is_fine(cluster: Cluster) -> None:
    assert cluster.http.post("/v1/jobs", content=b'{"input": "a"}').status_code == 415
    answer = cluster.http.post(
        "/v1/jobs",
        content=b'{"input": "a"}',
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )
    assert answer.status_code == 202


def test_a_webhook_whose_name_has_no_address_is_refused(cluster: Cluster) -> None:
    error = cluster.refused({"input": "Hi.", "webhook": {"url": "http://nowhere.example/"}})
    assert (error["code"], error["param"]) == ("webhook_unresolvable", "webhook.url")


@pytest.mark.parametrize("url", ["", "not a url", "https://", "x" * 2048])
def test_a_webhook_without_a_url_is_refused(cluster: Cluster, url: str) -> None:
    error = cluster.refused({"input": "Hi.", "webhook": {"url": url}})
    assert (error["code"], error["param"]) == ("invalid_webhook", "webhook.url")


@pytest.mark.parametrize(
    ("webhook", "param"),
    [
        ({}, "webhook.url"),
        ({"url": "http://public.example/", "events": []}, "webhook.events"),
        ({"url": "http://public.example/", "events": ["job.started"]}, "webhook.events.0"),
        ({"url": "http://public.example/", "secret": "x"}, "webhook.secret"),
        ("http://public.example/", "webhook"),
    ],
)
def test_a_malformed_webhook_is_named(cluster: Cluster, webhook: Any, param: str) -> None:
    assert cluster.refused({"input": "Hello.", "webhook": webhook})["param"] == param


def test_webhooks_without_a_signing_secret_are_refused(start: Starter) -> None:
    cluster = start(webhook_secret="")
    error = cluster.refused({"input": "Hi.", "webhook": {"url": "http://public.example/"}})
    assert (error["code"], error["param"]) == ("webhooks_not_configured", "webhook")


BAD_IDS = [
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "%00",
    "a%0d%0aSet-Cookie:x",
    "a" * 5000,
    "job_01M8296E832B52BCG5T26A9ZD7",
    "job_*",
    "kc:queue",
    "%ff%fe",
    "café",
]


@pytest.mark.parametrize("name", BAD_IDS)
@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", ""),
        ("GET", "/audio"),
        ("GET", "/deliveries"),
        ("POST", "/cancel"),
        ("POST", "/deliveries/x/replay"),
        ("DELETE", ""),
    ],
)
def test_an_id_that_is_none_is_not_found(
    cluster: Cluster, name: str, method: str, tail: str
) -> None:
    answer = cluster.http.request(method, f"/v1/jobs/{name}{tail}")
    assert cluster.error(answer, 404)["type"] == "not_found_error"


def send(cluster: Cluster, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", cluster.port), timeout=20)
    connection.sendall(data)
    return connection


HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_body_declared_too_large_is_refused_before_it_is_sent(cluster: Cluster) -> None:
    with send(cluster, HEAD + b"Content-Length: 999999999\r\n\r\n") as connection:
        answer = connection.recv(4096) + connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer


def test_a_streamed_body_is_cut_where_it_becomes_too_large(start: Starter) -> None:
    cluster = start(max_input_chars=10)
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with send(cluster, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk) as connection:
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_drips_is_cut(start: Starter) -> None:
    cluster = start(body_timeout_s=0.5)
    began = time.monotonic()
    with send(cluster, HEAD + b'Content-Length: 100\r\n\r\n{"input') as connection:
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 5


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(cluster: Cluster) -> None:
    send(cluster, HEAD + b'Content-Length: 100\r\n\r\n{"input').close()
    assert cluster.http.get("/v1/jobs").json()["data"] == []


def test_a_job_that_is_not_yours_to_name_in_a_delivery_is_not_found(cluster: Cluster) -> None:
    job = cluster.submit()
    answer = cluster.http.post(f"/v1/jobs/{job['id']}/deliveries/{'x' * 500}/replay")
    assert cluster.error(answer, 404)["code"] == "delivery_not_found"


def test_a_wrong_method_is_told_the_right_ones(cluster: Cluster) -> None:
    answer = cluster.http.patch("/v1/jobs/some-id")
    error = cluster.error(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET, PUT"
    assert error["message"] == "This address answers only to DELETE, GET, PUT."


def test_an_unknown_address_has_the_one_body_too(cluster: Cluster) -> None:
    assert cluster.error(cluster.http.get("/v2/jobs"), 404)["code"] == "not_found"
    assert cluster.error(cluster.http.get("/v1/jobs/"), 404)["code"] in {
        "not_found",
        "job_not_found",
    }
