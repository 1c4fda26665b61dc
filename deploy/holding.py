"""The commands of whoever looks for a job that does harm: held, end."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deploy.upkeep import in_a_line

if TYPE_CHECKING:
    from shared.ledger.holdings import Holding, Holdings

SEGMENTS_SHOWN = 8


def add_holding_commands(commands: Any) -> None:
    """Add them to the command line's parser."""
    held = commands.add_parser(
        "held", help="list what each process works on now, of every key, longest first"
    )
    held.set_defaults(run=in_a_line(_held))
    end = commands.add_parser("end", help="end jobs of any key, as their clients' cancel would")
    end.add_argument("ids", nargs="+", metavar="id")
    end.set_defaults(run=in_a_line(_end))
    for command in (held, end):
        command.add_argument("--json", action="store_true", help="write JSON")


def _holdings() -> "Holdings":
    from shared.connections import connect
    from shared.ledger.holdings import Holdings
    from shared.settings import load_settings

    return Holdings(connect(load_settings().redis))


def _held(options: argparse.Namespace) -> int:
    found = _holdings().now()
    if options.json:
        data = [{**vars(one), "segments": list(one.segments)} for one in found]
        print(json.dumps({"object": "list", "data": data}))
        return 0
    if not found:
        print("No process holds anything.")
        return 0
    _write_rows(found)
    return 0


def _write_rows(found: "Sequence[Holding]") -> None:
    rows = [("WORKER", "STAGE", "ITEM", "KEY", "ATTEMPT", "HELD S", "SEGMENTS")]
    for one in found:
        shown = ",".join(map(str, one.segments[:SEGMENTS_SHOWN]))
        more = "…" if len(one.segments) > SEGMENTS_SHOWN else ""
        held = "?" if one.held_s is None else f"{one.held_s:.1f}"
        rows.append(
            (one.worker, one.stage, one.item, one.owner, str(one.attempt), held, shown + more)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _end(options: argparse.Namespace) -> int:
    from shared.ledger.states import TERMINAL

    holdings = _holdings()
    code = 0
    for uid in options.ids:
        before = holdings.end(uid)
        ended = before is not None and before not in TERMINAL
        if options.json:
            print(json.dumps({"id": uid, "ended": ended, "status_before": before}))
        elif before is None:
            print(f"{uid}: there is no such job.")
        elif ended:
            print(f"{uid}: ended; it was {before}.")
        else:
            print(f"{uid}: it had ended already: {before}.")
        code = code if before is not None else 1
    return code
