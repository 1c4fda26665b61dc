"""What a benchmark says of itself."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.report import Report, Table, Target, percentile, show, spread


def test_percentiles_are_those_of_numpy() -> None:
    samples = [0.5, 9.0, 3.0, 7.5, 1.0, 2.0, 8.0]
    for percent in (1, 50, 90, 99):
        assert percentile(samples, percent) == pytest.approx(np.percentile(samples, percent))
    assert percentile([4.0], 99) == 4.0
    assert spread(samples)["n"] == len(samples)


def test_a_target_is_met_missed_or_not_measured() -> None:
    assert Target("x", 0.7, least=0.6).met is True
    assert Target("x", 0.5, least=0.6).met is False
    assert Target("x", 21.0, most=20).met is False
    assert Target("x", None, most=20).met is None


def test_cells_show_the_digits_that_count() -> None:
    assert [show(c) for c in (None, "a", 12345, 0.1234, 1.239, 123.44, 1234.5)] == [
        "–",
        "a",
        "12,345",
        "0.123",
        "1.24",
        "123.4",
        "1,234",
    ]


def test_a_report_says_on_what_it_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("example", "an example", corpus="none", precision="exact")
    report.tables.append(Table("Speeds", ["what", "per s"], [["jobs", 3.5]]))
    report.targets.append(Target("jobs/s", 3.5, least=4))
    path = tmp_path / "deep" / "example.json"
    report.publish(path)
    told = capsys.readouterr().out
    assert "| jobs | 3.50 |" in told
    assert "| jobs/s | 3.50 | ≥ 4 | **no** |" in told
    kept = json.loads(path.read_text())
    assert kept["targets"][0]["met"] is False
    assert kept["machine"]["cores"] >= 1
    assert {"Python", "celery", "redis"} <= kept["versions"].keys()
    assert kept["corpus"] == "none"
