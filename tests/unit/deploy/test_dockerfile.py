"""What the Dockerfile promises of the images; building steps are replayed in `integration`."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.integration.deploy.dockerfile import Context, exec_form, parse

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
STAGES = parse((DOCKER / "Dockerfile").read_text())
CONTEXT = Context(ROOT, (DOCKER / "Dockerfile.dockerignore").read_text())
IMAGES = ["gateway", "worker", "synth"]


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if "==" in line and line[0] != "#"]
    return dict(line.split("==") for line in lines)


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [program, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_in_particular_and_passes_signals_on(image: str) -> None:
    stage = STAGES[image]
    runtime = STAGES[stage.base]
    users = [*runtime.all_of("USER"), *stage.all_of("USER")]
    assert users[-1] == "10001:10001"
    assert exec_form(runtime.all_of("ENTRYPOINT")[0]) == ["tini", "--", "kokoro-cluster"]
    assert not stage.all_of("ENTRYPOINT")


@pytest.mark.parametrize("image", IMAGES)
def test_a_runtime_stage_installs_no_python_package_and_gets_none_but_its_own(image: str) -> None:
    stage = STAGES[image]
    assert not [step for step in stage.all_of("RUN") if "pip" in step.split()]
    assert f"--from={image}-build /opt/kokoro-cluster /opt/kokoro-cluster" in stage.all_of("COPY")


def test_each_image_installs_the_extra_that_is_made_for_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for image in IMAGES:
        assert image in extras
        installs = " ".join(STAGES[f"{image}-build"].all_of("RUN"))
        given = "EXTRAS" if image == "worker" else image
        assert given in installs
    assert "EXTRAS=worker" in STAGES["worker-build"].all_of("ARG")


def test_the_taggers_wheel_fits_the_spacy_that_is_pinned_and_is_known_by_its_hash() -> None:
    (model,) = [a for a in STAGES["worker-build"].all_of("ARG") if a.startswith("SPACY_MODEL")]
    spacy = pins(ROOT / "constraints.txt")["spacy"]
    assert f"en_core_web_sm-{'.'.join(spacy.split('.')[:2])}." in model
    assert "#sha256=" in model


def test_cudas_pins_are_for_the_torch_and_triton_that_everything_else_is_tested_with() -> None:
    cuda, common = pins(DOCKER / "cuda-constraints.txt"), pins(ROOT / "constraints.txt")
    both = {name: cuda[name] for name in cuda if name in common}
    assert both == {name: common[name] for name in ("torch", "triton")}


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("pyproject.toml", True),
        ("deploy/cli.py", True),
        ("deploy/docker/cuda-constraints.txt", True),
        ("gateway/static/api.js", True),
        ("deploy/docker/.env", False),
        ("data/keys.json", False),
        (".git/config", False),
        (".env", False),
        ("worker/__pycache__/run.cpython-311.pyc", False),
        ("gateway/.env", False),
        ("tests/conftest.py", False),
    ],
)
def test_the_build_sees_what_it_needs_and_no_secret(path: str, seen: bool) -> None:
    assert CONTEXT.has(path) is seen


def test_everything_that_is_copied_is_part_of_the_build_context() -> None:
    wanted = [
        source
        for stage in STAGES.values()
        for rest in stage.all_of("COPY")
        if not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert len(wanted) > 8
    for source in wanted:
        path = ROOT / source
        files = [path] if path.is_file() else list(path.glob("*.py"))
        assert any(CONTEXT.has(f.relative_to(ROOT).as_posix()) for f in files), source
