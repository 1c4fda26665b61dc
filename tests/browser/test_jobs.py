"""Jobs in a list, and what can be done with one."""

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Visit, Visitor
from tests.faults.cluster import FaultCluster


def test_jobs_are_listed_by_their_text_and_filtered_by_status(
    visited: Visit, cluster: FaultCluster
) -> None:
    job = visited.speak("Lanterns over the quay.")
    expect(visited.status).to_have_text("succeeded")
    other = cluster.submit(cluster.words(1))
    cluster.wait_for([other])
    page = visited.open("#/jobs")
    mine = page.locator(f"a[href='#/jobs/{job}']")
    expect(mine).to_contain_text("Lanterns over the quay.")
    expect(mine).to_contain_text("succeeded")
    # Of another's text nothing is known here but the id.
    expect(page.locator(f"a[href='#/jobs/{other}']")).to_contain_text(other)
    page.get_by_label("Show", exact=True).select_option("failed")
    expect(mine).to_have_count(0)
    page.get_by_label("Show", exact=True).select_option("succeeded")
    mine.click()
    expect(page.get_by_role("heading", name="Lanterns over the quay.")).to_be_visible()


def test_a_running_job_is_canceled_spoken_again_and_deleted(
    visited: Visit, cluster: FaultCluster
) -> None:
    page = visited.page
    first = visited.speak(cluster.words(40))
    expect(page.locator("#way [aria-current=step]")).to_have_text("Render")
    page.get_by_role("button", name="Cancel").click()
    expect(visited.status).to_have_text("canceled")
    assert cluster.look(first)["status"] == "canceled"
    page.get_by_role("button", name="Speak again").click()
    page.wait_for_url(lambda url: first not in url)
    second = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Cancel").click()
    expect(visited.status).to_have_text("canceled")
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url("**/#/jobs")
    expect(page.locator(f"a[href='#/jobs/{first}']")).to_be_visible()
    expect(page.locator(f"a[href='#/jobs/{second}']")).to_have_count(0)
    assert cluster.look(second)["status"] == "missing"


def test_the_text_is_only_in_the_browser_that_made_the_job(
    visited: Visit, visitor: Visitor
) -> None:
    job = visited.speak("Only here.")
    expect(visited.status).to_have_text("succeeded")
    visited.page.get_by_role("button", name="Edit the text").click()
    expect(visited.page.get_by_label("Text", exact=True)).to_have_value("Only here.")
    elsewhere = visitor()
    page = elsewhere.open(f"#/jobs/{job}")
    expect(page.get_by_role("button", name="Speak again")).to_be_disabled()
    expect(page.locator("#job-forgotten")).to_be_visible()
    visited.open("#/jobs")
    visited.page.get_by_role("button", name="Forget them").click()
    expect(visited.page.locator("#kept-note")).to_be_hidden()
    visited.open(f"#/jobs/{job}")
    visited.page.reload()
    expect(visited.page.get_by_role("button", name="Speak again")).to_be_disabled()


def test_why_a_job_failed_is_told(visited: Visit, cluster: FaultCluster) -> None:
    visited.speak("This one asks for KC-FAULT-NAN.")
    expect(visited.status).to_have_text("failed", timeout=30_000)
    expect(visited.page.locator("#job-error")).not_to_be_empty()


def test_a_job_that_is_not_there_is_told_of_in_words(visited: Visit) -> None:
    visited.allowed.append("status of 404")
    page = visited.open("#/jobs/job_00000000000000000000000000")
    expect(page.get_by_role("alert")).to_contain_text("no job of that id")


def test_the_cluster_view_tells_of_workers_and_of_what_waits(
    visited: Visit, cluster: FaultCluster
) -> None:
    job = cluster.submit(cluster.words(30))
    page = visited.open("#/cluster")
    synth = page.locator(".worker", has_text="synth.0")
    expect(synth).to_contain_text("rendering")
    expect(synth).to_contain_text("scripted")
    for stage in ("plan.0", "assemble.0"):
        expect(page.locator(".worker", has_text=stage)).to_contain_text("Recycled")
    expect(page.locator("#tile-queued")).to_have_text("1")
    expect(page.locator("#tile-workers")).to_have_text("3")
    expect(page.locator("#by-status")).to_contain_text("processing1")
    cluster.client.post(f"/v1/jobs/{job}/cancel")
    expect(page.locator("#tile-queued")).to_have_text("0")


def test_a_server_that_goes_away_and_returns_is_told_of_and_waited_for(
    visited: Visit, cluster: FaultCluster
) -> None:
    visited.allowed += ["ERR_CONNECTION", "ERR_EMPTY", "ERR_INCOMPLETE", "ERR_NETWORK"]
    page = visited.page
    visited.speak(cluster.words(12))
    expect(page.locator("#way [aria-current=step]")).to_have_text("Render")
    page.context.set_offline(True)
    visited.allowed.append("ERR_INTERNET_DISCONNECTED")
    pid = cluster.pid("gateway")
    with cluster.supervisor.lying("gateway"):
        cluster.kill(pid)
        expect(page.locator("#offline")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden(timeout=30_000)
    expect(visited.status).to_have_text("succeeded", timeout=30_000)
    assert httpx.get(f"{visited.origin}/health/live", trust_env=False).is_success
