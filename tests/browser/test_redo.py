"""A passage of a finished job said anew."""

from playwright.sync_api import expect

from tests.browser.conftest import Visit, Visitor
from tests.faults.cluster import FaultCluster


def test_the_passage_that_is_selected_is_said_anew_and_the_rest_is_taken_over(
    visited: Visit, cluster: FaultCluster
) -> None:
    plain = cluster.words(3).split("\n\n")
    first, second, third = (text.replace(" ", " 🌊 ", 1) for text in plain)
    job = visited.speak("\n\n".join((first, second, third)))
    page = visited.page
    expect(page.locator("#redo-row")).to_be_visible()
    page.locator("#reader p").nth(1).click(click_count=3)
    page.get_by_role("button", name="Say a passage anew").click()
    dialog = page.get_by_role("dialog", name="Say a passage anew")
    expect(dialog).to_contain_text("Passage 2 of 3 passages")
    text = dialog.get_by_label("What is said")
    expect(text).to_be_focused()
    expect(text).to_have_value(second)
    dialog.get_by_role("button", name="The next passage").click()
    expect(text).to_have_value(third)
    expect(dialog.get_by_role("button", name="The next passage")).to_be_disabled()
    dialog.get_by_role("button", name="The passage before").click()
    hear = dialog.get_by_role("button", name="Hear it")
    hear.click()
    expect(hear).to_have_attribute("data-state", "playing")
    hear.click()
    expect(hear).to_have_attribute("aria-pressed", "false")
    text.fill("Something quite 🌊 different.")
    dialog.get_by_label("Said by").select_option("bf_emma")
    dialog.get_by_role("button", name="Say it anew").click()
    page.wait_for_url(lambda url: job not in url)
    expect(visited.status).to_have_text("succeeded")
    made = cluster.look(page.url.rpartition("/")[2])
    assert made["redo_of"]["job"] == job
    assert made["progress"]["segments_reused"] == 2
    # Its text is here as well, and counts as the server counts: a click goes where it should.
    expect(page.locator("#reader p").nth(1)).to_have_text("Something quite 🌊 different.")
    page.locator("#reader p").nth(2).click(position={"x": 60, "y": 12})
    page.wait_for_function(
        """text => { const [mark] = CSS.highlights.get("spoken") ?? [];
        return mark && text.includes(mark.toString()); }""",
        arg=third,
    )
    page.get_by_role("link", name="another job").click()
    expect(page.locator("#reader p").nth(1)).to_have_text(second)


def test_a_passage_is_found_by_ear_in_a_browser_that_does_not_have_the_text(
    visited: Visit, visitor: Visitor, cluster: FaultCluster
) -> None:
    text = cluster.words(3)
    job = cluster.submit(text, timestamps=True, response_format="mp3")
    cluster.wait_for([job])
    page = visited.open(f"#/jobs/{job}")
    last = cluster.client.get(f"/v1/jobs/{job}?include=segments").json()["segments"][-1]
    page.get_by_label("Place in the audio").fill(str(round(last["start_s"] + 0.2, 1)))
    page.get_by_role("button", name="Say a passage anew").click()
    said = page.get_by_label("What is said")
    expect(said).to_have_value(text.split("\n\n")[2])
    said.fill(" ")
    page.get_by_role("button", name="Say it anew").click()
    expect(page.get_by_role("alert")).to_contain_text("Write what is said")
    said.fill("By ear.")
    page.get_by_role("button", name="Say it anew").click()
    page.wait_for_url(lambda url: job not in url)
    expect(visited.status).to_have_text("succeeded")
    expect(page.locator("#reader")).to_contain_text("By ear.")


def test_what_has_not_ended_well_can_not_be_said_anew(
    visited: Visit, cluster: FaultCluster
) -> None:
    visited.speak(cluster.words(40))
    page = visited.page
    expect(page.locator("#way [aria-current=step]")).to_have_text("Render")
    expect(page.locator("#redo-row")).to_be_hidden()
    page.get_by_role("button", name="Cancel").click()
    expect(visited.status).to_have_text("canceled")
    expect(page.locator("#redo-row")).to_be_hidden()
