"""`docs/client.md`: every example is run, in order, as a reader would."""

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from client.cli.exits import Exit
from client.cli.options import add_commands
from tests.integration.client.conftest import Shell

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text()
DEFAULT_URL = "http://127.0.0.1:8880"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_python_examples_run_as_one_program(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks("python")
    assert len(found) >= 9
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for number, block in enumerate(found):
            code = compile(block.replace(DEFAULT_URL, url), f"example {number}", "exec")
            exec(code, names)
    names["cluster"].close()  # type: ignore[attr-defined]
    for name in ("morning.mp3", "chapter-1.wav", "names.mp3", "1 One.wav"):
        assert (tmp_path / name).stat().st_size > 1000
    assert "unknown_voice voice" in said.getvalue()
    assert "en-gb" in said.getvalue()


def test_the_shell_examples_run_as_one_session(shell: Shell) -> None:
    found = [block for block in blocks("sh") if "pip install" not in block]
    assert len(found) >= 3
    programs = shell.folder / "bin"
    programs.mkdir()
    command = programs / "kokoro-cluster"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deploy.cli "$@"\n')
    command.chmod(0o755)
    shell.settings["PATH"] = f"{programs}:{os.environ['PATH']}"
    script = "set -euo pipefail\n" + "\n".join(found).replace(DEFAULT_URL, shell.url)
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=shell.folder,
        env=shell.environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for name in (
        *("morning.mp3", "pipe.wav", "book.wav", "book.mp3"),
        *("chapters/01 One.mp3", "phrases/2.mp3", "words.mp3"),
    ):
        assert (shell.folder / name).stat().st_size > 1000
    assert "bf_emma" in ended.stdout


def test_every_exit_code_is_on_the_page() -> None:
    documented = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert [int(code) for code in documented] == sorted(int(code) for code in Exit)


def test_every_command_of_users_is_on_the_page() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    add_commands(commands, argparse.ArgumentParser())
    listed = set(re.findall(r"`([a-z]+)", PAGE[PAGE.index("| command |") :]))
    assert set(commands.choices) <= listed
