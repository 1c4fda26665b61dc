"""Writes the Grafana dashboard, so that its JSON is never written by hand.

`python -m deploy.dashboard > deploy/observability/dashboard.json`; a test compares the two.
"""

import json
from dataclasses import dataclass
from typing import Any

PRICE = "price_per_device_hour"
"""The dashboard's variable: what an hour of one device costs, in any currency."""

WIDTH, COLUMNS, HEIGHT = 24, 3, 8
"""Grafana's grid: units of a row, panels in one, and units a panel is high."""


@dataclass(frozen=True)
class Panel:
    """One graph.

    Attributes:
        title: what it shows.
        unit: Grafana's name of the unit: `s`, `bytes`, `percentunit`, `short` …
        queries: PromQL with the legend of its series.
        about: what a reader should make of it.
        stacked: whether the series are parts of a whole.
    """

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    about: str = ""
    stacked: bool = False


# Every gateway shows the cluster's numbers, so their maximum is taken, not their sum.
RATE = "[$__rate_interval]"


def _quantiles(name: str, by: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (
            f"histogram_quantile({part}, max by (le, {by}) (rate({name}_bucket{RATE})))",
            f"p{part * 100:g} {{{{{by}}}}}",
        )
        for part in (0.5, 0.99)
    )


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Jobs",
        (
            Panel(
                "Age of the queue",
                "s",
                (("max by (stage) (kc_queue_age_seconds)", "{{stage}}"),),
                "How long the first at each stage waits.",
            ),
            Panel(
                "Audio that waits",
                "s",
                (
                    ("max(kc_waiting_audio_seconds)", "all"),
                    ("max(kc_waiting_audio_seconds_per_worker)", "per synth worker"),
                ),
                "Seconds of audio still to be rendered, about.",
            ),
            Panel(
                "Jobs ended",
                "ops",
                ((f"max by (status) (rate(kc_ended_jobs_total{RATE}))", "{{status}}"),),
                stacked=True,
            ),
            Panel(
                "Accepted to begun", "s", _quantiles("kc_job_start_seconds", "lane"), "Both lanes."
            ),
            Panel("Accepted to succeeded", "s", _quantiles("kc_job_seconds", "lane")),
            Panel(
                "Failures by code",
                "short",
                (("max by (code) (increase(kc_failed_jobs_total[1h]))", "{{code}}"),),
                "In an hour.",
            ),
        ),
    ),
    (
        "Devices",
        (
            Panel(
                "Throughput",
                "short",
                ((f"max(rate(kc_audio_seconds_total{RATE}))", "audio seconds per second"),),
                "Seconds of audio that the whole cluster renders in a second.",
            ),
            Panel(
                "Devices' busy share",
                "percentunit",
                (
                    (
                        f"max by (worker) (rate(kc_synth_busy_seconds_total{RATE})"
                        f" / rate(kc_synth_shift_seconds_total{RATE}))",
                        "{{worker}}",
                    ),
                ),
                "Of the time in which there was work. Well below 95 %: something else is slow.",
            ),
            Panel(
                "How full batches are",
                "percentunit",
                (
                    (
                        f"max(rate(kc_rendered_phonemes_total{RATE})"
                        f" / rate(kc_padded_phonemes_total{RATE}))",
                        "without padding",
                    ),
                ),
                "Phonemes over phonemes with padding.",
            ),
            Panel(
                "Segments in a batch",
                "short",
                (
                    (
                        f"max(rate(kc_batch_size_sum{RATE}) / rate(kc_batch_size_count{RATE}))",
                        "mean",
                    ),
                ),
            ),
            Panel(
                "Steps of work", "s", _quantiles("kc_stage_seconds", "stage")[1::2], "99th centile."
            ),
            Panel(
                "Cost of a million characters",
                "short",
                (
                    (
                        f"1e6 * ${PRICE} / 3600 * avg_over_time(max(kc_synth_workers)[1h:1m])"
                        " / max(rate(kc_rendered_chars_total[1h]))",
                        "in your currency",
                    ),
                ),
                "Of all devices, idle ones too, over an hour; by the price set above.",
            ),
        ),
    ),
    (
        "Processes",
        (
            Panel(
                "Recycles by reason",
                "short",
                (("max by (reason) (increase(kc_recycles_total[1h]))", "{{reason}}"),),
                "In an hour. `planned` is healthy.",
                stacked=True,
            ),
            Panel(
                "Workers",
                "short",
                (
                    ("max by (role) (sum by (instance, role) (kc_workers))", "{{role}}"),
                    ('max by (role) (kc_workers{state="loading"})', "{{role}}, loading"),
                ),
                "Heard of in the last seconds.",
            ),
            Panel(
                "Workers' memory",
                "bytes",
                (("max by (worker) (kc_worker_resident_bytes)", "{{worker}}"),),
            ),
            Panel(
                "Devices' memory",
                "percentunit",
                (
                    (
                        "max by (worker) (kc_worker_device_bytes"
                        " / kc_worker_device_capacity_bytes)",
                        "{{worker}}",
                    ),
                ),
            ),
            Panel(
                "Redis' memory",
                "bytes",
                (
                    ("max(kc_redis_used_bytes)", "used"),
                    ("max(kc_redis_limit_bytes) > 0", "maxmemory"),
                ),
            ),
            Panel(
                "Age of processes",
                "s",
                (
                    ("min by (worker) (time() - kc_worker_start_time_seconds)", "{{worker}}"),
                    (
                        "min by (instance) (time() - process_start_time_seconds"
                        " and on (instance) kc_ledger_up)",
                        "gateway {{instance}}",
                    ),
                    ("min(time() - kc_redis_start_time_seconds)", "Redis"),
                ),
                "Falls to zero where one was started anew.",
            ),
            Panel("Redis' answer", "s", (("max(kc_redis_answer_seconds)", "slowest gateway's"),)),
        ),
    ),
    (
        "Outside",
        (
            Panel(
                "Webhooks",
                "ops",
                ((f"max by (outcome) (rate(kc_webhook_attempts_total{RATE}))", "{{outcome}}"),),
                stacked=True,
            ),
            Panel(
                "What gateways find",
                "short",
                (
                    ("min by (check) (kc_ready)", "{{check}}"),
                    ("min(kc_ledger_up)", "ledger at each scrape"),
                ),
                "1 where all gateways find it well, 0 where one does not.",
            ),
            Panel(
                "Answers of the gateways",
                "reqps",
                ((f"sum by (status) (rate(kc_http_requests_total{RATE}))", "{{status}}"),),
                stacked=True,
            ),
            Panel(
                "Time to a stream's first byte",
                "s",
                (
                    (
                        "histogram_quantile(0.99, sum by (le, route)"
                        f" (rate(kc_live_first_byte_seconds_bucket{RATE})))",
                        "p99 {{route}}",
                    ),
                ),
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        panels.append({"type": "row", "title": title, "gridPos": place, "panels": []})
        for at, panel in enumerate(row):
            column, line = at % COLUMNS, at // COLUMNS
            width = WIDTH // COLUMNS
            place = {"h": HEIGHT, "w": width, "x": column * width, "y": y + 1 + line * HEIGHT}
            panels.append(_graph(panel, place))
        y += 1 + -(-len(row) // COLUMNS) * HEIGHT
    for number, drawn in enumerate(panels, 1):
        drawn["id"] = number
    return {
        "title": "Kokoro Cluster",
        "uid": "kokoro-cluster",
        "tags": ["kokoro-cluster"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), _price()]},
        "annotations": {"list": []},
        "panels": panels,
    }


def _graph(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    stacking = "normal" if panel.stacked else "none"
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": {
                    "fillOpacity": 20 if panel.stacked else 5,
                    "showPoints": "never",
                    "stacking": {"mode": stacking, "group": "A"},
                },
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "expr": query,
                "legendFormat": legend,
                "datasource": source,
            }
            for at, (query, legend) in enumerate(panel.queries)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }


def _price() -> dict[str, Any]:
    one = {"text": "1", "value": "1"}
    return {
        "name": PRICE,
        "label": "Price of a device's hour",
        "type": "textbox",
        "query": "1",
        "current": one,
        "options": [{**one, "selected": True}],
        "hide": 0,
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=2))
