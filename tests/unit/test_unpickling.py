"""Nothing in the source can be made to run code by the data it reads."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("gateway", "worker", "shared", "deploy", "benchmarks", "docs")

UNSAFE_MODULES = {
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "jsonpickle",
    "marshal",
    "pickle",
    "ruamel",
    "shelve",
    "yaml",
}
"""What reads data by doing as it says. Only the names of pickle's errors are of any use here."""

UNSAFE_CALLS = {
    "eval",
    "exec",
    "torch.hub.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.serialization.add_safe_globals",
}

PERMITTED = {"pickle.UnpicklingError", "pickle.PickleError"}


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression, and nothing for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def imported(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for: `np` → `numpy`, `load` → `torch.load`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def is_unsafe(name: str) -> bool:
    return name.partition(".")[0] in UNSAFE_MODULES and name not in PERMITTED


def is_unsafe_call(called: str, node: ast.Call) -> bool:
    given = {word.arg: word.value for word in node.keywords}
    if called in {"torch.load", "torch.serialization.load"}:
        only = given.get("weights_only")
        return not (isinstance(only, ast.Constant) and only.value is True)
    if called == "numpy.load":
        return "allow_pickle" in given
    return called in UNSAFE_CALLS


def dangers(source: str) -> Iterator[str]:
    """Yield the line and the name of whatever could run code out of data."""
    tree = ast.parse(source)
    names = imported(tree)
    for node in ast.walk(tree):
        expression = node.func if isinstance(node, ast.Call) else node
        if not isinstance(expression, ast.Attribute | ast.Name):
            continue
        head, dot, tail = dotted(expression).partition(".")
        full = names.get(head, head) + dot + tail
        unsafe_call = isinstance(node, ast.Call) and is_unsafe_call(full, node)
        # A module's bare name is looked at where something of it is used, or imported from it.
        if unsafe_call or ("." in full and head in names and is_unsafe(full)):
            yield f"{expression.lineno}: {full}"


def test_nothing_loads_what_could_run_code() -> None:
    files = sources()
    assert len(files) > 100
    found = [
        f"{path.relative_to(ROOT)}:{danger}"
        for path in files
        for danger in dangers(path.read_text())
    ]
    assert found == []


def test_weights_and_voices_are_what_torch_loads() -> None:
    loading = {
        str(path.relative_to(ROOT))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and dotted(node.func) == "torch.load"
    }
    assert {"worker/engines/kmodel.py", "worker/engines/voicepacks.py"} <= loading


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(p)",
        "import torch\ntorch.load(p, weights_only=False)",
        "import torch\ntorch.load(p, weights_only=flag)",
        "import torch as t\nt.load(p)",
        "from torch import load\nload(p)",
        "from torch import load as read\nread(p)",
        "import pickle\npickle.loads(b)",
        "import pickle as p\np.Unpickler(f)",
        "from pickle import loads\nloads(b)",
        "import marshal\nmarshal.loads(b)",
        "import shelve\nshelve.open(p)",
        "import yaml\nyaml.load(t)",
        "from yaml import load\nload(t)",
        "import torch\ntorch.serialization.add_safe_globals([x])",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_the_search_finds_each_danger(source: str) -> None:
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(p, weights_only=True)",
        "import pickle\ntry: f()\nexcept pickle.UnpicklingError: g()",
        "import json\njson.loads(t)",
        "model.eval()",
    ],
)
def test_the_search_leaves_the_rest_alone(source: str) -> None:
    assert list(dangers(source)) == []
