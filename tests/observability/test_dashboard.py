"""The Grafana dashboard: as its script writes it, of queries Prometheus can answer."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from deploy.dashboard import PRICE, dashboard
from tests.observability.test_alerts import METRIC, documented_metrics
from tests.promtool import promtool

FILE = Path("deploy/observability/dashboard.json")


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(FILE.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_the_file_is_what_its_script_writes() -> None:
    assert json.loads(FILE.read_text()) == dashboard(), "python -m deploy.dashboard > " + str(FILE)


def test_every_query_is_about_metrics_that_there_are() -> None:
    known = documented_metrics()
    for query in queries():
        used = set(METRIC.findall(query))
        assert used and used <= known, query


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    # What Grafana puts in place of its variables.
    plain = [
        query.replace("$__rate_interval", "5m").replace(f"${PRICE}", "2.5") for query in queries()
    ]
    assert not any("$" in query for query in plain)
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(plain)]
    groups = {"groups": [{"name": "dashboard", "rules": rules}]}
    (tmp_path / "queries.yml").write_text(yaml.safe_dump(groups))
    said = promtool("check", "rules", "queries.yml", folder=tmp_path)
    assert f"{len(plain)} rules found" in said


def test_the_cost_of_a_million_characters_is_devices_times_price_over_characters(
    tmp_path: Path,
) -> None:
    (query,) = [query for query in queries() if PRICE in query]
    rule = {"record": "cost", "expr": query.replace(f"${PRICE}", "3.6")}
    test = {
        "interval": "1m",
        "input_series": [
            # Two gateways show the same two workers, which render 100 characters a second.
            {"series": f'{name}{{instance="{gateway}"}}', "values": values}
            for gateway in ("a", "b")
            for name, values in (
                ("kc_synth_workers", "2x120"),
                ("kc_rendered_chars_total", "0+6000x120"),
            )
        ],
        "promql_expr_test": [
            {"expr": "cost", "eval_time": "2h", "exp_samples": [{"labels": "cost", "value": 20}]}
        ],
    }
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "cost", "rules": [rule]}]})
    )
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]})
    )
    promtool("test", "rules", "test.yml", folder=tmp_path)


def test_panels_have_places_and_names_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    drawn = json.loads(FILE.read_text())["panels"]
    assert len({panel["id"] for panel in drawn}) == len(drawn)
    assert len({panel["title"] for panel in drawn}) == len(drawn)
    for panel in drawn:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_it_shows_all_that_was_promised() -> None:
    shown = " ".join(queries())
    for metric in (
        "kc_queue_age_seconds",
        "kc_audio_seconds_total",
        "kc_synth_busy_seconds_total",
        "kc_padded_phonemes_total",
        "kc_recycles_total",
        "kc_worker_resident_bytes",
        "kc_worker_device_bytes",
        "kc_webhook_attempts_total",
        PRICE,
    ):
        assert re.search(rf"\b{metric}\b", shown), metric
