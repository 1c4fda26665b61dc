"""The files of the page: what they say to browsers, and that there is nothing else to be had."""

import gzip
import re

import httpx
import pytest

from tests.integration.gateway.conftest import Cluster

FILES = ("/", "/docs", "/static/main.js", "/static/style.css", "/static/swagger-ui-bundle.js")


@pytest.mark.parametrize("path", FILES)
def test_a_file_says_what_it_is_and_that_nothing_else_may_be_loaded(
    cluster: Cluster, path: str
) -> None:
    answer = cluster.http.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    kind = {"/": "text/html", "/docs": "text/html"}.get(path) or {
        "js": "text/javascript",
        "css": "text/css",
    }[path.rpartition(".")[2]]
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_sent_once_and_packed_for_whoever_can_unpack_it(
    cluster: Cluster, path: str
) -> None:
    first = cluster.http.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = cluster.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    with httpx.stream(
        "GET",
        f"{cluster.http.base_url}{path}",
        headers={"Accept-Encoding": "gzip"},
        trust_env=False,
    ) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        raw = b"".join(packed.iter_raw())
    plain = cluster.http.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content)
    head = cluster.http.head(path, headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(plain.content)


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "..%2fpage.py", "%2e%2e%2fpage.py", "..%5cpage.py", "", "style.css/", "%00"],
)
def test_there_is_nothing_but_the_pages_files(cluster: Cluster, name: str) -> None:
    assert cluster.error(cluster.http.get(f"/static/{name}"), 404)["code"] == "not_found"


def test_a_page_answers_to_reading_only(cluster: Cluster) -> None:
    answer = cluster.http.post("/")
    cluster.error(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert "GET" in answer.json()["error"]["message"]


def test_the_pages_have_no_script_of_their_own_and_name_no_other_place(cluster: Cluster) -> None:
    for path in ("/", "/docs"):
        text = cluster.http.get(path).text
        assert "//" not in text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)
