"""Writing a text, choosing how it is spoken, and getting it."""

import hashlib
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from shared.formats import AudioFormat
from shared.languages import Language
from tests.browser.conftest import Visit, Visitor
from tests.faults.cluster import FaultCluster


def test_a_text_becomes_a_file_on_the_users_disk(visited: Visit, cluster: FaultCluster) -> None:
    job = visited.speak("A file for the harbour master.", format="flac")
    expect(visited.status).to_have_text("succeeded")
    with visited.page.expect_download() as download:
        visited.page.get_by_role("button", name="FLAC").click()
    view = cluster.look(job)
    data = Path(download.value.path()).read_bytes()
    assert hashlib.sha256(data).hexdigest() == view["output"]["sha256"]
    assert download.value.suggested_filename == f"{job}.flac"
    assert view["input_chars"] == len("A file for the harbour master.")


def test_the_job_moves_through_its_stages_as_it_is_made(
    visited: Visit, cluster: FaultCluster
) -> None:
    visited.speak(cluster.words(5))
    page = visited.page
    step = page.locator("#way [aria-current=step]")
    expect(step).to_have_text("Render")
    expect(page.locator("#way-count")).to_have_text(re.compile("^[24] of 5 segments$"))
    expect(visited.status).to_have_text("processing")
    expect(visited.status).to_have_text("succeeded")
    expect(step).to_have_count(0)
    expect(page.locator("#way-words")).to_contain_text("Done in")
    # It was told of all this, and did not ask again and again.
    looks = [url for url in visited.requests if url.endswith("include=segments")]
    assert len(looks) <= 2


def test_what_is_chosen_is_among_the_choices_and_is_what_is_made(
    visited: Visit, cluster: FaultCluster
) -> None:
    page = visited.open("#/speak")
    expect(page.get_by_role("radio", name="Heart female")).to_be_checked()
    loaded = {voice["id"] for voice in cluster.client.get("/v1/voices").json()["data"]}
    offered = page.locator("#voices input").evaluate_all("all => all.map(one => one.value)")
    assert set(offered) == loaded
    wanted = {
        "language": {"", *Language},
        "format": {*AudioFormat},
        "mix-voice": {"", *loaded},
    }
    for box, all_there_are in wanted.items():
        chosen, choices = page.locator(f"#{box}").evaluate(
            "box => [box.value, [...box.options].map(option => option.value)]"
        )
        assert chosen in choices
        assert set(choices) == all_there_are
    page.get_by_placeholder("Filter").fill("british  FEMALE")
    expect(page.locator(".voice:visible")).to_have_count(4)
    page.get_by_role("radio", name="Emma").check()
    page.get_by_label("Speed").fill("1.5")
    page.locator("summary", has_text="More options").click()
    page.get_by_label("Mix with").select_option("bm_george")
    page.get_by_label("Share").fill("25")
    page.get_by_label("Text", exact=True).fill("Half an hour past noon.")
    page.get_by_role("button", name="Speak it").click()
    expect(page.locator("#facts")).to_contain_text("bf_emma(75)+bm_george(25)")
    expect(page.locator("#facts")).to_contain_text("1.5×")
    expect(visited.status).to_have_text("succeeded")


def test_a_voice_chosen_once_is_chosen_again_unless_it_is_no_longer_there(visited: Visit) -> None:
    page = visited.open("#/speak")
    page.get_by_role("radio", name="Fenrir").check()
    page.reload()
    expect(page.get_by_role("radio", name="Fenrir")).to_be_checked()
    expect(page.get_by_role("radio", name="Fenrir")).to_be_in_viewport()
    page.evaluate("localStorage.setItem('kc-voice', 'xx_gone')")
    page.reload()
    expect(page.get_by_role("radio", name="Heart female")).to_be_checked()


def test_a_voices_sample_is_made_once_and_kept(visited: Visit, cluster: FaultCluster) -> None:
    page = visited.open("#/speak")
    listen = page.get_by_role("button", name="Listen to Puck")
    listen.click()
    expect(listen).to_have_attribute("data-state", "playing")
    expect(listen).not_to_have_attribute("data-state", "playing")
    assert sum(url.endswith("/v1/jobs") for url in visited.requests) == 1
    assert cluster.client.get("/v1/jobs?custom_id=voice-sample").json()["data"] == []
    page.reload()
    listen.click()
    expect(listen).to_have_attribute("data-state", "playing")
    listen.click()
    expect(listen).to_have_attribute("aria-pressed", "false")
    assert sum(url.endswith("/v1/jobs") for url in visited.requests) == 1


def test_a_file_that_is_dropped_becomes_the_text(visited: Visit, tmp_path: Path) -> None:
    page = visited.open("#/speak")
    dropped = page.evaluate_handle(
        """() => { const all = new DataTransfer();
        all.items.add(new File(["Grüße 🌊"], "a.txt", {type: "text/plain"})); return all; }"""
    )
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": dropped})
    text = page.get_by_label("Text", exact=True)
    expect(text).to_have_value("Grüße 🌊")
    expect(page.locator("#count")).to_have_text("7 characters")
    wrong = tmp_path / "photo.txt"
    wrong.write_bytes(b"\xff\xd8\xff\xe0 no text")
    page.set_input_files("#file", wrong)
    expect(page.get_by_role("alert")).to_contain_text("photo.txt is not a text in UTF-8")
    expect(text).to_have_value("Grüße 🌊")


def test_a_document_is_read_by_the_server_and_can_be_spoken_again(
    visited: Visit, cluster: FaultCluster, tmp_path: Path
) -> None:
    document = tmp_path / "log.md"
    document.write_text("# Log\n\nWind *from* the west.\n")
    page = visited.open("#/speak")
    page.set_input_files("#file", document)
    expect(page.locator("#attached")).to_contain_text("log.md · 29 B")
    expect(page.get_by_label("Text", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Speak it").click()
    expect(page.get_by_role("heading", name="log.md")).to_be_visible()
    expect(visited.status).to_have_text("succeeded")
    first = page.url
    assert cluster.look(first.rpartition("/")[2])["progress"]["segments_done"] >= 2
    page.get_by_role("button", name="Speak again").click()
    page.wait_for_url(lambda url: url != first)
    expect(visited.status).to_have_text("succeeded")
    visited.allowed.append("status of 4")
    broken = tmp_path / "book.epub"
    broken.write_bytes(b"no zip at all")
    page = visited.open("#/speak")
    page.set_input_files("#file", broken)
    page.get_by_role("button", name="Speak it").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.get_by_role("button", name="Write a text instead").click()
    expect(page.get_by_label("Text", exact=True)).to_be_focused()


def test_an_empty_text_and_a_refusal_are_told_in_words(visited: Visit) -> None:
    page = visited.open("#/speak")
    page.get_by_role("button", name="Speak it").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no text yet")
    visited.allowed.append("status of 422")
    page.get_by_label("Text", exact=True).fill("[pause:9999s]")
    page.get_by_role("button", name="Speak it").click()
    expect(page.get_by_role("alert")).to_contain_text("pause")


@pytest.mark.parametrize(
    "text", ["<img src=x onerror=alert(1)>", "</textarea><script>x()</script>"]
)
def test_markup_in_a_text_stays_text(visited: Visit, text: str) -> None:
    visited.speak(f"{text} said the sailor.")
    expect(visited.page.get_by_role("heading", name=text)).to_be_visible()
    expect(visited.status).to_have_text("succeeded")
    expect(visited.page.locator("#reader")).to_contain_text(text)
    visited.open("#/jobs")
    expect(visited.page.locator("#jobs-list")).to_contain_text(text)
    assert visited.page.locator("main img, main script").count() == 0


def test_the_engine_is_called_a_stand_in_where_it_is_one(visited: Visit) -> None:
    page = visited.open()
    expect(page.locator("#stand-in")).to_contain_text("The engine is a stand-in, scripted")


def test_the_apis_viewer_loads_nothing_from_elsewhere(visitor: Visitor) -> None:
    visited = visitor()
    page = visited.open("docs")
    expect(page.get_by_role("heading", name="Kokoro Cluster")).to_be_visible()
    expect(page.get_by_text("/v1/jobs", exact=True).first).to_be_visible()
    assert httpx.get(f"{visited.origin}/docs", trust_env=False).text.count("//") == 0
