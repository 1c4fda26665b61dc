"""A whole cluster of real processes to do harm to, kept up as an orchestrator would keep it up."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import redis

from benchmarks.rig import family
from deploy.processes import Managed
from deploy.redis_server import RedisServer
from shared.ledger.intake import ENDED_CHANNEL
from shared.ledger.scripts import text
from shared.ledger.states import TERMINAL
from shared.settings import PREFIX, Settings
from shared.steps import Step, crash_marker
from shared.storage import open_storage
from tests.conftest import free_port
from tests.faults.events import Event, EventLog, has_job
from tests.faults.proxy import Proxy
from tests.faults.receivers import Receivers
from worker.note import is_running, read_notes

ROOT = Path(__file__).parents[2]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BUCKET = "kokoro"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}
RESTART_AFTER_S = 0.1
LOOKED_AT_AGAIN = 1000
SENTENCE = (
    "a quiet river bends behind the old mill where seven grey herons wait for morning light and "
    "every stone remembers winter before any boat comes down with bread salt lamps or letters from "
    "the far side of that green hill they call home"
)
WORDS = SENTENCE.split()
"""Enough for no sentence of nine to be said twice."""
ENDED = {status.value for status in TERMINAL}


class StillNotSo(AssertionError):
    """Something did not come about in time."""


@dataclass
class Supervisor:
    """Starts again what ended, as systemd or Kubernetes would, unless told to let it lie."""

    log: EventLog
    members: dict[str, Managed] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    exits: list[tuple[str, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _thread: threading.Thread | None = None
    _asked: SimpleQueue[Callable[[], None]] = field(default_factory=SimpleQueue)

    def add(self, member: Managed) -> Managed:
        with self._lock:
            member.start()
            self.members[member.name] = member
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
        return member

    def _watch(self) -> None:
        while not self._stop.wait(RESTART_AFTER_S):
            while not self._asked.empty():
                self._asked.get()()
            with self._lock:
                for name, member in self.members.items():
                    if member.process is None or member.process.poll() is None:
                        continue
                    if name in self.held:
                        continue
                    self.exits.append((name, member.process.returncode))
                    _end_session(member.process.pid)
                    member.start()

    def have_started(self, start: Callable[[], None]) -> None:
        """Have this thread start something: what a thread has started ends with it."""
        self._asked.put(start)

    @contextlib.contextmanager
    def lying(self, *names: str) -> Iterator[None]:
        """Start these not again for the length of a block."""
        self.held |= set(names)
        try:
            yield
        finally:
            self.held -= set(names)

    def end(self, names: Iterable[str]) -> None:
        """End these for good."""
        with self._lock:
            ending = [self.members.pop(name) for name in names]
        for member in ending:
            assert member.process is not None
            member.process.send_signal(signal.SIGCONT)
            member.process.terminate()
        for member in ending:
            assert member.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                member.process.wait(8)
            _end_session(member.process.pid)
            member.process.wait(5)

    def stop(self) -> None:
        """End everything."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        self.end(list(self.members))


def _end_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class FaultCluster:
    """Redis, gateway, workers, reconciler, store and receivers in one folder.

    Args:
        folder: for everything; the event log is in it.
        seed: of all that is random.
        proxied: whether processes reach Redis through a proxy.
        bucket: whether objects go to an S3 endpoint over HTTP, through a proxy, or to a folder.
        disk: where the data folder is; default: `folder`.
        redis_disk: where Redis's files are; default: `folder`.
        redis_environment: more variables for Redis.
        settings: of every process, by their field's name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        proxied: bool = False,
        bucket: bool = False,
        disk: Path | None = None,
        redis_disk: Path | None = None,
        redis_environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.random = random.Random(seed)
        self.log = EventLog(folder / "events.jsonl")
        self.supervisor = Supervisor(self.log)
        self.port = free_port()
        self.redis = RedisServer((redis_disk or folder) / "redis", free_port())
        with in_environment(redis_environment or {}):
            self.redis.start()
        self.redis_proxy = Proxy(self.redis.port) if proxied else None
        self.store_proxy: Proxy | None = None
        self.receivers = Receivers(self.log, SECRET)
        self.accepted: list[str] = []
        self._closing = threading.Event()
        self.ledger = redis.Redis(port=self.redis.port, socket_timeout=5)
        self._listener = threading.Thread(target=self._hear_endings, daemon=True)
        self._listener.start()
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False
        )
        redis_port = self.redis_proxy.port if self.redis_proxy else self.redis.port
        self.settings = Settings(
            **{
                "redis_url": f"redis://127.0.0.1:{redis_port}/0",
                "data_dir": (disk or folder) / "data",
                "port": self.port,
                "engine": "scripted",
                "model": "scripted",
                "event_log": self.log.path,
                "webhook_secret": SECRET,
                "webhook_allow_private": "127.0.0.1/32",
                "webhook_ports": "*",
                "key_rate_per_min": 10**7,
                "max_queued_jobs": 10**6,
                **settings,
            }
        )
        if bucket:
            self._open_bucket()

    def _open_bucket(self) -> None:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.supervisor.add(
            Managed("moto", command, dict(os.environ), self.folder / "logs" / "moto.log")
        )
        self.store_proxy = Proxy(port)
        self.settings = self.settings.model_copy(
            update={
                "storage_url": f"s3://{BUCKET}/speech",
                "storage_endpoint": f"http://127.0.0.1:{self.store_proxy.port}",
            }
        )
        # Straight to the endpoint, so that no proxy's mode is in the way.
        address = f"http://127.0.0.1:{port}/{BUCKET}"
        self.wait(lambda: _is_success(lambda: httpx.put(address, trust_env=False, timeout=5)), 30)

    # Processes

    def start(
        self, name: str, *arguments: str, env: dict[str, str] | None = None, **settings: Any
    ) -> Managed:
        """Start one of the cluster's processes; `settings` are its own, by their field's name."""
        environment = {**self.environment(**settings), **(env or {})}
        command = [sys.executable, "-m", "deploy.cli", *arguments]
        return self.supervisor.add(
            Managed(name, command, environment, self.folder / "logs" / f"{name}.log")
        )

    def environment(self, **settings: Any) -> dict[str, str]:
        """Return what a process has; `settings` are its own, by their field's name."""
        own = self.settings.model_copy(update=settings)
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(PREFIX)},
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            **CREDENTIALS,
            **own.as_environment(),
        }

    def start_stage(
        self, stage: str, number: int = 0, env: dict[str, str] | None = None, **settings: Any
    ) -> Managed:
        """Start a worker."""
        arguments = ("worker", stage, "--name", str(number))
        return self.start(f"{stage}.{number}", *arguments, env=env, **settings)

    def start_all(self, *, synth: int = 2, deliver: bool = True, **settings: Any) -> None:
        """Start a whole cluster and return once it can speak; `settings` are the synth workers'."""
        self.start("gateway", "gateway")
        self.start("reconciler", "reconciler")
        for stage in ("plan", "assemble", *(["deliver"] if deliver else [])):
            self.start_stage(stage)
        for number in range(synth):
            self.start_stage("synth", number, **settings)
        self.wait_until_ready()

    def wait_until_ready(self, within_s: float = 120) -> None:
        """Return once jobs are accepted and every worker has loaded what it needs."""
        self.wait(
            lambda: _is_success(lambda: self.client.get("/health/ready", timeout=2)), within_s
        )
        for name in [n for n in self.supervisor.members if "." in n]:
            self.wait(lambda name=name: self.loaded(name), within_s)  # type: ignore[misc]

    def notes(self, worker: str) -> list[Any]:
        """Return what a worker's children say of themselves."""
        return [c for _, c in read_notes(self.settings.run_dir / worker) if c.running]

    def loaded(self, worker: str) -> bool:
        """Return whether a worker has children, and all of them are past loading."""
        notes = self.notes(worker)
        return bool(notes) and all(c.phase != "loading" for c in notes)

    def pid(self, name: str) -> int:
        """Return a process started here."""
        process = self.supervisor.members[name].process
        assert process is not None
        return process.pid

    def child(self, worker: str) -> int:
        """Return a worker's first child that works, waiting until there is one."""
        self.wait(lambda: self.loaded(worker), 60)
        return int(self.notes(worker)[0].pid)

    def children(self, name: str) -> list[int]:
        """Return all below a process."""
        return family(self.pid(name))[1:]

    def kill(self, pid: int, *, with_children: bool = False) -> float:
        """End a process with SIGKILL; say so in the log first. Returns when."""
        pids = family(pid) if with_children else [pid]
        for one in pids:
            self.log.write("cut", pid=one, how="SIGKILL")
        now = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return now

    def kill_parent(self, name: str) -> float:
        """End a worker's parent, or a gateway; its children are cut off with it."""
        return self.kill(self.pid(name), with_children=True)

    def freeze(self, name: str) -> list[int]:
        """Stop a process and its children in their tracks; return them."""
        pids = family(self.pid(name))
        for pid in pids:
            self.log.write("cut", pid=pid, how="SIGSTOP")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def thaw(self, pids: Sequence[int]) -> None:
        """Let frozen processes go on, with what they knew before."""
        for pid in pids:
            self.log.write("cut", pid=pid, how="SIGCONT")
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def died_at(self, step: Step) -> bool:
        """Return whether a process has died at a step."""
        return crash_marker(self.settings.run_dir, step).exists()

    def logs(self, name: str) -> str:
        """Return a process's log."""
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    # Clients

    def post(self, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Submit once."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post("/v1/jobs", json=body, headers=headers)

    def submit(
        self, words: str, *, key: str | None = None, within_s: float = 60, **body: Any
    ) -> str:
        """Submit as a patient client does, again under the same key until it is accepted."""
        key = key or f"key-{self.random.getrandbits(64):x}"
        until = time.monotonic() + within_s
        last = "no answer"
        while time.monotonic() < until:
            try:
                answer = self.post({"input": words, "response_format": "wav", **body}, key)
            except httpx.TransportError as error:
                last = repr(error)
            else:
                last = f"{answer.status_code} {answer.text[:300]}"
                if answer.is_success:
                    return self.note_accepted(answer, key)
            time.sleep(0.1)
        raise StillNotSo(f"not accepted within {within_s} s: {last}")

    def note_accepted(self, answer: httpx.Response, key: str | None = None) -> str:
        """Write down that a client was told its job is accepted; return the job."""
        job = str(answer.json()["id"])
        self.log.write("accepted", job=job, key=key)
        self.accepted.append(job)
        return job

    def words(self, sentences: int = 1) -> str:
        """Return a text that was not said before, of one segment a paragraph.

        Of words that are always the same: a planner's dictionaries remember each new one.
        """
        return "\n\n".join(
            f"{' '.join(self.random.choices(WORDS, k=9)).capitalize()}." for _ in range(sentences)
        )

    def look(self, job: str) -> dict[str, Any]:
        """Return a job as its client sees it, asking again while nobody answers."""
        until = time.monotonic() + 60
        while True:
            try:
                answer = self.client.get(f"/v1/jobs/{job}")
                if answer.is_success:
                    found: dict[str, Any] = answer.json()
                    return found
                if answer.status_code == 404:
                    return {"id": job, "status": "missing"}
            except httpx.TransportError:
                pass
            if time.monotonic() > until:
                return {"id": job, "status": "unanswered"}
            time.sleep(0.2)

    def wait_for(self, jobs: Sequence[str], within_s: float = 90) -> list[dict[str, Any]]:
        """Wait until these jobs have ended; note and return what their clients see.

        A job that does not end in time is returned as it is, and not noted: the checker then
        counts it as lost.
        """
        until = time.monotonic() + within_s
        found = []
        for job in jobs:
            view = self.look(job)
            while view["status"] not in ENDED and time.monotonic() < until:
                time.sleep(0.05)
                view = self.look(job)
            if view["status"] in ENDED:
                self._note_seen(view)
            found.append(view)
        return found

    def _note_seen(self, view: dict[str, Any]) -> None:
        outputs = [view["output"]] if view.get("output") else view.get("outputs") or []
        error = view.get("error") or {}
        self.log.write(
            "seen",
            job=view["id"],
            status=view["status"],
            error=error.get("code"),
            sha256=[output["sha256"] for output in outputs if output],
        )

    def audio_is_whole(self, view: dict[str, Any]) -> bool:
        """Return whether a finished job's audio is what its record says, byte for byte."""
        answer = self.client.get(f"/v1/jobs/{view['id']}/audio", follow_redirects=True)
        output = view["output"]
        samples = round(output["audio_s"] * 24_000)
        return (
            answer.is_success
            and hashlib.sha256(answer.content).hexdigest() == output["sha256"]
            and len(answer.content) == output["bytes"]
            and len(answer.content) - 2 * samples in range(0, 200)
        )

    def audit(self, *, within_s: float = 60) -> None:
        """Look at every accepted job, and at many again: has each ended, always in one way?"""
        self.wait_for(self.accepted, within_s)
        again = min(len(self.accepted), LOOKED_AT_AGAIN)
        self.wait_for(self.random.sample(self.accepted, again), 5)

    # Waiting

    def wait(self, question: Callable[[], Any], within_s: float = 60) -> Any:
        """Ask until the answer is true.

        Raises:
            StillNotSo: it never is.
        """
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            answer = question()
            if answer:
                return answer
            time.sleep(0.02)
        raise StillNotSo(f"still not so after {within_s} s; the logs are in {self.folder / 'logs'}")

    def event(
        self, *names: str, job: str | None = None, after: float = 0.0, within_s: float = 30
    ) -> Event:
        """Return the first event of a name, about a job, after a time.

        Raises:
            StillNotSo: there is none in time.
        """
        found = self.log.wait_for(
            *names, after=after, where=lambda e: job is None or has_job(e, job), within_s=within_s
        )
        if found is None:
            raise StillNotSo(f"no {' or '.join(names)} of {job} within {within_s} s")
        return found

    def objects(self) -> list[str]:
        """Return the keys of all that is stored."""
        with in_environment(CREDENTIALS):
            storage = open_storage(self.settings.storage, endpoint=self.settings.storage_endpoint)
            return [item.key for item in storage.list()]

    def count(self, name: str) -> float:
        """Return one of the ledger's running totals."""
        return float(self.ledger.hget("kc:totals", name) or 0)

    def _hear_endings(self) -> None:
        while not self._closing.is_set():
            try:
                with redis.Redis(port=self.redis.port, socket_timeout=5) as client:
                    pubsub = client.pubsub(ignore_subscribe_messages=True)
                    pubsub.subscribe(ENDED_CHANNEL)
                    while not self._closing.is_set():
                        message = pubsub.get_message(timeout=0.2)
                        if message is not None:
                            self.log.write("ended", job=text(message["data"]))
            except redis.RedisError:
                self._closing.wait(0.1)

    def stop(self) -> None:
        """End every process and thread."""
        self.supervisor.stop()
        self._closing.set()
        self._listener.join(5)
        self.client.close()
        self.ledger.close()
        self.receivers.close()
        for proxy in (self.redis_proxy, self.store_proxy):
            if proxy is not None:
                proxy.close()
        self.redis.stop()
        self.log.close()


@contextlib.contextmanager
def in_environment(variables: dict[str, str]) -> Iterator[None]:
    """Have these variables in this process, and whom it starts, for the length of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _is_success(ask: Callable[[], httpx.Response]) -> bool:
    try:
        return ask().is_success
    except httpx.TransportError:
        return False


def runs(pids: Iterable[int]) -> list[int]:
    """Return those of some processes that run."""
    return [pid for pid in pids if is_running(pid)]


class Probes:
    """A process of its own that asks `/health/live` and `/health/ready` for the length of a block,
    and looks at the workers' files."""

    def __init__(self, cluster: FaultCluster, *, per_s: int = 20) -> None:
        self._path = cluster.folder / f"probes-{time.monotonic_ns()}.json"
        self._command = [
            sys.executable,
            "-m",
            "tests.faults.prober",
            f"http://127.0.0.1:{cluster.port}",
            str(self._path),
            "--per-s",
            str(per_s),
            "--alive-files",
            str(cluster.settings.run_dir),
        ]
        self.found: dict[str, Any] = {}

    def __enter__(self) -> "Probes":
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        finally:
            _end_session(self._process.pid)
        if self._path.exists():
            self.found = json.loads(self._path.read_text())
