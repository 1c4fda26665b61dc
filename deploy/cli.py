"""The command `kokoro-cluster`: every process of the cluster, and its small tools."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from shared.errors import ClusterError
from shared.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; an error of the project's own is one line on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except ClusterError as error:
        print(f"kokoro-cluster: {error.message}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kokoro-cluster",
        description="A queue-backed speech synthesis cluster. Settings come from KC_* variables.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="run everything on this machine until Ctrl-C")
    up.set_defaults(run=_up)
    demo = commands.add_parser("demo", help="run everything, speak one text, and end")
    demo.add_argument("--text", help="what to say")
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder for the audio")
    demo.set_defaults(run=_demo)

    gateway = commands.add_parser("gateway", help="serve HTTP")
    gateway.set_defaults(run=_gateway)
    worker = commands.add_parser("worker", help="run one worker")
    health = commands.add_parser(
        "worker-health", help="exit with 0 if a worker of this machine is alive, else with 1"
    )
    for one, run in ((worker, _worker), (health, _worker_health)):
        one.add_argument("stage", choices=["plan", "synth", "assemble", "deliver"])
        one.add_argument("--name", default="0", help="tells workers of one stage apart")
        one.set_defaults(run=run)
    reconciler = commands.add_parser("reconciler", help="put right what crashes leave half-done")
    reconciler.set_defaults(run=_reconciler)

    checkpoint = commands.add_parser(
        "checkpoint", help="write a synthetic checkpoint: Kokoro's shape, random weights"
    )
    checkpoint.add_argument("folder", type=Path)
    checkpoint.add_argument("--size", choices=["tiny", "full"], default="full")
    checkpoint.add_argument("--seed", type=int, default=0)
    checkpoint.set_defaults(run=_checkpoint)

    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="make a key and print it, once")
    add.add_argument("name")
    add.add_argument("--rate", type=int, help="jobs a minute")
    add.add_argument("--max-queued-chars", type=int)
    add.add_argument("--share", type=float, default=1.0, help="weight in the fair queue")
    add.set_defaults(run=_keys_add)
    actions.add_parser("list", help="list keys").set_defaults(run=_keys_list)
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("id")
    revoke.set_defaults(run=_keys_revoke)
    return parser


def _up(options: argparse.Namespace) -> int:
    from deploy.local import up

    return up(load_settings())


def _demo(options: argparse.Namespace) -> int:
    from deploy.local import demo

    return demo(load_settings(), options.text, options.out)


def _gateway(options: argparse.Namespace) -> int:
    from gateway.serve import serve
    from shared.process import begin_process

    settings = load_settings()
    begin_process(settings, "gateway")
    serve(settings)
    return 0


def _worker(options: argparse.Namespace) -> int:
    from shared.bell import Stage
    from shared.process import begin_process
    from worker.run import run_worker

    settings = load_settings()
    begin_process(settings, f"{options.stage}.{options.name}")
    return run_worker(Stage(options.stage), settings, options.name)


def _worker_health(options: argparse.Namespace) -> int:
    from worker.liveness import ALIVE_S, alive_file, seconds_since_touch

    worker = f"{options.stage}.{options.name}"
    path = alive_file(load_settings(), worker)
    age_s = seconds_since_touch(path)
    if age_s is None:
        print(f"{worker} is not alive: there is no {path}")
        return 1
    alive = age_s <= ALIVE_S
    print(f"{worker} {'is' if alive else 'is not'} alive: last seen {age_s:.1f} s ago")
    return 0 if alive else 1


def _reconciler(options: argparse.Namespace) -> int:
    from shared.bell import Bell, make_celery
    from shared.connections import connect
    from shared.ledger.leases import Leases
    from shared.ledger.upkeep import Upkeep
    from shared.process import begin_process
    from shared.storage import open_storage
    from worker.reconciler import Reconciler

    settings = load_settings()
    begin_process(settings, "reconciler")
    client = connect(settings.redis_url, retries=0)
    storage = open_storage(settings.storage, endpoint=settings.storage_endpoint)
    bell = Bell(make_celery(settings), client)
    leases = Leases(client, lease_s=settings.lease_s)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    Reconciler(settings, leases, Upkeep(client), bell, storage).run(stop)
    return 0


def _checkpoint(options: argparse.Namespace) -> int:
    from worker.engines.checkpoint import write_checkpoint

    write_checkpoint(options.folder, size=options.size, seed=options.seed)
    print(f"Wrote a synthetic {options.size} checkpoint. Use it with KC_MODEL={options.folder}")
    return 0


def _keys_file() -> Path:
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
    print(f"Key {key.id} ({key.name}), shown this once:\n{token}")
    print(f"The gateway asks for keys when KC_API_KEYS_FILE={path}", file=sys.stderr)
    return 0


def _keys_list(options: argparse.Namespace) -> int:
    from shared.apikeys import list_keys

    for key in list_keys(_keys_file()):
        state = "revoked" if key.revoked_at else "active"
        print(f"{key.id}  {state:8}  {key.created_at}  {key.name}")
    return 0


def _keys_revoke(options: argparse.Namespace) -> int:
    from shared.apikeys import revoke_key

    key = revoke_key(_keys_file(), options.id)
    print(f"Revoked {key.id} ({key.name}).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
