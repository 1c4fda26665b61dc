"""A real Chromium in front of a real cluster: gateway, workers and reconciler as processes."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.faults.cluster import FaultCluster

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WITHIN_MS = 15_000
PACE = "scripted:sleep_per_audio_s=0.08"
"""Slow enough that a page can be seen while a text is spoken."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one process of xdist's: they share a cluster and a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


def chromium() -> str:
    """Return the machine's Chromium; without one, skip, or fail where everything must run."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        reason = "there is no Chromium here; as root, tests/browser/install_chromium.sh installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser with a fresh profile; each test has a context of its own in it.

    Not one for the whole run: Playwright's event loop stays the running one of its thread until it
    is stopped, and no test that comes after it in the same process could call `asyncio.run`.
    """
    path = chromium()
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cluster(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultCluster]:
    """A whole cluster that speaks in tones, two segments at a time."""
    cluster = FaultCluster(tmp_path_factory.mktemp("page"), model=PACE, batch_max=2)
    try:
        cluster.start_all(synth=1, deliver=False)
        yield cluster
    finally:
        cluster.stop()


@dataclass
class Visit:
    """A page in a browser, and what was seen going on behind it.

    Attributes:
        complaints: errors and warnings in the console, and exceptions of scripts.
        allowed: parts of complaints that a test provokes.
    """

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> Page:
        self.page.goto(f"{self.origin}/{path}")
        return self.page

    def speak(self, text: str, **options: str) -> str:
        """Submit a text through the form; return the job's id once its view is there."""
        page = self.open("#/speak")
        page.get_by_label("Text", exact=True).fill(text)
        for label, value in options.items():
            page.get_by_label(label.capitalize(), exact=True).select_option(value)
        page.get_by_role("button", name="Speak it").click()
        page.wait_for_url("**/#/jobs/job_*", timeout=WITHIN_MS)
        return page.url.rpartition("/")[2]

    @property
    def status(self) -> Locator:
        return self.page.locator("#job-status")

    def check(self) -> None:
        """Assert that nothing went elsewhere, and that nothing went wrong unseen."""
        elsewhere = [url for url in self.requests if not self._is_home(url)]
        assert elsewhere == []
        unexpected = [c for c in self.complaints if not any(part in c for part in self.allowed)]
        assert unexpected == []

    def _is_home(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in {"blob", "data"} or f"{parts.scheme}://{parts.netloc}" == self.origin


def visit(context: BrowserContext, origin: str) -> Visit:
    page = context.new_page()
    page.set_default_timeout(WITHIN_MS)
    found = Visit(page, origin)
    page.on("request", lambda request: found.requests.append(request.url))
    page.on("pageerror", lambda error: found.complaints.append(f"exception: {error}"))
    page.on(
        "console",
        lambda message: (
            found.complaints.append(f"{message.type}: {message.text}")
            if message.type in {"error", "warning"}
            else None
        ),
    )
    page.on("dialog", lambda dialog: dialog.accept())
    return found


Visitor = Callable[..., Visit]


@pytest.fixture
def visitor(browser: Browser, cluster: FaultCluster) -> Iterator[Visitor]:
    """Open pages with settings of a test's own; each is checked at the end."""
    opened: list[tuple[BrowserContext, Visit]] = []

    def open_one(origin: str | None = None, **options: Any) -> Visit:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(**options)
        found = visit(context, origin or f"http://127.0.0.1:{cluster.port}")
        opened.append((context, found))
        return found

    yield open_one
    for context, _ in opened:
        context.close()
    for _, found in opened:
        found.check()


@pytest.fixture
def visited(visitor: Visitor) -> Visit:
    """A page of ordinary size."""
    return visitor()
