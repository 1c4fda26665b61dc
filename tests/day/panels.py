"""Every query of the dashboard and every alert, as Prometheus answers it over a day."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from deploy.dashboard import PRICE
from tests.day.monitor import FOLDER, Monitor, Series

SCRAPES_IN_RATE = 4
"""Grafana's `$__rate_interval` is so many scrapes, at least."""


@dataclass(frozen=True)
class Target:
    """One query of a panel, and what came of it.

    Attributes:
        panel: its title.
        unit: Grafana's name of it.
        legend: of its series.
        query: as Prometheus was asked.
    """

    panel: str
    unit: str
    legend: str
    query: str
    series: list[Series]

    def named(self, one: Series) -> str:
        """Return the legend of one of its series."""
        return re.sub(r"\{\{(\w+)\}\}", lambda m: one.labels.get(m[1], ""), self.legend).strip()

    @property
    def most(self) -> dict[str, float]:
        """The largest value of each series, by its legend."""
        return {self.named(one): max(one.values) for one in self.series}

    @property
    def shows_something(self) -> bool:
        """Whether there is anything to see but a line at zero."""
        return any(value != 0 for value in self.most.values())


@dataclass(frozen=True)
class Alert:
    """An alert rule, and what came of it.

    Attributes:
        series: its expression's; empty: it was never so.
        firing_s: how long it fired, about.
        pending_s: how long it was so without firing yet, about.
    """

    name: str
    severity: str
    series: list[Series]
    firing_s: float
    pending_s: float


@dataclass(frozen=True)
class Watched:
    """What a day looked like to Prometheus."""

    targets: list[Target]
    alerts: list[Alert]

    def most(self, panel: str, legend: str = "") -> float:
        """Return the largest value of a panel's series whose legend begins so; 0 without any."""
        found = [
            value
            for target in self.targets
            if target.panel == panel
            for name, value in target.most.items()
            if name.startswith(legend)
        ]
        return max(found, default=0.0)

    def falls(self, panel: str, legend: str) -> int:
        """Return how often a panel's series of that legend falls."""
        return sum(
            later < earlier
            for target in self.targets
            for one in (target.series if target.panel == panel else ())
            if target.named(one) == legend
            for earlier, later in pairwise(one.values)
        )

    def values(self, panel: str, legend: str, after: float = 0.0) -> list[float]:
        """Return the values of a panel's series of that legend after a time."""
        return [
            value
            for target in self.targets
            for one in (target.series if target.panel == panel else ())
            if target.named(one) == legend
            for at, value in one.points
            if at > after
        ]


def watch(monitor: Monitor, begin: float, end: float, price: str = "1") -> Watched:
    """Ask Prometheus for everything that the dashboard shows and the alerts look at.

    Args:
        monitor: to ask.
        begin, end: seconds since 1970.
        price: what an hour of a device costs.

    Raises:
        QueryFailed: Prometheus refused one.
    """
    step_s = min(monitor.scrape_s, 5)
    filled = filler(monitor.scrape_s, price)

    def ask(query: str) -> list[Series]:
        return monitor.range(query, begin, end, step_s)

    targets = []
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            query = filled(target["expr"])
            unit = panel["fieldConfig"]["defaults"]["unit"]
            told = target["legendFormat"]
            targets.append(Target(panel["title"], unit, told, query, ask(query)))
    states = ask("ALERTS")
    alerts = [
        Alert(
            rule["alert"],
            rule["labels"]["severity"],
            ask(rule["expr"]),
            *(_lasted(states, rule["alert"], state) * step_s for state in ("firing", "pending")),
        )
        for rule in alert_rules()
    ]
    return Watched(targets, alerts)


def filler(scrape_s: int, price: str) -> Callable[[str], str]:
    """Return what puts in place of Grafana's variables what Grafana would."""

    def fill(query: str) -> str:
        interval = f"{SCRAPES_IN_RATE * scrape_s}s"
        return query.replace("$__rate_interval", interval).replace(f"${PRICE}", price)

    return fill


def alert_rules() -> list[dict[str, Any]]:
    """Return the project's alert rules."""
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def _lasted(states: Sequence[Series], name: str, state: str) -> int:
    """Return at how many steps an alert was in a state."""
    times = {
        at
        for one in states
        if (one.labels["alertname"], one.labels["alertstate"]) == (name, state)
        for at, _ in one.points
    }
    return len(times)
