"""A gateway that asks for keys."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from shared.apikeys import add_key
from tests.browser.conftest import Visitor
from tests.conftest import free_port
from tests.faults.cluster import FaultCluster


@pytest.fixture
def keyed(cluster: FaultCluster, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A second gateway of the cluster: its address, and a key."""
    path = tmp_path / "keys.json"
    _, token = add_key(path, "page")
    port = free_port()
    cluster.start("keyed", "gateway", port=port, api_keys_file=path)
    origin = f"http://127.0.0.1:{port}"
    cluster.wait(lambda: _answers(origin))
    yield origin, token
    cluster.supervisor.end(["keyed"])


def _answers(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/health/live", trust_env=False, timeout=2).is_success
    except httpx.TransportError:
        return False


def test_the_key_is_asked_for_kept_for_the_tab_and_sent_with_everything(
    visitor: Visitor, keyed: tuple[str, str]
) -> None:
    origin, token = keyed
    visited = visitor(origin)
    visited.allowed.append("status of 401")
    page = visited.open()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This server asks for an API key")
    page.get_by_label("Key", exact=True).fill("kc_wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("does not know this key")
    page.get_by_label("Key", exact=True).fill(token)
    page.get_by_role("button", name="Use it").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#key-state")).to_have_text("Key set")
    visited.allowed.clear()
    complaints = len(visited.complaints)
    visited.speak("Under lock and key.")
    expect(visited.status).to_have_text("succeeded")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => Number(document.querySelector('#seek').value) > 0.3")
    with page.expect_download() as download:
        page.get_by_role("button", name="MP3").click()
    assert Path(download.value.path()).stat().st_size > 1000
    assert visited.complaints[complaints:] == []
    visited.complaints.clear()
    # For this tab only: nowhere that another tab or a later day would find it.
    assert token not in page.evaluate("JSON.stringify(localStorage)")
    assert page.evaluate("document.cookie") == ""
    assert token not in "".join(visited.requests)
