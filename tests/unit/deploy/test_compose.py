"""What the compose files promise; no engine runs them here, their schema and Redis itself do."""

import json
import re
from itertools import combinations
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.cli import make_parser
from gateway.serve import GRACE_S
from shared.settings import OF_THE_CLIENT, Settings
from tests.unit.deploy.compose import (
    DOCKER,
    FILES,
    MissingVariable,
    example,
    interpolate,
    load,
    schema,
)

NEEDED = {"REDIS_PASSWORD": "a" * 64, "S3_ACCESS_KEY": "me", "S3_SECRET_KEY": "b" * 64}
SETS = [FILES[:1], FILES[:2], [FILES[0], FILES[2]], FILES]
OURS = {"gateway", "plan", "assemble", "deliver", "reconciler", "synth"}
PROCESSES = sorted(OURS | {f"synth-gpu{n}" for n in range(4)})

PROJECT = load(FILES, NEEDED)
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]


@pytest.mark.parametrize("name", FILES)
def test_a_compose_file_follows_the_published_schema(name: str) -> None:
    document = yaml.safe_load((DOCKER / name).read_text())
    jsonschema.validate(document, schema())
    broken = document | {"services": {"gateway": {"no_such_thing": 1}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema())


@pytest.mark.parametrize("names", SETS, ids=" ".join)
def test_what_the_files_make_up_together_follows_it_too(names: list[str]) -> None:
    whole = load(names, NEEDED)
    jsonschema.validate(whole, schema())
    for name, service in whole["services"].items():
        assert service.get("image"), name
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        assert set(service.get("networks", [])) <= set(whole["networks"])


def test_nothing_starts_with_a_secret_that_somebody_else_knows() -> None:
    settings = example()
    for secret in NEEDED:
        assert settings[secret] == ""
        with pytest.raises(MissingVariable, match=secret):
            load(FILES, {**NEEDED, secret: ""})
    text = json.dumps(load(FILES, NEEDED))
    assert "KC_INSECURE" not in text
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("SECRET|PASSWORD", name):
                assert value in {"", *NEEDED.values()}


def test_the_example_names_each_variable_and_has_the_default_of_each() -> None:
    asked: dict[str, str] = {}
    for name in FILES:
        for found in re.finditer(r"\$\{(\w+):([-?])([^}]*)\}", (DOCKER / name).read_text()):
            default = found[3] if found[2] == "-" else ""
            assert asked.setdefault(found[1], default) == default, found[1]
    settings = example()
    assert settings.pop("COMPOSE_PROFILES") == ""  # Compose's own
    assert settings == asked


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_gets_only_settings_that_there_are(name: str) -> None:
    given = {n for n in SERVICES[name]["environment"] if n.startswith("KC_")} - OF_THE_CLIENT
    assert {n.removeprefix("KC_").lower() for n in given} <= set(Settings.model_fields)
    values = {n.removeprefix("KC_").lower(): SERVICES[name]["environment"][n] for n in given}
    Settings(_env_file=None, **values)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_given_a_command_that_there_is(name: str) -> None:
    make_parser().parse_args(SERVICES[name].get("command", ["gateway"]))


@pytest.mark.parametrize("name", [*PROCESSES, "keys", "redis"])
def test_a_container_can_write_only_where_it_must_and_gains_no_right(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    mounted = [m.split(":")[0] for m in service.get("tmpfs", [])]
    mounted += [m.split(":")[1] for m in service["volumes"] if isinstance(m, str)]
    wanted = {"/data"} if name == "redis" else {"/tmp", "/data"}
    assert wanted <= set(mounted)


@pytest.mark.parametrize("name", [*sorted(OURS - {"gateway"})])
def test_libraries_may_be_loaded_from_a_workers_tmp(name: str) -> None:
    (tmp,) = [m for m in SERVICES[name]["tmpfs"] if m.startswith("/tmp")]
    assert "exec" in tmp.split(":")[1].split(",")


@pytest.mark.parametrize("name", sorted(set(PROCESSES) - {"gateway"}))
def test_a_probe_asks_for_the_very_worker_that_runs_and_leaves_it_time(name: str) -> None:
    service = SERVICES[name]
    command = make_parser().parse_args(service["command"])
    test = service["healthcheck"]["test"]
    probe = make_parser().parse_args(test[2:])
    assert test[:3] == ["CMD", "kokoro-cluster", "worker-health"]
    assert probe.stage == getattr(command, "stage", "reconciler")
    assert probe.name == command.name
    check = service["healthcheck"]
    assert int(check["interval"][:-1]) * check["retries"] >= 60


@pytest.mark.parametrize("name", PROCESSES)
def test_a_container_is_given_the_time_that_a_soft_shutdown_takes(name: str) -> None:
    service = SERVICES[name]
    soft_s = float(service["environment"]["KC_SOFT_SHUTDOWN_S"])
    needed_s = GRACE_S if name == "gateway" else soft_s + 5
    assert int(service["stop_grace_period"].removesuffix("s")) >= needed_s + 5


def test_only_the_gateway_and_the_deliverer_are_on_a_network_that_leads_outside() -> None:
    project = load(FILES[:1], NEEDED)
    assert project["networks"]["inside"]["internal"] is True
    outside = {n for n, s in project["services"].items() if "outside" in s.get("networks", [])}
    assert outside == {"gateway", "deliver"}
    published = {n: s["ports"] for n, s in project["services"].items() if "ports" in s}
    assert published == {"gateway": ["127.0.0.1:8880:8880"]}


def test_the_gateway_asks_for_keys_that_one_command_makes() -> None:
    gateway, keys = SERVICES["gateway"], SERVICES["keys"]
    assert gateway["environment"]["KC_API_KEYS_FILE"] == keys["environment"]["KC_API_KEYS_FILE"]
    assert "keys:/keys:ro" in gateway["volumes"]
    assert keys["volumes"] == ["keys:/keys"]
    assert keys["network_mode"] == "none"
    assert keys["profiles"], "not started with the rest"


def test_each_gpu_has_one_worker_with_a_name_of_its_own_and_the_cpu_has_none() -> None:
    gpus = [SERVICES[f"synth-gpu{n}"] for n in range(4)]
    for one, other in combinations(gpus, 2):
        assert one["command"] != other["command"]
    for number, service in enumerate(gpus):
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["device_ids"] == [str(number)]
        assert device["capabilities"] == ["gpu"]
        assert service["environment"]["KC_DEVICE"] == "cuda"
        assert service["command"] == ["worker", "synth", "--name", f"gpu{number}"]
    assert SERVICES["synth"]["profiles"] == ["cpu"]
    assert "profiles" not in gpus[0]
    assert "profiles" not in load(FILES[:1], NEEDED)["services"]["synth"]


def test_every_process_is_told_of_the_bucket() -> None:
    project = load([FILES[0], FILES[2]], NEEDED)
    for name in OURS:
        environment = project["services"][name]["environment"]
        assert environment["KC_STORAGE_URL"] == "s3://speech"
        assert environment["AWS_SECRET_ACCESS_KEY"] == NEEDED["S3_SECRET_KEY"]
        assert environment["KC_REDIS_URL"].endswith("@redis:6379/0"), "what was there stays"


def test_a_variable_that_is_needed_says_what_to_do() -> None:
    with pytest.raises(MissingVariable, match="openssl"):
        interpolate("${REDIS_PASSWORD:?make one: openssl rand -hex 32}", {})
    assert interpolate("$$HOME", {}) == "$HOME"
