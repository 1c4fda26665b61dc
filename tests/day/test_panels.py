"""What a day judges Prometheus' answers by: a dashboard that shows nothing is noticed."""

from pathlib import Path

import pytest

from tests.day import release
from tests.day.day import Day, timetable
from tests.day.monitor import Series
from tests.day.panels import Alert, Target, Watched, filler

LEGENDS = {"Age of the queue": "{{stage}}", "Workers": "{{role}}", "Age of processes": "Redis"}


def target(panel: str, *series: Series, legend: str | None = None) -> Target:
    return Target(panel, "s", legend or LEGENDS.get(panel, "all"), "up", list(series))


def line(*values: float, **labels: str) -> Series:
    return Series(labels, [(float(at), value) for at, value in enumerate(values)])


def a_good_day() -> list[Target]:
    return [
        target("Audio that waits", line(0, 100, 0)),
        target("Age of the queue", line(0, 9, 0, stage="synth")),
        target("Workers", line(2, 1, 2, role="synth")),
        target("Age of processes", line(100, 0, 1)),
    ]


def judged(targets: list[Target], *alerts: Alert) -> list[str]:
    """Return which of a day's promises about Prometheus did not hold."""
    day = Day(Path(), 1, timetable(5))
    day.plan = type(day.plan)(**{**vars(day.plan), "replaced": (("plan.0",),)})
    day.see(Watched(targets, list(alerts)))
    return [what for what, held, _ in day.promises if not held]


def test_a_day_that_is_to_be_seen_breaks_no_promise() -> None:
    assert judged(a_good_day()) == []


@pytest.mark.parametrize(
    ("blank", "broken"),
    [
        (0, "the burst is seen in the backlog"),
        (1, "the burst is seen in the queue's age"),
        (2, "the worker's death is seen, and none counted twice"),
        (3, "the Redis restart is seen"),
    ],
)
def test_what_a_panel_does_not_show_is_missed(blank: int, broken: str) -> None:
    targets = a_good_day()
    shown = targets[blank]
    targets[blank] = Target(shown.panel, shown.unit, shown.legend, shown.query, [])
    assert judged(targets) == ["every query of the dashboard shows something", broken]


def test_a_query_that_shows_a_line_at_zero_shows_nothing() -> None:
    targets = [*a_good_day(), target("Failures by code", line(0, 0, 0, code="poison"))]
    assert judged(targets) == ["every query of the dashboard shows something"]


def test_a_worker_that_is_counted_twice_is_noticed() -> None:
    targets = a_good_day()
    targets[2] = target("Workers", line(2, 1, 3, role="synth"))
    assert judged(targets) == ["the worker's death is seen, and none counted twice"]


def test_a_critical_alert_that_fires_breaks_a_promise_and_a_warning_does_not() -> None:
    assert judged(a_good_day(), Alert("A", "warning", [], 30, 0)) == []
    assert judged(a_good_day(), Alert("A", "critical", [], 0, 30)) == []
    assert judged(a_good_day(), Alert("A", "critical", [], 30, 0)) == ["no critical alert fires"]


def test_queries_are_asked_as_grafana_asks_them() -> None:
    fill = filler(15, "2.5")
    assert fill("rate(x[$__rate_interval]) * $price_per_device_hour") == "rate(x[60s]) * 2.5"


def test_where_the_history_lacks_the_release_before_a_day_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "LAST_RELEASE", "0" * 40)
    monkeypatch.setattr(release, "_newest_tag", lambda: None)
    found = release.previous(tmp_path / "release")
    assert found == "the git history has no 0000000 (a shallow clone, or no clone at all)"
    assert list(tmp_path.iterdir()) == []
