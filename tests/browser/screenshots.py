"""Takes screenshots: python -m tests.browser.screenshots [FOLDER].

Without a folder those that the README shows go to `docs/screenshots/`, the others to
`out/screenshots/`.

The cluster is a real one with the stand-in engine, the browser the one of the tests.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import FLAGS, Visit, chromium, visit
from tests.faults.cluster import ROOT, FaultCluster

SHOWN = {name: ROOT / "docs" / "screenshots" for name in ("job-running", "speak-light", "cluster")}
"""Those that the README shows."""

OTHERS = ROOT / "out" / "screenshots"
COLOURS = 128
"""Of a palette: a picture of text needs no more, and takes a third of the room."""

TEXT = """
The harbour wakes slowly. Before the first light the fishermen come down the hill, one by one, \
each with a lantern and a thermos of coffee, and the gulls begin to quarrel over nothing at all.

Out beyond the breakwater the sea is the colour of slate. A small boat is already there, her \
engine ticking over, her nets folded in the stern like a sail that has given up.

By eight o'clock the market is loud. There is ice on the stones, and somebody is singing, and an \
old man at the corner sells lemons out of a pram.

"You should have seen it forty years ago," he says to everyone who buys one. "You could walk \
across the harbour on the decks, and never wet your feet."
""".lstrip()


def long_text(days: int) -> str:
    """Return a text of which no paragraph was spoken before."""
    paragraphs = TEXT.rstrip().split("\n\n")
    return "\n\n".join(
        f"Day {day}. {paragraph}" for day in range(1, days + 1) for paragraph in paragraphs
    )


def save(page: Page, name: str, folder: Path | None) -> None:
    """Write what the page shows as a small PNG."""
    folder = folder or SHOWN.get(name, OTHERS)
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = folder / f"{name}.png"
    picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


def take(browser: Browser, cluster: FaultCluster, folder: Path | None) -> None:
    """Go through the page and take every picture."""

    def new(**options: object) -> Visit:
        options.setdefault("viewport", {"width": 1200, "height": 820})
        context = browser.new_context(**options)  # type: ignore[arg-type]
        return visit(context, f"http://127.0.0.1:{cluster.port}")

    for scheme in ("light", "dark"):
        visited = new(color_scheme=scheme)
        page = visited.open("#/speak")
        page.get_by_label("Text", exact=True).fill(TEXT)
        expect(page.locator(".voice").first).to_be_visible()
        expect(page.locator("#estimate")).to_contain_text("of audio")
        save(page, f"speak-{scheme}", folder)
    visited.speak(long_text(16))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => Number(document.querySelector('#seek').value) > 9")
    save(page, "job-running-dark", folder)
    light = new()
    light.speak(long_text(16).replace("Day", "Morning"))
    light.page.get_by_role("button", name="Play").click()
    watched = new()
    watched.open("#/cluster")
    expect(watched.page.locator(".worker", has_text="rendering")).to_be_visible()
    light.page.wait_for_function("() => Number(document.querySelector('#seek').value) > 6")
    save(light.page, "job-running", folder)
    watched.page.wait_for_timeout(2500)
    save(watched.page, "cluster", folder)
    visited.open("#/jobs")
    expect(page.locator("#jobs-list li").first).to_be_visible()
    save(page, "jobs-dark", folder)
    take_words_and_books(light, cluster, folder)
    small = new(viewport={"width": 360, "height": 740})
    small.open("#/speak")
    expect(small.page.locator(".voice").first).to_be_visible()
    save(small.page, "speak-360", folder)
    small.speak(TEXT)
    expect(small.status).to_have_text("succeeded", timeout=60_000)
    small.page.get_by_role("button", name="Play").click()
    small.page.wait_for_function("() => Number(document.querySelector('#seek').value) > 3")
    save(small.page, "job-360", folder)


def take_words_and_books(visited: Visit, cluster: FaultCluster, folder: Path | None) -> None:
    """Take pictures of a lexicon, of a batch, and of a book whose passage is said anew."""
    entries = [
        {"word": "Nguyen", "phonemes": "wˈɪn"},
        {"word": "SQL", "respelling": "sequel", "case_sensitive": True},
    ]
    cluster.client.put("/v1/lexicons/names", json={"language": "en-us", "entries": entries})
    page = visited.open("#/lexicons/names")
    expect(page.locator(".entry").first).to_be_visible()
    save(page, "lexicon", folder)
    items = [{"input": paragraph} for paragraph in TEXT.rstrip().split("\n\n")]
    cluster.client.post("/v1/batches", json={"items": items})
    visited.open("#/batches")
    expect(page.locator(".batch").first).to_be_visible()
    save(page, "batches", folder)
    book = "\n\n".join(f"[chapter:Day {n}]\n\n{TEXT}" for n in range(1, 4))
    job = cluster.submit(book, title="The harbour", split="chapters", timestamps=True)
    cluster.wait_for([job])
    visited.open(f"#/jobs/{job}")
    expect(page.locator("#reader p").first).to_be_visible()
    page.locator(".chapter .go").nth(1).click()
    page.wait_for_timeout(1500)
    save(page, "book", folder)
    page.get_by_role("button", name="Say a passage anew").click()
    expect(page.get_by_label("What is said")).to_be_focused()
    save(page, "redo", folder)


def main() -> None:
    """Start a cluster and a browser, take the pictures, and end both."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        cluster = FaultCluster(Path(scratch), engine="espeak", model="", batch_max=1)
        try:
            cluster.start_all(synth=1, deliver=False)
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            take(browser, cluster, folder)
            browser.close()
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
