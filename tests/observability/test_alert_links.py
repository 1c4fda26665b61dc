"""An operator says once where the runbooks are, and every alert links there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alert_links import FILES, PAGE, check_address, with_links, write
from tests.observability.test_alerts import FOLDER, rules
from tests.promtool import promtool

WIKI = "https://wiki.example.com/ops/kokoro%20runbooks"


def links(folder: Path) -> dict[str, str]:
    """Return each alert's link."""
    (group,) = yaml.safe_load((folder / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return {rule["alert"]: rule["annotations"]["runbook_url"] for rule in found}


def test_each_alert_links_to_its_section_of_the_page_that_was_named(tmp_path: Path) -> None:
    write(WIKI, tmp_path)
    names = [rule["alert"] for rule in rules()]
    assert links(tmp_path) == {name: f"{WIKI}#{name.lower()}" for name in names}
    for name in FILES:
        assert "runbooks.example" not in (tmp_path / name).read_text(), name
    promtool("check", "config", "prometheus.yml", folder=tmp_path)
    promtool("test", "rules", "alerts_test.yml", folder=tmp_path)


def test_a_page_of_its_own_for_each_alert_can_be_named(tmp_path: Path) -> None:
    write("https://wiki.example.com/{alert}?view=1", tmp_path)
    for name, link in links(tmp_path).items():
        assert link == f"https://wiki.example.com/{name}?view=1"
    promtool("test", "rules", "alerts_test.yml", folder=tmp_path)


def test_nothing_but_links_differs_from_the_files_in_the_repository() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text()
        assert with_links(text, PAGE) == text
        changed = with_links(text, WIKI)
        assert re.sub(re.escape(WIKI), PAGE, changed) == text


@pytest.mark.parametrize(
    "page",
    [
        *("wiki", "ftp://wiki.example.com/", "https://", "https://wiki.example.com/a b"),
        *("https://w.example/'x", "https://w.example/{{ $labels.x }}", "https://w.example/#x"),
    ],
)
def test_an_address_that_rules_cannot_hold_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"https://|%XX"):
        check_address(page)


def test_make_writes_them_where_it_says_or_says_what_it_lacks(tmp_path: Path) -> None:
    done = make("observability", f"RUNBOOKS={WIKI}", f"OBSERVABILITY={tmp_path}")
    assert done.returncode == 0, done.stdout
    assert "NOT content" not in done.stdout
    assert set(links(tmp_path).values()) == {f"{WIKI}#{rule['alert'].lower()}" for rule in rules()}
    lacking = make("observability", f"OBSERVABILITY={tmp_path / 'none'}")
    assert lacking.returncode != 0
    assert "RUNBOOKS=https://" in lacking.stdout
    assert not (tmp_path / "none").exists()


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with this Python."""
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
