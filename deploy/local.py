"""Everything on one machine with one command: Redis, workers, gateway, and a first sentence.

In: settings. Out: a running cluster until a signal, or one spoken text for the demo. Finished jobs
and audio stay in the data folder, and the next start finds them.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

import httpx

from deploy.processes import Managed, ProcessGroup
from deploy.redis_server import RedisServer
from deploy.weights import choose_engine
from shared import tracing
from shared.bell import Stage
from shared.errors import InvalidSettings, TransientError
from shared.manifest import EngineName
from shared.settings import PREFIX, Settings

READY_TIMEOUT_S = 180.0
FIRST_TEXT = (
    "Hello! This is your own speech cluster. Every word you hear was queued, planned, "
    "spoken, and put together by separate workers."
)


class NotReady(TransientError):
    """The cluster did not become ready."""

    code = "not_ready"


class Stopped(BaseException):
    """A signal asked the launcher to end."""


def up(settings: Settings) -> int:
    """Run everything until Ctrl-C or SIGTERM; leaves no process behind."""
    with _cluster(settings) as cluster:
        if cluster is None:
            return 0
        cluster.say_hello()
        print(
            f"\nReady: {cluster.url}   API: {cluster.url}/docs   logs: {cluster.logs}\n"
            "Ctrl-C stops everything; jobs and audio stay.",
            flush=True,
        )
        while True:
            time.sleep(0.5)
            for name in cluster.group.keep_up():
                print(f"{name} had ended and was started again", flush=True)


def demo(settings: Settings, text: str | None, out: Path) -> int:
    """Run everything, speak one text into `out`, and end."""
    with _cluster(settings) as cluster:
        if cluster is None:
            return 1
        path = cluster.speak(text or FIRST_TEXT, out)
        print(f"\nThe audio is in {path}", flush=True)
    return 0


class LocalCluster:
    """The running processes and their address."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.group = ProcessGroup()
        self.url = f"http://{settings.host}:{settings.port}"
        self.logs = settings.data_dir / "logs"
        self.redis: RedisServer | None = None
        self.started = time.monotonic()
        token = os.environ.get("KOKORO_CLUSTER_API_KEY")
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=75,
            follow_redirects=True,
            trust_env=False,
        )

    def start(self) -> None:
        """Start every process and return when a job can be accepted."""
        settings = self.settings
        tracing.check()
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if "redis_url" not in settings.model_fields_set:
            self.redis = RedisServer(settings.data_dir / "redis", settings.redis_port)
            self.redis.start()
            self._step("redis")
        choice = choose_engine(settings)
        print(choice.note, flush=True)
        environment = self._environment(choice.engine, choice.model)
        python = [sys.executable, "-m", "deploy.cli"]
        self._start("gateway", [*python, "gateway"], environment)
        self._start("reconciler", [*python, "reconciler"], environment)
        for stage in (Stage.PLAN, Stage.ASSEMBLE, Stage.DELIVER):
            self._start(stage.value, [*python, "worker", stage.value], environment)
        for name, device in self._devices():
            command = [*python, "worker", "synth", "--name", name]
            self._start(f"synth.{name}", command, environment | device)
        self._wait_until_ready()
        self._step("workers and gateway ready")

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.group.start(Managed(name, command, environment, self.logs / f"{name}.log"))

    def _step(self, what: str) -> None:
        print(f"  {time.monotonic() - self.started:6.2f} s  {what}", flush=True)

    def _environment(self, engine: EngineName, model: str) -> dict[str, str]:
        found = dict(os.environ) | self.settings.as_environment()
        # The launcher runs from anywhere; its children must find the same packages.
        root = str(Path(__file__).resolve().parent.parent)
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [root, found.get("PYTHONPATH")]))
        found["KC_ENGINE"], found["KC_MODEL"] = engine.value, model
        found["KC_DATA_DIR"] = str(self.settings.data_dir.resolve())
        if self.redis is not None:
            found["KC_REDIS_URL"] = self.redis.url
        if not self.settings.webhook_secret:
            found["KC_WEBHOOK_SECRET"] = self._webhook_secret()
        return found

    def _webhook_secret(self) -> str:
        """Return the data folder's webhook secret, made at the first start."""
        from worker.deliver.signing import generate_secret  # noqa: PLC0415

        path = self.settings.data_dir / "webhook_secret"
        if not path.is_file():
            path.touch(mode=0o600)
            path.write_text(generate_secret() + "\n")
        return path.read_text().strip()

    def _devices(self) -> list[tuple[str, dict[str, str]]]:
        """Return a name and an environment for each synth worker; never asks CUDA."""
        count = self.settings.synth_workers
        gpus = 0 if self.settings.device == "cpu" else count_gpus()
        if gpus == 0:
            return [(str(index), {}) for index in range(max(1, count))]
        if self.settings.device.startswith("cuda:"):
            return [("0", {})]
        return [
            (str(index), {"CUDA_VISIBLE_DEVICES": str(index % gpus)})
            for index in range(count or gpus)
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        last = "no answer"
        while time.monotonic() < deadline:
            self.group.keep_up()
            try:
                answer = self.client.get("/health/ready", timeout=2)
            except httpx.TransportError as error:
                last = str(error) or type(error).__name__
            else:
                last = answer.text[:300]
                if answer.is_success and self._all_loaded():
                    return
            time.sleep(0.1)
        raise NotReady(f"The cluster was not ready after {READY_TIMEOUT_S:.0f} s: {last}")

    def _all_loaded(self) -> bool:
        """Return whether every stage has a worker that is past loading; yes if a key hides it."""
        answer = self.client.get("/v1/workers")
        if answer.is_error:
            return True
        loaded = {row["role"] for row in answer.json()["data"] if row["state"] != "loading"}
        return loaded >= {stage.value for stage in Stage}

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the gateway as any client would.

        Raises:
            NotReady: it refused; the message has its answer.
        """
        answer = self.client.request(method, path, **options)
        if answer.is_error:
            raise NotReady(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer

    def say_hello(self) -> None:
        """Speak one sentence through the API, unless it asks for a key that isn't known here."""
        if self.settings.api_keys_file and "KOKORO_CLUSTER_API_KEY" not in os.environ:
            print("  (keys are on: set KOKORO_CLUSTER_API_KEY to have a sentence spoken)")
            return
        self.speak(FIRST_TEXT, None)

    def speak(self, text: str, out: Path | None) -> Path | None:
        """Speak a text through the API, print how long each step took, and keep the audio."""
        started = time.monotonic()
        wanted = {"input": text, "response_format": "wav"}
        answer = self.request("POST", "/v1/jobs", json=wanted, headers={"Prefer": "wait=60"})
        job = answer.json()
        while job["status"] in {"queued", "processing"}:
            if time.monotonic() - started > READY_TIMEOUT_S:
                raise NotReady(f"The first job, {job['id']}, has not ended.")
            self.group.keep_up()
            time.sleep(0.2)
            job = self.request("GET", f"/v1/jobs/{job['id']}").json()
        total_s = time.monotonic() - started
        if job["status"] != "succeeded":
            raise NotReady(f"The first job {job['status']}: {job['error']}")
        audio = self.request("GET", f"/v1/jobs/{job['id']}/audio").content
        metrics, output = job["metrics"], job["output"]
        print(f"spoke {output['audio_s']:.1f} s of audio through {self.url}/v1/jobs ({job['id']})")
        for name in ("queue_s", "synthesis_s", "encode_s"):
            print(f"  {metrics[name] or 0:6.3f} s  {name.removesuffix('_s')}")
        stand_in = " (a stand-in, not Kokoro)" if metrics["stand_in"] else ""
        print(f"  {total_s:6.3f} s  in all, by {metrics['model']}{stand_in}", flush=True)
        if out is None:
            return None
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{job['id']}.wav"
        path.write_bytes(audio)
        return path

    def stop(self) -> None:
        """End every process: those that work first, Redis last."""
        self.client.close()
        self.group.stop()
        if self.redis is not None:
            self.redis.stop()


@contextmanager
def _cluster(settings: Settings) -> Iterator[LocalCluster | None]:
    """Start a cluster and stop it again, whatever ends the block; a signal ends it quietly."""
    _check_ports(settings)
    lock = _lock(settings.data_dir)
    cluster = LocalCluster(settings)

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    before = [(n, signal.signal(n, on_signal)) for n in (signal.SIGINT, signal.SIGTERM)]
    try:
        cluster.start()
        yield cluster
    except Stopped:
        print("\nStopping …", flush=True)
    finally:
        began = time.monotonic()
        for number, _ in before:
            signal.signal(number, signal.SIG_IGN)
        cluster.stop()
        for number, handler in before:
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)
        lock.close()
        print(f"Stopped every process in {time.monotonic() - began:.1f} s.", flush=True)


def _check_ports(settings: Settings) -> None:
    wanted = [("gateway", settings.host, settings.port, "port")]
    if "redis_url" not in settings.model_fields_set:
        wanted.append(("Redis", "127.0.0.1", settings.redis_port, "redis_port"))
    for what, host, port, name in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                variable = PREFIX + name.upper()
                raise InvalidSettings(
                    f"The {what}'s port {port} on {host} can't be used ({error.strerror}). "
                    f"Choose another: {variable}={port + 10} make up"
                ) from error


def _lock(folder: Path) -> IO[str]:
    """Hold the data folder for this launcher alone."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise InvalidSettings(
            f"Another cluster runs on the data folder {folder}. Choose another: KC_DATA_DIR=…"
        ) from error
    return lock


def count_gpus() -> int:
    """Return how many NVIDIA GPUs this machine has, without a CUDA call in this process."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listing = subprocess.run(  # noqa: S603 - the program just found
            [program, "-L"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
