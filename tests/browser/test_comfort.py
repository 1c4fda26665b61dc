"""Small screens, keyboards, dark rooms, and people who don't see the page."""

import json
from importlib import resources

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, Visitor
from tests.faults.cluster import FaultCluster

VIEWS = ("#/speak", "#/jobs", "#/batches", "#/lexicons", "#/lexicons/many", "#/cluster")
SMALL = {"width": 360, "height": 740}


def settled(visited: Visit, path: str) -> Page:
    """Open a view and wait until it shows what it has to show."""
    page = visited.open(path)
    expect(page.locator("#stand-in")).to_be_visible()
    sign = {
        "#/speak": ".voice",
        "#/jobs": "#jobs-list a",
        "#/batches": ".batch",
        "#/lexicons": "#lexicons-list a",
        "#/lexicons/many": ".entry",
        "#/cluster": ".worker",
    }
    expect(page.locator(sign.get(path, "#downloads li")).first).to_be_visible()
    return page


@pytest.fixture
def done(cluster: FaultCluster) -> str:
    """A job that is done, its view's address; a batch and a lexicon to be listed."""
    text = "\n\n".join(f"[chapter:Part {n}]\n\n{cluster.words(1)}" for n in (1, 2))
    job = cluster.submit(
        text,
        response_format="mp3",
        custom_id="a-job-with-a-name",
        split="chapters",
        timestamps=True,
    )
    items = [{"input": cluster.words(1)}]
    assert cluster.client.post("/v1/batches", json={"items": items}).is_success
    entries = [{"word": f"word{n}", "respelling": f"said {n}"} for n in range(9)]
    assert cluster.client.put("/v1/lexicons/many", json={"entries": entries}).is_success
    cluster.wait_for([job])
    return f"#/jobs/{job}"


def test_nothing_is_wider_than_a_small_screen(visitor: Visitor, done: str) -> None:
    visited = visitor(viewport=SMALL)
    for path in (*VIEWS, done):
        page = settled(visited, path)
        assert page.evaluate("scrollY") == 0, path
        for details in page.locator("details:visible").all():
            details.evaluate("one => { one.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        wide = page.evaluate(
            """() => [...document.querySelectorAll("body *")]
            .filter((one) => one.checkVisibility())
            .filter((one) => one.getBoundingClientRect().right > innerWidth)
            .map((one) => one.outerHTML.slice(0, 90))"""
        )
        assert wide == [], path


def test_a_text_is_spoken_and_heard_with_the_keyboard_alone(visited: Visit) -> None:
    page = settled(visited, "#/speak")

    def tab_to(target: str, most: int = 40) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("target => document.activeElement.matches(target)", target):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none"
                return
        raise AssertionError(f"the focus never got to {target}")

    tab_to(".skip")
    page.keyboard.press("Enter")
    tab_to("#input")
    page.keyboard.type("By the keys alone.")
    tab_to("#submit")
    tab_to("#voices input")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Jessica")).to_be_checked()
    tab_to("#format")
    page.keyboard.press("End")
    tab_to("#input")
    page.keyboard.press("Control+Enter")
    expect(visited.status).to_have_text("succeeded")
    tab_to("#play")
    page.keyboard.press("Space")
    page.wait_for_function("() => Number(document.querySelector('#seek').value) > 0.2")
    tab_to("#seek")
    tab_to("#downloads button")
    tab_to("#job-delete")


def test_dark_and_light_follow_the_system_until_one_is_chosen(visitor: Visitor) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = visitor(color_scheme="light").open().evaluate(ground)
    visited = visitor(color_scheme="dark")
    page = visited.open()
    dark = page.evaluate(ground)
    assert light == "rgb(247, 246, 243)"
    assert dark == "rgb(20, 23, 26)"
    page.get_by_role("button", name="Theme: auto").click()
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light
    page.get_by_role("button", name="Theme: light").click()
    page.get_by_role("button", name="Theme: dark").click()
    expect(page.get_by_role("button", name="Theme: auto")).to_be_visible()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(visitor: Visitor, done: str, scheme: str) -> None:
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
    visited = visitor(color_scheme=scheme)
    for path in (*VIEWS, done, f"{done} redo"):
        page = settled(visited, path.removesuffix(" redo"))
        if path.endswith("redo"):
            page.get_by_role("button", name="Say a passage anew").click()
            expect(page.get_by_label("What is said")).to_be_focused()
        for details in page.locator("details:visible").all():
            details.evaluate("one => { one.open = true; }")
        page.evaluate(axe)
        found = page.evaluate("axe.run().then((found) => found.violations)")
        complaints = [(one["id"], [node["html"] for node in one["nodes"]][:5]) for one in found]
        assert complaints == [], f"{path}: {json.dumps(complaints, indent=1)}"


def test_nothing_moves_for_those_who_want_calm(visitor: Visitor) -> None:
    page = settled(visitor(reduced_motion="reduce"), "#/speak")
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((one) =>
        parseFloat(getComputedStyle(one).transitionDuration) > 0).length"""
    )
    assert moving == 0


def test_the_layout_stays_where_it_is_while_the_page_fills(visited: Visit) -> None:
    visited.page.add_init_script(
        """window.shifted = 0;
        new PerformanceObserver((list) => { for (const one of list.getEntries())
          if (!one.hadRecentInput) window.shifted += one.value; })
          .observe({type: "layout-shift", buffered: true});"""
    )
    page = settled(visited, "#/speak")
    page.wait_for_timeout(300)
    assert page.evaluate("window.shifted") < 0.1
