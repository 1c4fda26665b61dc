"""The ledger's Lua scripts, each with the library and the transition tables in front."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from shared.ledger.states import DELIVERY_MOVES, JOB_MOVES, SEGMENT_MOVES


def text(item: object) -> str:
    """Read a Redis answer as text, whether the client decoded it or not."""
    return item.decode() if isinstance(item, bytes) else str(item)


def _table(name: str, moves: Mapping[Any, frozenset[Any]]) -> str:
    """Write a transition table as Lua, so that the scripts and Python can't disagree."""
    rows = []
    for state, after in moves.items():
        targets = ", ".join(f"['{target}'] = true" for target in sorted(after))
        rows.append(f"['{state}'] = {{ {targets} }}")
    return f"local {name} = {{ {', '.join(rows)} }}"


@cache
def script(name: str) -> str:
    """Return the whole source of the script `lua/<name>.lua`."""
    folder = files("shared.ledger").joinpath("lua")
    tables = (
        _table("JOB_MOVES", JOB_MOVES),
        _table("SEGMENT_MOVES", SEGMENT_MOVES),
        _table("DELIVERY_MOVES", DELIVERY_MOVES),
    )
    library = folder.joinpath("_lib.lua").read_text()
    return "\n".join((*tables, library, folder.joinpath(f"{name}.lua").read_text()))
