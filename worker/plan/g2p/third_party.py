"""The one door through which misaki, spaCy and the dictionaries come in, without torch."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any


@contextmanager
def torch_kept_out() -> Iterator[None]:
    """Make torch look absent for a while, unless it is loaded already.

    thinc, below spaCy, imports torch wherever it is installed; that costs a plan worker 160 MB and
    a second, for nothing.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # how Python marks an absent module
    try:
        yield
    finally:
        del sys.modules["torch"]


def load(name: str) -> Any:
    """Import a third party's module, torch kept out; it has no types."""
    with torch_kept_out():
        return importlib.import_module(name)


def missing(*names: str) -> list[str]:
    """Return those of the top-level packages that are not installed."""
    return [name for name in names if find_spec(name) is None]
