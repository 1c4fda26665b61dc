"""What the units promise; systemd's own checks run where its program is."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.cli import make_parser
from gateway.serve import GRACE_S
from shared.settings import Settings
from worker.context import EXIT_DEVICE, EXIT_FATAL
from worker.keeper import LEAVE_SLACK_S

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
PROGRAM = "/opt/kokoro-cluster/bin/kokoro-cluster"
EXPOSURE_MOST = 25
"""Of systemd-analyze's score, in tenths; it calls 2.5 and less OK."""

analyzer = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def lines(name: str, key: str) -> list[str]:
    text = (FOLDER / name).read_text().splitlines()
    return [line.partition("=")[2] for line in text if line.partition("=")[0] == key]


def settings() -> dict[str, str]:
    text = (FOLDER / "environment.example").read_text().splitlines()
    pairs = [line.lstrip("#").partition("=") for line in text if "=" in line and " " not in line]
    return {name: value for name, _, value in pairs}


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units with a program that is there, and an instance of each template."""
    for path in FOLDER.iterdir():
        text = path.read_text().replace(PROGRAM, "/bin/true")
        instance = {"kokoro-synth@.service": "0", "kokoro-worker@.service": "plan"}.get(path.name)
        names = [path.name, path.name.replace("@", f"@{instance}")] if instance else [path.name]
        for name in names:
            (tmp_path / name).write_text(text)
    return sorted([*tmp_path.glob("*.service"), *tmp_path.glob("*.target")])


@analyzer
def test_systemd_finds_nothing_wrong_with_the_units(installed: list[Path]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *installed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@analyzer
@pytest.mark.parametrize("name", UNITS)
def test_systemd_calls_a_units_exposure_ok(installed: list[Path], name: str) -> None:
    name = name.replace("synth@", "synth@0").replace("worker@", "worker@plan")
    (path,) = [path for path in installed if path.name == name]
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MOST}", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd can't judge a unit that is not loaded")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_a_command_that_there_is_as_nobody_in_particular(name: str) -> None:
    (command,) = lines(name, "ExecStart")
    program, *words = command.split()
    assert program == PROGRAM
    instance = "plan" if name.startswith("kokoro-worker@") else "0"
    make_parser().parse_args([word.replace("%i", instance) for word in words])
    assert lines(name, "User") == ["kokoro"]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_started_again_unless_it_can_never_work(name: str) -> None:
    assert lines(name, "Restart") == ["always"]
    assert lines(name, "RestartPreventExitStatus") == [str(EXIT_FATAL)]
    assert EXIT_DEVICE != EXIT_FATAL, "a sick device is tried again"
    assert int(lines(name, "StartLimitBurst")[0]) > 1, "but not for ever"


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_given_the_time_that_it_takes_to_stop(name: str) -> None:
    soft_s = float(settings()["KC_SOFT_SHUTDOWN_S"]) + LEAVE_SLACK_S
    needed_s = soft_s if "@" in name else GRACE_S
    assert int(lines(name, "TimeoutStopSec")[0]) >= needed_s + 5
    assert lines(name, "KillMode") == ["mixed"], "children are told by their parent"


def test_each_synth_worker_has_one_gpu_and_a_name_of_its_own_in_the_whole_cluster() -> None:
    name = "kokoro-synth@.service"
    (environment,) = lines(name, "Environment")
    assert "CUDA_VISIBLE_DEVICES=%i" in environment.split()
    assert lines(name, "ExecStart")[0].endswith("worker synth --name %l-gpu%i")
    assert "PrivateDevices" not in (FOLDER / name).read_text().replace("no PrivateDevices", "")


def test_the_example_sets_what_there_is_and_no_secret() -> None:
    given = settings()
    for name, value in given.items():
        if name.startswith("KC_"):
            assert name.removeprefix("KC_").lower() in Settings.model_fields, name
        if "SECRET" in name:
            assert value == "whsec_…"


def test_the_target_wants_every_process() -> None:
    wanted = " ".join(lines("kokoro-cluster.target", "Wants")).split()
    expected = {u for u in UNITS if "@" not in u} | {"kokoro-synth@0.service"}
    expected |= {f"kokoro-worker@{stage}.service" for stage in ("plan", "assemble", "deliver")}
    assert set(wanted) == expected
