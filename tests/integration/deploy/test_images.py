"""The images' build steps, replayed in a folder: what is installed is enough, and no more."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.redis_server import RedisServer
from tests.conftest import free_port
from tests.integration.deploy.dockerfile import Context, Replay, exec_form, parse

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
STAGES = parse((DOCKER / "Dockerfile").read_text())
CONTEXT = Context(ROOT, (DOCKER / "Dockerfile.dockerignore").read_text())
MIB = 1024 * 1024


def build(target: str, root: Path, **arguments: str) -> Path:
    """Replay what an image is copied from; return its environment's folder."""
    # The tagger comes from a place that need not be reachable where tests run.
    replay = Replay(STAGES, CONTEXT, {"SPACY_MODEL": "", **arguments})
    try:
        return replay.build(f"{target}-build", root) / "opt" / "kokoro-cluster"
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}\n{error.stdout[-3000:]}\n{error.stderr[-3000:]}")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of the gateway's image."""
    return build("gateway", tmp_path_factory.mktemp("image") / "gateway")


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what leads back to the checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KC_", "PYTHON"))}
    return {**kept, **more}


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a process and end it."""
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.slow
@pytest.mark.xdist_group("images")
def test_the_gateways_image_serves_without_torch_and_its_health_command_says_so(
    gateway: Path, redis_server: RedisServer, tmp_path: Path
) -> None:
    port = free_port()
    environment = clean_environment(
        KC_REDIS_URL=redis_server.url,
        KC_DATA_DIR=str(tmp_path / "data"),
        KC_PORT=str(port),
        KC_HOST="127.0.0.1",
    )
    health = exec_form(STAGES["gateway"].all_of("HEALTHCHECK")[0])
    health = [word.replace(":8880", f":{port}") for word in health]
    health[0] = str(gateway / "bin" / health[0])
    entry = exec_form(STAGES["runtime"].all_of("ENTRYPOINT")[0])
    command = [*entry[2:], *exec_form(STAGES["gateway"].all_of("CMD")[0])]
    command[0] = str(gateway / "bin" / command[0])
    unwell = subprocess.run(health, env=environment, capture_output=True, check=False)
    assert unwell.returncode != 0, "nothing is there yet"
    with running(command, environment, tmp_path):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            done = subprocess.run(health, env=environment, capture_output=True, check=False)
            if done.returncode == 0:
                break
        answer = httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False)
        assert answer.json() == {"status": "live"}, (tmp_path / "output.txt").read_text()
        page = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
        assert "<html" in page.text, "the page is in the wheel"


@pytest.mark.slow
@pytest.mark.xdist_group("images")
def test_the_gateways_image_is_small_and_whole(gateway: Path) -> None:
    (packages,) = gateway.glob("lib/python3*/site-packages")
    there = {path.name for path in packages.iterdir()}
    assert not there & {"torch", "kokoro", "misaki", "spacy", "transformers", "pip"}
    code = """
import json, sys
import gateway.serve, gateway.encoder_child, deploy.cli
from worker.live_encoding import *
from importlib.metadata import version
print(json.dumps([gateway.serve.__file__, 'torch' in sys.modules, version('kokoro-cluster')]))
"""
    done = subprocess.run(
        [gateway / "bin" / "python", "-c", code],
        env=clean_environment(),
        cwd=gateway,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, has_torch, _ = json.loads(done.stdout)
    assert str(packages) in file, "of the image, not of the checkout"
    assert not has_torch
    size = sum(f.stat().st_size for f in packages.rglob("*") if f.is_file())
    assert size < 300 * MIB, f"{size / MIB:.0f} MiB"
    assert not [f for f in packages.glob("deploy/*") if f.suffix in {".yaml", ".service"}]


@pytest.mark.slow
@pytest.mark.xdist_group("images")
def test_the_workers_image_has_what_its_stages_need_and_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is compiled, which takes a minute: pip wants this one the other way round.
    monkeypatch.setenv("PIP_NO_COMPILE", "false")
    worker = build("worker", tmp_path / "worker")
    (packages,) = worker.glob("lib/python3*/site-packages")
    assert not {path.name for path in packages.iterdir()} & {"torch", "transformers", "fastapi"}
    code = """
import worker.planning, worker.assembling, worker.delivering, worker.reconciler, worker.run
from shared.languages import Language
from worker.plan.planner import Planner
print(Planner().g2p(Language.AMERICAN_ENGLISH).pronounce('Hello there.').phonemes)
"""
    done = subprocess.run(
        [worker / "bin" / "python", "-W", "ignore", "-c", code],
        env=clean_environment(HOME=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "həlˈO" in done.stdout
