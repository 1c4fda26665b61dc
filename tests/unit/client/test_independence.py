"""Who only uses a cluster has httpx, rich and shtab, and nothing of the server's packages."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kokoro_cluster
from tests.conftest import free_port

ROOT = Path(__file__).parents[3]

WITHOUT = ["fastapi", "starlette", "redis", "celery", "torch", "numpy", "pydantic", "structlog"]
WITHOUT += ["obstore", "dotenv", "pydantic_settings", "hiredis", "uvicorn"]

BLOCKED = f"import sys\nfor name in {WITHOUT}: sys.modules[name] = None\n"


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KC_")}
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + program, *arguments],
        env={**clean, "PYTHONPATH": str(ROOT), "KC_URL": f"http://127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


CLI = "from deploy.cli import main; sys.exit(main())"


def test_the_package_imports_without_the_servers() -> None:
    program = (
        "import kokoro_cluster; "
        "print({name.partition('.')[0] for name in sys.modules} & "
        "{'gateway', 'worker', 'shared', 'deploy'})"
    )
    assert run(program).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("say", "--help"), 0),
        (("completion", "bash"), 0),
        (("say", "Hello.", "-o", "a.mp3"), 3),
        (("jobs",), 3),
        (("voices",), 3),
    ],
)
def test_the_commands_of_users_run_without_the_servers(
    arguments: tuple[str, ...], code: int
) -> None:
    ended = run(CLI, *arguments)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["gateway", "reconciler", "up"])
def test_the_servers_programs_name_what_they_lack(name: str) -> None:
    ended = run(CLI, name)
    assert ended.returncode == 1
    assert "kokoro-cluster[local]" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_workers_command_line_loads_nothing_of_the_users() -> None:
    program = "import deploy.cli; deploy.cli.make_parser(); print('httpx' in sys.modules)"
    assert run(program + "; print('rich' in sys.modules)").stdout.split() == ["False", "False"]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(kokoro_cluster, name) for name in kokoro_cluster.__all__)


def test_both_clients_have_the_same_calls_with_the_same_arguments() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(kokoro_cluster.KokoroCluster) == calls(kokoro_cluster.AsyncKokoroCluster)
