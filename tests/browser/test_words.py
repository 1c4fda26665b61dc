"""What a text would come to while it is written, and how its words are said."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.faults.cluster import FaultCluster


@pytest.fixture(autouse=True)
def _no_lexicons(cluster: FaultCluster) -> None:
    for lexicon in cluster.client.get("/v1/lexicons").json()["data"]:
        cluster.client.delete(f"/v1/lexicons/{lexicon['name']}")


def test_what_a_text_would_come_to_is_told_while_it_is_written(visited: Visit) -> None:
    page = visited.open("#/speak")
    text = page.get_by_label("Text", exact=True)
    told = page.locator("#estimate")
    expect(told).to_be_empty()
    text.press_sequentially("The blorfing lay quiet.", delay=20)
    expect(told).to_contain_text(" of audio")
    # The server is asked once the hands rest, not at every key.
    assert sum(url.endswith("/v1/estimate") for url in visited.requests) <= 2
    page.locator("summary", has_text="1 word in no dictionary").click()
    expect(page.locator("#estimate-list")).to_contain_text("blorfing is said /blˈɔɹfɪŋ/")
    before = told.inner_text()
    page.get_by_label("Speed").fill("0.5")
    expect(told).not_to_have_text(before)
    text.fill("你好")
    expect(told).to_have_attribute("data-bad", "true")
    visited.allowed.append("status of 422")
    text.fill("[pause:9999s]")
    expect(told).to_contain_text("pause")
    text.fill("")
    expect(told).to_be_empty()


def test_what_a_document_would_come_to_is_told_too(visited: Visit, tmp_path: Path) -> None:
    book = tmp_path / "book.md"
    book.write_text("# One\n\nIt begins here.\n\n# Two\n\nIt ends here.\n")
    page = visited.open("#/speak")
    page.set_input_files("#file", book)
    expect(page.locator("#estimate")).to_contain_text(" of audio, 2 chapters")
    page.get_by_role("button", name="Write a text instead").click()
    expect(page.locator("#estimate")).to_be_empty()


def test_a_word_is_taught_heard_stored_and_spoken(visited: Visit, cluster: FaultCluster) -> None:
    page = visited.open("#/speak")
    page.get_by_label("Text", exact=True).fill("The blorfing lay quiet.")
    page.locator("summary", has_text="in no dictionary").click()
    page.get_by_role("button", name="Say blorfing otherwise").click()
    expect(page.get_by_role("heading", name="A new lexicon")).to_be_visible()
    expect(page.get_by_label("Word", exact=True)).to_have_value("blorfing")
    said = page.get_by_label("How it is said")
    expect(said).to_be_focused()
    page.keyboard.type("/hˈɑɹbəɹ/")
    hear = page.get_by_role("button", name="Hear blorfing")
    hear.click()
    expect(hear).to_have_attribute("data-state", "playing")
    expect(hear).not_to_have_attribute("data-state", "playing")
    page.get_by_label("For texts in").select_option("en-us")
    page.get_by_label("Name", exact=True).fill("harbours")
    page.get_by_role("button", name="Add a word").click()
    page.get_by_label("Word", exact=True).first.fill("SQL")
    page.get_by_label("How it is said").first.fill("sequel")
    page.get_by_label("Capitals count").first.check()
    expect(page.locator("#lexicon-state")).to_have_text("Not saved yet")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#lexicon-state")).to_contain_text("Saved as version")
    stored = cluster.client.get("/v1/lexicons/harbours").json()
    assert (stored["language"], stored["entries"]) == (
        "en-us",
        [
            {"word": "SQL", "phonemes": None, "respelling": "sequel", "case_sensitive": True},
            {
                "word": "blorfing",
                "phonemes": "hˈɑɹbəɹ",
                "respelling": None,
                "case_sensitive": False,
            },
        ],
    )
    page.get_by_role("link", name="Speak").click()
    page.locator("summary", has_text="Lexicons").click()
    page.get_by_label("harbours").check()
    job = visited.speak("The blorfing lay quiet.")
    expect(visited.status).to_have_text("succeeded")
    name = f"harbours@{stored['version']}"
    expect(page.locator("#facts")).to_contain_text(name)
    assert cluster.look(job)["lexicons"] == [name]
    # What was heard on the way is in no list.
    assert cluster.client.get("/v1/jobs?custom_id=voice-sample").json()["data"] == []


def test_a_lexicon_is_changed_refused_and_deleted(visited: Visit, cluster: FaultCluster) -> None:
    entries = [{"word": f"word{n}", "respelling": f"said {n}"} for n in range(300)]
    cluster.client.put("/v1/lexicons/many", json={"entries": entries})
    page = visited.open("#/lexicons")
    page.get_by_role("link", name="many").click()
    expect(page.locator("#entries-more")).to_contain_text("200 of 300")
    page.get_by_placeholder("Find a word").fill("word299")
    expect(page.locator(".entry")).to_have_count(1)
    page.get_by_role("button", name="Remove word299").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#lexicon-state")).to_contain_text("Saved as version")
    assert cluster.client.get("/v1/lexicons/many").json()["entries_total"] == 299
    page.get_by_placeholder("Find a word").fill("word7")
    visited.allowed.append("status of 422")
    page.get_by_label("How it is said").first.fill("/1234/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.get_by_role("button", name="Delete the lexicon").click()
    page.wait_for_url("**/#/lexicons")
    expect(page.locator("#lexicons-empty")).to_be_visible()
    assert cluster.client.get("/v1/lexicons").json()["data"] == []
