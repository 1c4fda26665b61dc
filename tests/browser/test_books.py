"""Chapters, their files and loudness; many jobs at once."""

import hashlib
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.faults.cluster import FaultCluster


def test_a_books_chapters_are_gone_to_and_downloaded(
    visited: Visit, cluster: FaultCluster, tmp_path: Path
) -> None:
    book = tmp_path / "harbour.md"
    first, second = cluster.words(2).split("\n\n")
    book.write_text(f"# The harbour\n\n{first}\n\n# What / then?\n\n{second}\n")
    page = visited.open("#/speak")
    page.set_input_files("#file", book)
    page.get_by_label("Format").select_option("m4b")
    expect(page.locator("#book-options")).to_have_attribute("open", "")
    page.get_by_label("Title", exact=True).fill("Two tides")
    page.get_by_label("Author").fill("A. Writer")
    page.get_by_label("Loudness").select_option("-18")
    page.get_by_label("A file of each chapter as well").check()
    page.get_by_role("button", name="Speak it").click()
    page.wait_for_url("**/#/jobs/job_*")
    expect(visited.status).to_have_text("succeeded")
    job = cluster.look(page.url.rpartition("/")[2])
    chapters = page.locator(".chapter")
    expect(chapters).to_have_count(2)
    expect(chapters.nth(1)).to_contain_text("What / then?")
    chapters.nth(1).get_by_role("button", name="What / then?", exact=False).first.click()
    page.wait_for_function(
        "start => Number(document.querySelector('#seek').value) >= start",
        arg=round(job["chapters"][1]["start_s"], 1),
    )
    expect(chapters.nth(1).locator(".go")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Pause").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download What / then? as M4B").click()
    assert download.value.suggested_filename == f"{job['id']}-chapter-0002.m4b"
    (file,) = [one for one in job["output"]["others"] if one.get("chapter") == 2]
    data = Path(download.value.path()).read_bytes()
    assert hashlib.sha256(data).hexdigest() == file["sha256"]
    # One button a format: files of chapters are with their chapters.
    expect(page.locator("#downloads [data-file=m4b]")).to_have_count(1)
    assert b"Two tides" in cluster.client.get(f"/v1/jobs/{job['id']}/audio").content


def test_a_job_without_chapters_shows_none(visited: Visit) -> None:
    visited.speak("No chapters here.")
    expect(visited.status).to_have_text("succeeded")
    expect(visited.page.locator("#chapters-card")).to_be_hidden()


def test_subtitles_keep_their_silences_if_that_is_wanted(
    visited: Visit, cluster: FaultCluster, tmp_path: Path
) -> None:
    subtitles = tmp_path / "film.srt"
    subtitles.write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nFirst.\n\n2\n00:00:09,000 --> 00:00:10,000\nLast.\n"
    )
    page = visited.open("#/speak")
    page.locator("summary", has_text="More options").click()
    keep = page.get_by_label("Keep the silences between subtitles")
    expect(keep).to_be_hidden()
    page.set_input_files("#file", subtitles)
    keep.check()
    page.get_by_role("button", name="Speak it").click()
    page.wait_for_url("**/#/jobs/job_*")
    expect(visited.status).to_have_text("succeeded")
    assert cluster.look(page.url.rpartition("/")[2])["output"]["audio_s"] > 6


def test_lines_become_a_batch_that_is_followed_and_canceled(
    visited: Visit, cluster: FaultCluster
) -> None:
    page = visited.open("#/speak")
    page.get_by_label("Text", exact=True).fill("The first line.\n\n  The second line 🌊.  \n")
    page.locator("summary", has_text="More options").click()
    page.get_by_label("Each line a job of its own").check()
    page.get_by_role("button", name="Speak it").click()
    page.wait_for_url("**/#/batches/batch_*")
    batch = page.url.rpartition("/")[2]
    expect(page.locator(".batch")).to_contain_text("2 of 2 jobs ended")
    expect(page.locator("#batches-list .job")).to_have_count(2)
    expect(page.locator("#batches-list .job").nth(1)).to_contain_text("2: The second line")
    jobs = cluster.client.get(f"/v1/batches/{batch}/jobs").json()["data"]
    assert [job["status"] for job in jobs] == ["succeeded"] * 2
    page.locator("#batches-list .job").first.click()
    expect(visited.status).to_have_text("succeeded")
    page.get_by_role("link", name=batch).click()
    expect(page.locator(".batch")).to_contain_text("completed")
    items = [{"input": cluster.words(30)} for _ in range(25)]
    long = cluster.client.post("/v1/batches", json={"items": items}).json()["id"]
    page.get_by_role("link", name="Batches").first.click()
    running = page.locator("#batches-list > li", has=page.locator(f"a[href='#/batches/{long}']"))
    expect(running.get_by_role("progressbar")).to_have_attribute("max", "25")
    running.get_by_role("link").click()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#batches-list .job")).to_have_count(25)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".batch")).to_contain_text("canceled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert cluster.client.get(f"/v1/batches/{long}").json()["status"] == "canceled"
