"""Prometheus with the project's own scrape configuration and rules, and its HTTP API."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.processes import Managed
from tests.day.programs import program

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"


class QueryFailed(AssertionError):
    """Prometheus refused a query; the message has its answer."""


@dataclass(frozen=True)
class Series:
    """One line of a panel.

    Attributes:
        labels: its own.
        points: time in seconds since 1970, and value; no NaN.
    """

    labels: dict[str, str]
    points: list[tuple[float, float]]

    @property
    def values(self) -> list[float]:
        """The values alone."""
        return [value for _, value in self.points]


class Monitor:
    """A Prometheus of its own.

    Args:
        folder: for its configuration and data.
        port: on 127.0.0.1.
        targets: what it scrapes, `host:port`.
        scrape_s: seconds between two scrapes; None: as in the project's file.
    """

    def __init__(
        self, folder: Path, port: int, targets: Sequence[str], scrape_s: int | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        found = configuration(targets, scrape_s)
        self.scrape_s = int(found["global"]["scrape_interval"].removesuffix("s"))
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(found))
        self.url = f"http://127.0.0.1:{port}"
        command = [
            program("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self.managed = Managed("prometheus", command, dict(os.environ), folder / "prometheus.log")
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Ask no more."""
        self._http.close()

    @property
    def is_ready(self) -> bool:
        """Whether it scrapes and answers."""
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def unscraped(self) -> list[str]:
        """Return what is wrong with its targets, a line each; empty when all are scraped."""
        found = self._get("/api/v1/targets", {"state": "active"})["activeTargets"]
        return [
            f"{t['scrapeUrl']}: {t['health']} {t['lastError']}"
            for t in found
            if t["health"] != "up"
        ]

    def range(self, query: str, begin: float, end: float, step_s: float) -> list[Series]:
        """Run a query over a time; return its series without points that are no number.

        Raises:
            QueryFailed: Prometheus refused it.
        """
        parameters = {"query": query, "start": begin, "end": end, "step": step_s}
        found = self._get("/api/v1/query_range", parameters)["result"]
        series = [
            Series(
                one["metric"],
                [(at, float(value)) for at, value in one["values"] if value != "NaN"],
            )
            for one in found
        ]
        return [one for one in series if one.points]

    def _get(self, path: str, parameters: dict[str, Any]) -> Any:
        answer = self._http.get(path, params=parameters)
        told = answer.json()
        if told.get("status") != "success":
            raise QueryFailed(f"{parameters}: {answer.text[:400]}")
        return told["data"]

    def wait_for_scrape(self) -> None:
        """Wait until everything of now has been scraped."""
        time.sleep(self.scrape_s + 1)


def configuration(targets: Sequence[str], scrape_s: int | None = None) -> dict[str, Any]:
    """Return the project's own configuration, about other targets."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = found["scrape_configs"]
    (static,) = job["static_configs"]
    static["targets"] = list(targets)
    found["rule_files"] = [str(FOLDER / name) for name in found["rule_files"]]
    if scrape_s is not None:
        found["global"] |= {
            "scrape_interval": f"{scrape_s}s",
            "evaluation_interval": f"{scrape_s}s",
        }
    return found
