"""What the README promises a newcomer."""

import io
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.acceptance.conftest import ROOT, Launcher
from tests.conftest import free_port
from worker.note import is_running

BOOK = " ".join(
    f"This is sentence number {n} of a long text that takes its time to be spoken."
    for n in range(280)
)


def assert_speech(wav: bytes, text: str) -> None:
    """Assert that the audio could be the text: its length, its loudness, its spectrum."""
    samples, rate = soundfile.read(io.BytesIO(wav))
    length_s = len(samples) / rate
    assert 0.03 < length_s / len(text) < 0.15, "seconds per character"
    assert np.abs(samples).max() > 0.05
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    assert spectrum[(hz > 80) & (hz < 5000)].sum() > 0.8 * spectrum.sum()
    loud = np.abs(samples[: len(samples) // 480 * 480]).reshape(-1, 480).max(axis=1) > 0.02
    # Speech has syllables and gaps; a tone or noise has none of the one or the other.
    assert 0.3 < loud.mean() < 0.99
    assert np.abs(np.diff(loud.astype(int))).sum() > length_s


@pytest.mark.slow
def test_the_demo_speaks_the_text_asked_for_and_ends_with_nothing_left(launcher: Launcher) -> None:
    text = "The quick brown fox jumps over the lazy dog, and then it rests."
    process = launcher.launch("demo", "--text", text)
    assert process.wait(180) == 0, launcher.output
    (path,) = (launcher.folder / "out").glob("*.wav")
    assert_speech(path.read_bytes(), text)
    assert "stand-in" in launcher.output
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", launcher.port)) != 0


@pytest.mark.slow
def test_up_serves_long_and_short_texts_survives_a_kill_and_remembers(launcher: Launcher) -> None:
    launcher.up()
    with launcher.client() as client:
        long = client.post("/v1/jobs", json={"input": BOOK}).raise_for_status().json()
        shorts = [
            client.post("/v1/jobs", json={"input": f"Short text {n}.", "response_format": "wav"})
            .raise_for_status()
            .json()
            for n in range(50)
        ]
        assert len(BOOK) >= 20_000
        # In the middle of it all, the process that speaks is killed.
        workers = client.get("/v1/workers").json()["data"]
        synth = next(worker for worker in workers if worker["role"] == "synth")
        children = [
            pid for pid in launcher.processes() if _parent(pid) == synth["pid"] and is_running(pid)
        ]
        assert children
        for pid in children:
            subprocess.run(["kill", "-9", str(pid)], check=True)
        ended = [launcher.wait_for(client, job["id"]) for job in shorts]
        assert {job["status"] for job in ended} == {"succeeded"}
        book = launcher.wait_for(client, long["id"], 200)
        assert book["status"] == "succeeded"
        assert max(job["completed_at"] for job in ended) < book["completed_at"]
        assert_speech(client.get(f"/v1/jobs/{shorts[0]['id']}/audio").content, "Short text 0.")

    started = launcher.processes()
    assert launcher.stop() < 10
    assert [pid for pid in started if is_running(pid)] == []

    launcher.up()
    with launcher.client() as client:
        again = client.get(f"/v1/jobs/{long['id']}").raise_for_status().json()
        assert again["status"] == "succeeded"
        audio = client.get(f"/v1/jobs/{long['id']}/audio").raise_for_status().content
        assert len(audio) == again["output"]["bytes"]
    assert launcher.stop(signal.SIGINT) < 10


@pytest.mark.slow
def test_a_probe_finds_every_process_alive_and_loaded_and_none_that_was_stopped(
    launcher: Launcher,
) -> None:
    def ask(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "worker-health", *words],
            cwd=launcher.folder,
            env=launcher.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    launcher.up()
    for stage in ("plan", "synth", "assemble", "deliver"):
        assert ask(stage, "--loaded")[0] == 0, ask(stage, "--loaded")
    assert ask("reconciler")[0] == 0
    launcher.stop()
    for stage in ("plan", "synth", "assemble", "deliver", "reconciler"):
        code, said = ask(stage)
        assert code == 1, said


@pytest.mark.slow
def test_a_webhook_reaches_the_readmes_receiver_and_verifies(launcher: Launcher) -> None:
    port = free_port()
    launcher.settings = {
        "KC_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
        "KC_WEBHOOK_PORTS": str(port),
        "KC_WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    }
    launcher.up()
    receiver = subprocess.Popen(
        [
            sys.executable,
            "-u",
            str(ROOT / "docs/examples/webhook_receiver.py"),
            "--port",
            str(port),
        ],
        env={**launcher.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        with launcher.client() as client:
            hook = {"url": f"http://127.0.0.1:{port}/hook"}
            body = {"input": "Tell me when you are done.", "webhook": hook}
            job = client.post("/v1/jobs", json=body).raise_for_status().json()
            launcher.wait_for(client, job["id"])
            deliveries = []
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                deliveries = client.get(f"/v1/jobs/{job['id']}/deliveries").json()["data"]
                if deliveries and deliveries[0]["status"] == "delivered":
                    break
                time.sleep(0.05)
            assert deliveries[0]["status"] == "delivered", deliveries
        seen = receiver.stdout.readline()
        assert "job.succeeded" in seen
    finally:
        receiver.kill()
        receiver.communicate()


def test_a_taken_port_is_named_with_the_way_to_choose_another(launcher: Launcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", launcher.port))
        taken.listen()
        process = launcher.launch("up")
        assert process.wait(30) == 1
    assert str(launcher.port) in launcher.output
    assert "KC_PORT=" in launcher.output
    assert "Traceback" not in launcher.output


@pytest.mark.parametrize(("name", "value"), [("KC_NO_SUCH_THING", "1"), ("KC_PORT", "many")])
def test_a_bad_setting_stops_the_start_with_one_line(
    launcher: Launcher, name: str, value: str
) -> None:
    launcher.settings = {name: value}
    assert launcher.launch("up").wait(30) == 1
    assert name in launcher.output
    assert len(launcher.output.strip().splitlines()) == 1


def test_weights_that_are_not_there_end_the_start_with_the_remedy(launcher: Launcher) -> None:
    launcher.settings = {"KC_ENGINE": "kokoro", "KC_MODEL": str(launcher.folder / "nothing")}
    assert launcher.launch("up").wait(60) == 1
    last = launcher.output.strip().splitlines()[-1]
    assert "synth.0 can't start" in last
    assert "voices/*.pt" in last


def _parent(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def test_ports_are_loopback_only_without_keys(launcher: Launcher) -> None:
    launcher.settings = {"KC_HOST": "0.0.0.0"}
    process = launcher.launch("gateway")
    assert process.wait(30) == 1
    assert "KC_INSECURE" in launcher.output
    with pytest.raises(httpx.ConnectError):
        httpx.get(launcher.url, trust_env=False)
