"""The command `kokoro-cluster`: every process of the cluster, and its small tools."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from client.cli.exits import Exit
from client.cli.options import add_commands
from deploy.holding import add_holding_commands
from deploy.key_commands import add_key_commands
from deploy.upkeep import add_upkeep_commands
from shared.errors import ClusterError

if TYPE_CHECKING:
    from shared.settings import Settings

DESCRIPTION = """\
A queue-backed speech synthesis cluster: the programs that make one up, and commands to use one.
The programs' settings come from KC_* variables; the commands read KC_URL and KC_API_KEY."""

EPILOG = """\
exit codes: 0 done; 1 the job failed, or a program could not go on; 2 the command lacks
something; 3 no server that can serve; 4 the server refused; 5 a file, player or download of this
machine; 130 Ctrl-C; 141 nobody reads the output"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; an error of the project's own is one line on stderr and exit code 1."""
    options = make_parser().parse_args(arguments)
    try:
        code = int(options.run(options) or 0)
        sys.stdout.flush()
        return code
    except ClusterError as error:
        print(f"kokoro-cluster: {error.message}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Python flushes stdout once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.CLOSED
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        print(
            f"kokoro-cluster: the package {error.name!r} is missing, which servers need: "
            "pip install 'kokoro-cluster[local]'",
            file=sys.stderr,
        )
        return 1


DOCTORS_AREAS = ("settings", "redis", "storage", "model", "g2p", "gpu", "machine")

OWN_PACKAGES = {"client", "deploy", "gateway", "shared", "worker"}


def _settings() -> "Settings":
    # Here, since who only uses a cluster has none of what reads its settings.
    from shared.settings import load_settings

    return load_settings()


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="kokoro-cluster",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    reconciler = commands.add_parser("reconciler", help="put right what crashes leave half-done")
    stages = ["plan", "synth", "assemble", "deliver"]
    worker.add_argument("stage", choices=stages)
    health.add_argument("stage", choices=[*stages, "reconciler"])
    health.add_argument(
        "--loaded",
        action="store_true",
        help="also ask whether it has ever loaded its model or dictionaries since it was started",
    )
    for one, run in ((worker, _worker), (health, _worker_health), (reconciler, _reconciler)):
        one.add_argument("--name", default="0", help="tells workers of one stage apart")
        one.set_defaults(run=run)

    doctor = commands.add_parser(
        "doctor", help="look at Redis, storage, weights, G2P, GPUs and clocks; say what to do"
    )
    doctor.add_argument(
        "--only", action="append", choices=DOCTORS_AREAS, help="look at this; may be repeated"
    )
    doctor.add_argument("--json", action="store_true", help="write JSON")
    doctor.set_defaults(run=_doctor)

    checkpoint = commands.add_parser(
        "checkpoint", help="write a synthetic checkpoint: Kokoro's shape, random weights"
    )
    checkpoint.add_argument("folder", type=Path)
    checkpoint.add_argument("--size", choices=["tiny", "full"], default="full")
    checkpoint.add_argument("--seed", type=int, default=0)
    checkpoint.set_defaults(run=_checkpoint)

    add_key_commands(commands)
    add_upkeep_commands(commands)
    add_holding_commands(commands)
    add_commands(commands, parser)
    return parser


def _up(options: argparse.Namespace) -> int:
    from deploy.local import up

    return up(_settings())


def _demo(options: argparse.Namespace) -> int:
    from deploy.local import demo

    return demo(_settings(), options.text, options.out)


def _gateway(options: argparse.Namespace) -> int:
    from gateway.serve import serve
    from shared.process import begin_process

    settings = _settings()
    begin_process(settings, "gateway")
    serve(settings)
    return 0


def _worker(options: argparse.Namespace) -> int:
    from shared.bell import Stage
    from shared.process import begin_process
    from worker.run import run_worker

    settings = _settings()
    begin_process(settings, f"{options.stage}.{options.name}")
    return run_worker(Stage(options.stage), settings, options.name)


def _worker_health(options: argparse.Namespace) -> int:
    from worker.liveness import (
        ALIVE_S,
        ROUND_ALIVE_S,
        alive_file,
        loaded_file,
        seconds_since_touch,
    )

    settings = _settings()
    worker = f"{options.stage}.{options.name}"
    path = alive_file(settings, worker)
    age_s = seconds_since_touch(path)
    if age_s is None:
        print(f"{worker} is not alive: there is no {path}")
        return 1
    alive = age_s <= (ROUND_ALIVE_S if options.stage == "reconciler" else ALIVE_S)
    print(f"{worker} {'is' if alive else 'is not'} alive: last seen {age_s:.1f} s ago")
    if alive and options.loaded and not loaded_file(settings, worker).exists():
        print(f"{worker} is still loading")
        return 1
    return 0 if alive else 1


def _reconciler(options: argparse.Namespace) -> int:
    from shared.bell import Bell, make_celery
    from shared.connections import connect
    from shared.ledger.leases import Leases
    from shared.ledger.upkeep import Upkeep
    from shared.process import begin_process
    from shared.storage import open_storage
    from worker.liveness import alive_file
    from worker.reconciler import Reconciler

    settings = _settings()
    begin_process(settings, "reconciler")
    client = connect(settings.redis, retries=0)
    storage = open_storage(settings.storage, endpoint=settings.storage_endpoint)
    bell = Bell(make_celery(settings), client)
    leases = Leases(client, lease_s=settings.lease_s)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    alive = alive_file(settings, f"reconciler.{options.name}")
    Reconciler(settings, leases, Upkeep(client), bell, storage, alive=alive).run(stop)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from deploy.doctor.examination import doctor

    return doctor(options.only or (), as_json=options.json)


def _checkpoint(options: argparse.Namespace) -> int:
    from worker.engines.checkpoint import write_checkpoint

    write_checkpoint(options.folder, size=options.size, seed=options.seed)
    print(f"Wrote a synthetic {options.size} checkpoint. Use it with KC_MODEL={options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
