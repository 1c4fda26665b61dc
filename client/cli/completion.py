"""Completion scripts for shells, written from the parser by shtab."""

import argparse
from collections.abc import Iterator

import shtab

from client.cli.arguments import FILE


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a completion script for bash, zsh or fish."""
    for action in _actions(parser):
        if action.metavar == FILE or (action.type is not None and action.dest == "folder"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _actions(one)
