"""`docs/situations.md` promises no more than its tests do."""

import re
from pathlib import Path

import yaml

from tests.integration.operations.guide import sections


def test_every_situation_is_tried_by_a_test() -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tried = re.findall(r'operator\.situation\("([^"]+)"\)', tests)
    assert sorted(tried) == sorted(sections())


def test_what_was_not_run_says_so_and_only_what_cannot_run_here_is_not() -> None:
    for heading, blocks in sections().items():
        for block in blocks:
            said = "Not run here" in block.before.strip().split("\n\n")[-1]
            assert said == (not block.ran), (heading, block.text)
            assert block.needs_what_is_not_here == (not block.ran), (heading, block.text)


def test_services_units_and_objects_named_in_what_was_not_run_are_those_of_the_repository() -> None:
    text = "\n".join(block.text for blocks in sections().values() for block in blocks)
    deploy = Path("deploy")
    services = set[str]()
    for file in ("compose.yaml", "compose.gpu.yaml"):
        services |= set(yaml.safe_load((deploy / "docker" / file).read_text())["services"])
    named = re.findall(
        r"docker compose .*(?:stop|restart|up -d) ([a-z][\w-]+)$", text, re.MULTILINE
    )
    assert named
    assert set(named) <= services
    units = re.findall(r"systemctl .*?(kokoro-\w+@)\w+$", text, re.MULTILINE)
    assert {(deploy / "systemd" / f"{unit}.service").exists() for unit in units} == {True}
    objects = re.findall(r"kubectl .*?(?:patch scaledobject |deployment/)(\w+)", text)
    there = {
        one["metadata"]["name"]
        for path in (deploy / "kubernetes").rglob("*.yaml")
        for one in yaml.safe_load_all(path.read_text())
        if one and one["kind"] in {"ScaledObject", "Deployment"}
    }
    assert objects
    assert set(objects) <= there
