"""The alert rules: right by Prometheus' own checker, tried, explained, and about real metrics."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.cli import make_parser
from tests.promtool import promtool

FOLDER = Path("deploy/observability")
RUNBOOKS = Path("docs/runbooks.md")
METRIC = re.compile(r"\bkc_\w+")


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def documented_metrics() -> set[str]:
    """Return every series that the page of metrics promises."""
    page = Path("docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(kc_\w+)` \| (\w+) ", page, re.MULTILINE)
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + part for name, kind in rows for part in parts.get(kind, ("",))}


def test_prometheus_accepts_the_configuration_and_the_rules() -> None:
    promtool("check", "config", "prometheus.yml", folder=FOLDER.resolve())


def test_each_alert_fires_when_it_should_and_not_for_a_healthy_cluster() -> None:
    promtool("test", "rules", "alerts_test.yml", folder=FOLDER.resolve())


def test_no_alert_is_left_untried() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    tried = [one for test in tests for one in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {one["alertname"] for one in tried if one["exp_alerts"]} == names
    assert {one["alertname"] for one in tried if not one["exp_alerts"]} == names


def test_a_threshold_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    text = (FOLDER / "alerts.yml").read_text()
    wrong = text.replace('stage!="deliver"}) > 900', 'stage!="deliver"}) > 9')
    assert wrong != text
    (tmp_path / "alerts.yml").write_text(wrong)
    (tmp_path / "alerts_test.yml").write_text((FOLDER / "alerts_test.yml").read_text())
    promtool("check", "rules", "alerts.yml", folder=tmp_path)
    with pytest.raises(AssertionError, match="KokoroQueueOld"):
        promtool("test", "rules", "alerts_test.yml", folder=tmp_path)


def test_each_alert_is_about_metrics_that_there_are() -> None:
    known = documented_metrics()
    for rule in rules():
        used = set(METRIC.findall(rule["expr"]))
        assert used, rule["alert"]
        assert used <= known, rule["alert"]


def test_each_alert_links_to_a_section_that_says_what_to_do() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.M | re.S))
    assert list(sections) == [rule["alert"] for rule in rules()]
    for rule in rules():
        link = rule["annotations"]["runbook_url"]
        assert link.endswith(f"/runbooks.md#{rule['alert'].lower()}")
        assert "**Do**" in sections[rule["alert"]], rule["alert"]


def test_runbooks_name_commands_settings_and_metrics_that_there_are() -> None:
    text = RUNBOOKS.read_text()
    known = documented_metrics() | {name.removesuffix("_bucket") for name in documented_metrics()}
    assert set(METRIC.findall(text)) <= known
    readme = Path("README.md").read_text()
    ours = set(re.findall(r"\bKC_[A-Z_]+\b", text)) - {"KC_URL", "KC_API_KEY"}
    assert {name for name in ours if f"| `{name}` |" not in readme} == set()
    usage = make_parser().format_help()
    for command in set(re.findall(r"kokoro-cluster ([a-z-]+)", text)):
        assert re.search(rf"^ +{command}\b", usage, re.MULTILINE), command
