"""The quick form of the day, whole, and what it is made of."""

import os
from pathlib import Path

import pytest
import yaml

from tests.day.day import QUICK, Day
from tests.day.monitor import FOLDER, configuration
from tests.day.programs import NEEDED, Missing, program
from tests.day.release import Release, previous, this


@pytest.fixture
def programs() -> None:
    """Skip where Prometheus or nginx is missing; with CI set, fail."""
    try:
        for name in NEEDED:
            program(name)
    except Missing as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def test_prometheus_is_given_what_is_deployed_but_for_its_targets() -> None:
    deployed = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    ours = configuration(["127.0.0.1:1", "127.0.0.1:2"])
    (static,) = ours["scrape_configs"][0]["static_configs"]
    assert static["targets"] == ["127.0.0.1:1", "127.0.0.1:2"]
    (theirs,) = deployed["scrape_configs"][0]["static_configs"]
    static["targets"] = theirs["targets"]
    assert [Path(name).name for name in ours["rule_files"]] == deployed["rule_files"]
    assert ours | {"rule_files": []} == deployed | {"rule_files": []}


def test_the_release_before_is_a_tree_of_its_own_or_a_reason(tmp_path: Path) -> None:
    found = previous(tmp_path / "release")
    if isinstance(found, Release):
        assert (found.tree / "gateway" / "serve.py").is_file()
        assert found.tree != this().tree
    else:
        assert "no clone" in found


@pytest.mark.slow
@pytest.mark.timeout(900)  # it may wait for its turn
@pytest.mark.usefixtures("programs", "one_at_a_time")
def test_a_short_day_loses_nothing_and_prometheus_has_seen_it(tmp_path: Path) -> None:
    day = Day(tmp_path / "day", seed=1, plan=QUICK)
    day.run()
    assert day.broken == []
    assert day.verdict is not None
    assert day.verdict.accepted > 100
