"""Ids in a path: none of them leads anywhere but to a job of that name."""

import http.client
import json
import re
from pathlib import Path

import pytest

from tests.integration.gateway.conftest import Cluster

CANARY = "what-only-the-operator-may-read"

EVIL = [
    "..",
    "../..",
    "../../../../../../etc/passwd",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fcanary",
    "..%2f..%2fcanary",
    "..%5c..%5ccanary",
    "%252e%252e%252fcanary",
    "%c0%ae%c0%ae%c0%afcanary",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8fcanary",
    "%00",
    "canary%00.mp3",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    ".",
    "%2e",
    "~",
    "%0d%0aX-Injected:%20yes",
    "file:%2f%2f%2fetc%2fpasswd",
    "%E2%80%AE",
    "caf%C3%A9",
    "job_%2e%2e",
    "job_01M8296E832B52BCG5T26A9ZD7%2f..%2f..",
    "kc:engine",
    "*",
    "%3f",
    "a" * 20_000,
]


def templates(cluster: Cluster) -> list[tuple[str, str]]:
    """Return each method and path that has an id in it."""
    paths = cluster.http.get("/openapi.json").json()["paths"]
    found = [
        (method.upper(), path)
        for path, operations in paths.items()
        for method in operations
        if "{" in path
    ]
    assert len(found) >= 8
    return found


def request(cluster: Cluster, method: str, path: str) -> tuple[int, str, str]:
    """Send a path just as it is, which most clients tidy first; return status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=20)
    body = json.dumps({"input": "Hello."}) if method == "PUT" else None
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, str(answer.headers), said


def written(folder: Path) -> dict[Path, int]:
    """Return when each file was written, but for those by which the gateway tries its store."""
    found = (path for path in folder.rglob("*") if path.parent.name != "ping")
    return {path: path.stat().st_mtime_ns for path in found if path.is_file()}


def test_an_id_that_is_a_path_leads_nowhere_by_any_route(cluster: Cluster) -> None:
    folder = Path(cluster.settings.data_dir)
    job = cluster.succeed()
    for here in (folder.parent, folder, folder / "objects", folder / "objects" / "jobs"):
        (here / "canary").write_text(CANARY)
    before = written(folder), set(cluster.redis.keys("kc:*job*"))
    for method, template in templates(cluster):
        for place in range(template.count("{")):
            for evil in EVIL:
                ids = iter([job["id"]] * place + [evil, "x"])
                path = re.sub(r"\{\w+\}", lambda _, ids=ids: next(ids), template)  # type: ignore[misc]
                status, headers, said = request(cluster, method, path)
                assert 400 <= status < 500, (method, path[:100], status)
                assert "X-Injected" not in headers
                assert CANARY not in said
                assert "root:" not in said
                assert set(json.loads(said)) == {"error"} if said else method == "HEAD"
    assert (written(folder), set(cluster.redis.keys("kc:*job*"))) == before


@pytest.mark.parametrize("evil", ["../canary", "..%2fcanary", "mp3/../../canary", "%00", "mp3%00"])
def test_a_format_that_is_a_path_is_no_format(cluster: Cluster, evil: str) -> None:
    job = cluster.succeed()
    status, _, said = request(cluster, "GET", f"/v1/jobs/{job['id']}/audio?format={evil}")
    assert status == 422
    assert json.loads(said)["error"]["param"] == "format"
