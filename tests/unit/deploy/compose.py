"""Reads compose files as Compose does, as far as tests ask: interpolation, overlays, extends."""

import copy
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
FILES = ["compose.yaml", "compose.gpu.yaml", "compose.s3.yaml"]

VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}")


class MissingVariable(Exception):
    """A variable without a default is not set."""


def schema() -> dict[str, Any]:
    """Return compose-spec's schema, as check-jsonschema carries it."""
    path = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Fill in `${NAME:-default}` and `${NAME:?why}` everywhere in a document.

    Raises:
        MissingVariable: one that is needed is empty or not set.
    """
    if isinstance(value, dict):
        return {key: interpolate(part, variables) for key, part in value.items()}
    if isinstance(value, list):
        return [interpolate(part, variables) for part in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, kind, rest = found[1], found[2], found[3] or ""
        if variables.get(name):
            return variables[name]
        if kind == "?":
            raise MissingVariable(f"{name}: {rest}")
        return rest

    return VARIABLE.sub(fill, value)


def merge(below: Any, above: Any) -> Any:
    """Lay one document over another: mappings by key, all else replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        both = {key: merge(below.get(key), part) for key, part in above.items()}
        return {**below, **both}
    return copy.deepcopy(below if above is None else above)


def load(names: list[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the project that these files make up.

    Raises:
        MissingVariable: see `interpolate`.
    """
    project: dict[str, Any] = {}
    for name in names:
        document = interpolate(yaml.safe_load((DOCKER / name).read_text()), variables)
        for service in document["services"].values():
            if "extends" in service:
                link = service.pop("extends")
                base = load([link["file"]], variables)["services"][link["service"]]
                service.update(merge(base, dict(service)))
        project = merge(project, document)
    return project


def example() -> dict[str, str]:
    """Return what `.env.example` sets."""
    lines = (DOCKER / ".env.example").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}
