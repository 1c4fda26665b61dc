"""Hearing a job while it is made, with the text marked, and going elsewhere in it."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.faults.cluster import FaultCluster

MARKED = """() => [...(CSS.highlights.get("spoken") ?? [])]
    .map((range) => range.toString()).join("|")"""


def seconds(page: Page) -> float:
    """Return the place in the audio that the slider shows."""
    return float(page.locator("#seek").input_value())


def wait_until_past(page: Page, place: float) -> None:
    page.wait_for_function(
        "place => Number(document.querySelector('#seek').value) > place", arg=place
    )


def test_the_first_segment_is_heard_while_the_rest_is_made(
    visited: Visit, cluster: FaultCluster
) -> None:
    text = cluster.words(6)
    page = visited.page
    # What is heard, measured where it leaves the page.
    page.add_init_script(
        """const connect = AudioNode.prototype.connect;
        window.heard = () => 0;
        AudioNode.prototype.connect = function (to, ...rest) {
          if (to instanceof AudioDestinationNode) {
            window.meter ??= new AnalyserNode(this.context);
            window.heard = () => { const all = new Float32Array(2048);
              window.meter.getFloatTimeDomainData(all); return Math.max(...all.map(Math.abs)); };
            connect.call(this, window.meter);
          }
          return connect.call(this, to, ...rest);
        };"""
    )
    visited.speak(text)
    page.get_by_role("button", name="Play").click()
    wait_until_past(page, 0.5)
    expect(visited.status).to_have_text("processing")
    page.wait_for_function("() => window.heard() > 0.1")
    first = page.evaluate(MARKED)
    assert first
    assert first in text.partition("\n\n")[0]
    wait_until_past(page, 1.5)
    page.get_by_role("button", name="Pause").click()
    place = seconds(page)
    page.wait_for_timeout(300)
    assert seconds(page) == place
    expect(visited.status).to_have_text("succeeded")
    expect(page.locator("#time")).not_to_contain_text("…")


def test_a_click_in_the_text_goes_there_also_behind_signs_outside_the_first_plane(
    visited: Visit, cluster: FaultCluster
) -> None:
    first, second, third = cluster.words(3).split("\n\n")
    # Each of these is one code point, and two units of a JavaScript string.
    visited.speak(f"🌊🌊🌊 {first}\n\n🌊🌊🌊🌊 {second}\n\n{third}")
    expect(visited.status).to_have_text("succeeded")
    page = visited.page
    page.locator("#reader p").nth(2).click(position={"x": 60, "y": 12})
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function(f"text => ({MARKED})() && text.includes(({MARKED})())", arg=third)
    marked = page.evaluate(MARKED)
    assert marked
    assert marked in third
    assert seconds(page) > 2


def test_the_word_that_is_heard_is_marked_and_a_click_on_another_goes_to_it(
    visited: Visit, cluster: FaultCluster
) -> None:
    first, second = cluster.words(2).split("\n\n")
    job = visited.speak(f"🌊 {first}\n\n🌊🌊 {second}")
    expect(visited.status).to_have_text("succeeded")
    page = visited.page
    words = cluster.client.get(f"/v1/jobs/{job}/captions.json").json()["words"]
    page.get_by_role("button", name="Play").click()
    wait_until_past(page, words[1]["start_s"])
    marked = page.evaluate(f"({MARKED})()")
    assert marked in first.rstrip(".").split()
    page.get_by_role("button", name="Pause").click()
    # Where the last but one word of the second paragraph stands on the screen.
    word = second.rstrip(".").split()[-2]
    place = page.evaluate(
        """word => { const node = document.querySelector("#reader p:last-child").firstChild;
        const range = document.createRange(); const at = node.data.lastIndexOf(word);
        range.setStart(node, at); range.setEnd(node, at + word.length);
        const { x, y, width, height } = range.getBoundingClientRect();
        return [x + width / 2, y + height / 2]; }""",
        word,
    )
    page.mouse.click(*place)
    page.wait_for_function(f"word => ({MARKED})() === word", arg=word)
    assert abs(seconds(page) - words[-2]["start_s"]) < 0.5


def test_captions_and_times_of_words_are_on_offer_once_they_are_made(
    visited: Visit, cluster: FaultCluster
) -> None:
    job = visited.speak(cluster.words(1))
    expect(visited.status).to_have_text("succeeded")
    for label, suffix in (("SRT", "srt"), ("WebVTT", "vtt"), ("JSON", "json")):
        with visited.page.expect_download() as download:
            visited.page.get_by_role("button", name=label).click()
        served = cluster.client.get(f"/v1/jobs/{job}/captions.{suffix}")
        assert Path(download.value.path()).read_bytes() == served.content
        assert download.value.suggested_filename == f"{job}.{suffix}"


def test_the_slider_and_the_buttons_move_the_place_and_the_end_is_the_end(
    visited: Visit, cluster: FaultCluster
) -> None:
    visited.speak(cluster.words(3))
    expect(visited.status).to_have_text("succeeded")
    page = visited.page
    expect(page.locator("#time")).not_to_contain_text("/ 0:00")
    end = float(page.locator("#seek").get_attribute("max") or 0)
    page.get_by_label("Place in the audio").fill(str(round(end - 0.6, 1)))
    page.get_by_role("button", name="Back ten seconds").click()
    assert abs(seconds(page) - max(0.0, end - 10.6)) < 0.2
    page.get_by_role("button", name="Forward ten seconds").click()
    place = seconds(page)
    assert place > end - 1.5
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#play")).to_have_attribute("data-state", "ended")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => Number(document.querySelector('#seek').value) < 2")
    wait_until_past(page, 0.2)


def test_where_segments_are_gone_the_file_is_played(visited: Visit, cluster: FaultCluster) -> None:
    visited.speak(cluster.words(2))
    expect(visited.status).to_have_text("succeeded")
    visited.allowed.append("status of 410")
    gone = '{"error": {"message": "Gone.", "type": "gone", "code": "audio_gone", "param": null}}'
    visited.page.route("**/segments/*/audio*", lambda route: route.fulfill(status=410, body=gone))
    visited.page.get_by_role("button", name="Play").click()
    wait_until_past(visited.page, 0.4)
    assert any("/audio?redirect=false&format=mp3" in url for url in visited.requests)


def test_the_mark_is_kept_in_sight_in_a_long_text(visited: Visit, cluster: FaultCluster) -> None:
    visited.speak(cluster.words(14))
    page = visited.page
    expect(visited.status).to_have_text("succeeded", timeout=30_000)
    end = float(page.locator("#seek").get_attribute("max") or 0)
    page.get_by_label("Place in the audio").fill(str(round(end * 0.8, 1)))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        """() => { const [mark] = CSS.highlights.get("spoken") ?? [];
        if (!mark) return false;
        const seen = document.querySelector("#reader").getBoundingClientRect();
        const { top, bottom } = mark.getBoundingClientRect();
        return bottom > top && top >= seen.top && bottom <= seen.bottom; }"""
    )
