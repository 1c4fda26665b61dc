"""Runs one command: its client, its output, and the end it comes to."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from client.cli.exits import Exit, exit_code
from client.cli.output import note, write_json
from client.connection import DEFAULT_URL
from client.errors import ApiError, KokoroClusterError
from client.retrying import Again
from client.sync.cluster import KokoroCluster

Command = Callable[[KokoroCluster, argparse.Namespace], int]


def run(options: argparse.Namespace, module: str, name: str) -> int:
    """Run a command of a module of this package, and return its exit code."""
    command: Command = getattr(import_module(module), name)
    try:
        with connect(options) as cluster:
            code = command(cluster, options)
        sys.stdout.flush()
        return code
    except KokoroClusterError as error:
        _complain(error, options)
        return exit_code(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        raise  # whoever reads the output has gone: the same for every command
    except OSError as error:
        note(f"kokoro-cluster: {error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return Exit.LOCAL


def connect(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> KokoroCluster:
    """Return a client for the cluster that options and environment name."""
    url = options.url or environ.get("KC_URL") or DEFAULT_URL
    return KokoroCluster(url, environ.get("KC_API_KEY") or None, on_retry=_tell_of_retry)


def _tell_of_retry(again: Again) -> None:
    if again.wait_s >= 1:
        note(f"{again.error.message.rstrip('.')}; trying again in {again.wait_s:.0f} s …")


def _complain(error: KokoroClusterError, options: argparse.Namespace) -> None:
    if getattr(options, "json", False):
        write_json(_as_json(error), sys.stderr)
        return
    hint = ""
    if isinstance(error, ApiError) and error.status == 401:
        hint = " Put it into KC_API_KEY."
    note(f"kokoro-cluster: {error.message}{hint}")


def _as_json(error: KokoroClusterError) -> dict[str, Any]:
    if isinstance(error, ApiError) and isinstance(error.body, dict) and "error" in error.body:
        return error.body
    detail = {"message": error.message, "type": "client_error", "code": error.code, "param": None}
    return {"error": detail}
