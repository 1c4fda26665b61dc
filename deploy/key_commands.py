"""The commands about API keys: add, list, limit, revoke."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.apikeys import ApiKey


def add_key_commands(commands: Any) -> None:
    """Add them to the command line's parser."""
    keys = commands.add_parser("keys", help="make, list, limit and revoke API keys")
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="make a key and print it, once")
    add.add_argument("name")
    add.add_argument("--rate", type=int, help="jobs a minute")
    add.add_argument("--max-queued-chars", type=int)
    add.add_argument("--share", type=float, default=1.0, help="weight in the fair queue")
    add.set_defaults(run=_keys_add)
    listing = actions.add_parser("list", help="list keys")
    listing.set_defaults(run=_keys_list)
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("id")
    revoke.set_defaults(run=_keys_revoke)
    limit = actions.add_parser("limit", help="change a key's limits; gateways see it in seconds")
    limit.add_argument("id")
    limit.add_argument("--rate", type=int, help="jobs a minute")
    limit.add_argument("--max-queued-chars", type=int)
    limit.add_argument("--share", type=float, help="weight in the fair queue")
    limit.set_defaults(run=_keys_limit)
    for action in (add, listing, revoke, limit):
        action.add_argument("--json", action="store_true", help="write JSON")


def _keys_file() -> Path:
    from shared.settings import load_settings

    path = load_settings().api_keys_file
    return path if path is not None else Path("data") / "keys.json"


def _keys_add(options: argparse.Namespace) -> int:
    from shared.apikeys import add_key

    path = _keys_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    key, token = add_key(
        path,
        options.name,
        rate_per_min=options.rate,
        max_queued_chars=options.max_queued_chars,
        share=options.share,
    )
    if options.json:
        print(json.dumps({**_key_view(key), "key": token}))
    else:
        print(f"Key {key.id} ({key.name}), shown this once:\n{token}")
    print(f"The gateway asks for keys when KC_API_KEYS_FILE={path}", file=sys.stderr)
    return 0


def _keys_list(options: argparse.Namespace) -> int:
    from shared.apikeys import list_keys

    keys = list_keys(_keys_file())
    if options.json:
        print(json.dumps({"object": "list", "data": [_key_view(key) for key in keys]}))
        return 0
    for key in keys:
        state = "revoked" if key.revoked_at else "active"
        print(f"{key.id}  {state:8}  {key.created_at}  {key.name}")
    return 0


def _keys_revoke(options: argparse.Namespace) -> int:
    from shared.apikeys import revoke_key

    key = revoke_key(_keys_file(), options.id)
    if options.json:
        print(json.dumps(_key_view(key)))
    else:
        print(f"Revoked {key.id} ({key.name}).")
    return 0


def _keys_limit(options: argparse.Namespace) -> int:
    from shared.apikeys import limit_key

    key = limit_key(
        _keys_file(),
        options.id,
        rate_per_min=options.rate,
        max_queued_chars=options.max_queued_chars,
        share=options.share,
    )
    if options.json:
        print(json.dumps(_key_view(key)))
        return 0
    rate, most = (limit or "the default" for limit in (key.rate_per_min, key.max_queued_chars))
    print(f"{key.id} ({key.name}): {rate} jobs a minute, {most} queued characters, ", end="")
    print(f"a share of {key.share:g}.")
    return 0


def _key_view(key: "ApiKey") -> dict[str, Any]:
    """Return a key as `--json` shows it, without its secret."""
    return {
        "id": key.id,
        "object": "key",
        "name": key.name,
        "rate_per_min": key.rate_per_min,
        "max_queued_chars": key.max_queued_chars,
        "share": key.share,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
