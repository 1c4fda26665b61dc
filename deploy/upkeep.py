"""The commands of whoever keeps a cluster: sweep, backup, restore."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.ledger.backup import Copy
    from worker.sweeping import Swept


def add_upkeep_commands(commands: Any) -> None:
    """Add them to the command line's parser."""
    sweep = commands.add_parser("sweep", help="delete what has had its time, now")
    sweep.add_argument("--dry-run", action="store_true", help="only list what would be deleted")
    sweep.add_argument(
        "--unknown",
        action="store_true",
        help="also objects that the ledger knows nothing of, older than KC_SEGMENT_TTL_S",
    )
    sweep.set_defaults(run=in_a_line(_sweep))
    backup = commands.add_parser("backup", help="copy the ledger into a file")
    backup.add_argument("file", type=Path)
    backup.add_argument(
        "--pause-s",
        type=float,
        default=4.0,
        help="seconds that writers may be kept waiting; 0 when nothing of the cluster runs",
    )
    backup.set_defaults(run=in_a_line(_backup))
    restore = commands.add_parser("restore", help="write a copied ledger into an empty Redis")
    restore.add_argument("file", type=Path)
    restore.add_argument("--check", action="store_true", help="only read the file to its end")
    restore.set_defaults(run=in_a_line(_restore))
    for command in (sweep, backup, restore):
        command.add_argument("--json", action="store_true", help="write JSON")


def in_a_line(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Have a command say in one line that Redis or a file fails it, and answer 1."""

    def say(options: argparse.Namespace) -> int:
        from redis.exceptions import RedisError

        try:
            return run(options)
        except RedisError as error:
            print(f"kokoro-cluster: Redis does not do this: {error}", file=sys.stderr)
        except OSError as error:
            print(f"kokoro-cluster: {error}", file=sys.stderr)
        return 1

    return say


def _sweep(options: argparse.Namespace) -> int:
    from shared.connections import connect
    from shared.ledger.upkeep import Upkeep
    from shared.settings import load_settings
    from shared.storage import open_storage
    from worker.sweeping import Sweep

    settings = load_settings()
    storage = open_storage(settings.storage, endpoint=settings.storage_endpoint)
    sweep = Sweep(settings, Upkeep(connect(settings.redis)), storage)
    act = sweep.preview if options.dry_run else sweep.run
    _tell_swept(act(unknown=options.unknown), dry_run=options.dry_run, as_json=options.json)
    return 0


def _tell_swept(found: "Iterator[Swept]", *, dry_run: bool, as_json: bool) -> None:
    things: Counter[str] = Counter()
    objects = size = 0
    items = []
    for item in found:
        things[item.kind] += 1
        objects += item.objects
        size += item.bytes
        row = {"kind": item.kind.value, "name": item.name}
        if as_json:
            items.append({**row, "objects": item.objects, "bytes": item.bytes})
        elif dry_run:
            print(f"{item.kind:10}  {item.objects:6}  {item.bytes:14,}  {item.name}")
    if as_json:
        total = {"things": dict(things), "objects": objects, "bytes": size}
        print(json.dumps({"object": "sweep", "dry_run": dry_run, "total": total, "items": items}))
        return
    counted = ", ".join(f"{number} {kind}" for kind, number in sorted(things.items()))
    verb = "Would delete" if dry_run else "Deleted"
    print(f"{verb} {counted or 'nothing'}: {objects} objects, {size:,} bytes.")


def _backup(options: argparse.Namespace) -> int:
    from shared.connections import connect
    from shared.ledger.backup import back_up
    from shared.settings import load_settings

    copy = back_up(connect(load_settings().redis), options.file, pause_s=options.pause_s)
    _tell_copy(copy, options, "Copied")
    return 0


def _restore(options: argparse.Namespace) -> int:
    from shared.connections import connect
    from shared.ledger.backup import look_at, restore
    from shared.settings import load_settings

    if options.check:
        _tell_copy(look_at(options.file), options, "Whole:")
        return 0
    copy = restore(connect(load_settings().redis), options.file)
    _tell_copy(copy, options, "Restored")
    return 0


def _tell_copy(copy: "Copy", options: argparse.Namespace, verb: str) -> None:
    from shared.job_view import timestamp

    created_at = timestamp(copy.created_ms / 1000)
    if options.json:
        facts = {"keys": copy.keys, "jobs": copy.jobs, "paused_s": round(copy.paused_s, 3)}
        row = {"object": "backup", "file": str(options.file), "created_at": created_at}
        print(json.dumps({**row, **facts}))
        return
    waited = f"; writers waited {copy.paused_s:.2f} s" if copy.paused_s else ""
    print(f"{verb} {copy.keys} keys, {copy.jobs} jobs among them, of {created_at}{waited}.")
