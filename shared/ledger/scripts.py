"""The ledger's Lua scripts, each with the library, the transition tables and a wake-up in front."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from shared.bell import MOST_WAITING, wakeup_template
from shared.ledger.meters import DURATION_BOUNDS_S
from shared.ledger.states import BATCH_MOVES, DELIVERY_MOVES, JOB_MOVES, SEGMENT_MOVES


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


_ACCEPTING = {"create", "create_batch", "stage_jobs"}
"""Scripts that accept jobs, and have a library of their own."""
_AS_THEY_ARE = {*_ACCEPTING, "claimable", "put_ask", "put_lexicon", "outlook"}
"""What a full Redis refuses, and what only reads. All others lead to less in it: never refused."""
_LET_IN = "redis.call('DEL', 'kc:none')"
"""Redis looks for room only until a script's first write, and one that frees is always let in."""


@cache
def script(name: str) -> str:
    """Return the whole source of the script `lua/<name>.lua`."""
    folder = files("shared.ledger").joinpath("lua")
    constants = (
        _table("JOB_MOVES", JOB_MOVES),
        _table("SEGMENT_MOVES", SEGMENT_MOVES),
        _table("DELIVERY_MOVES", DELIVERY_MOVES),
        _table("BATCH_MOVES", BATCH_MOVES),
        f"local MOST_WAITING = {MOST_WAITING}",
        f"local DURATION_BOUNDS = {{ {', '.join(repr(bound) for bound in DURATION_BOUNDS_S)} }}",
        f"local WAKEUP = [==[{wakeup_template()}]==]",
    )
    libraries = ("_lib", "_create") if name in _ACCEPTING else ("_lib",)
    first = () if name in _AS_THEY_ARE else (_LET_IN,)
    parts = (folder.joinpath(f"{part}.lua").read_text() for part in (*libraries, name))
    return "\n".join((*first, *constants, *parts))
