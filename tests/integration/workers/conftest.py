"""Real worker processes against a real Redis and a real folder of objects."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.processes import Managed, ProcessGroup
from deploy.redis_server import RedisServer
from shared.bell import make_celery
from shared.ledger.records import JobRecord
from shared.ledger.states import TERMINAL
from shared.manifest import EngineManifest
from shared.settings import Settings
from shared.storage import Storage, open_storage
from shared.voices import parse_voice
from tests.conftest import free_port
from tests.integration.ledger.conftest import LedgerDriver
from worker.note import read_notes

ROOT = Path(__file__).parents[3]


class Cluster:
    """Worker processes of one test, and the ledger to give them work through."""

    def __init__(self, client: redis.Redis, server: RedisServer, folder: Path) -> None:
        self.client = client
        self.server = server
        self.folder = folder
        self.ledger = LedgerDriver(client, server.url)
        self.group = ProcessGroup()
        self.settings = Settings(redis_url=server.url, data_dir=folder)
        self.celery = make_celery(self.settings)
        self.environment: dict[str, str] = {}
        """Of the processes it starts, on top of this one's own."""

    def start(self, stage: str, name: str = "0", **settings: object) -> Managed:
        """Start a worker, the gateway or the reconciler; settings go by their field's name."""
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KC_")},
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "KC_REDIS_URL": self.server.url,
            "KC_DATA_DIR": str(self.folder),
            "KC_ENGINE": "scripted",
            "KC_MODEL": "scripted",
            "KC_LEASE_S": "2",
            "KC_RECONCILE_INTERVAL_S": "0.2",
            "KC_PLAN_SLICE_CHARS": "8192",
            **{f"KC_{key.upper()}": str(value) for key, value in settings.items()},
            **self.environment,
        }
        command = [sys.executable, "-m", "deploy.cli"]
        alone = stage in {"reconciler", "gateway"}
        command += [stage] if alone else ["worker", stage, "--name", name]
        member = Managed(
            f"{stage}.{name}", command, environment, self.folder / f"{stage}.{name}.log"
        )
        self.group.start(member)
        return member

    def log(self, name: str) -> str:
        """Return a worker's log."""
        return (self.folder / f"{name}.log").read_text()

    def engine(self) -> EngineManifest:
        """Return the registered engine, waiting for a synth worker to load it."""
        text = self.wait(lambda: self.client.get("kc:engine"), 90)
        return EngineManifest.from_json(text.decode())

    def submit(self, text: str, **changes: Any) -> str:
        """Accept a job as the gateway would."""
        stamp = self.engine().stamp(parse_voice("af_heart"))
        return self.ledger.accept(text, engine=stamp, **changes)

    def finished(self, uid: str, timeout_s: float = 90) -> JobRecord:
        """Wait for a job's end."""
        self.wait(lambda: self.ledger.job(uid).status in TERMINAL, timeout_s)
        return self.ledger.job(uid)

    def wait(self, question: Callable[[], Any], timeout_s: float = 60) -> Any:
        """Ask until the answer is true; fail the test when it never is."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = question()
            if answer:
                return answer
            time.sleep(0.02)
        logs = "\n".join(f"--- {m.name}\n{m.tail(8)}" for m in self.group.members)
        raise AssertionError(f"still not so after {timeout_s} s\n{logs}")

    def child(self, worker: str) -> int:
        """Return the pid of a worker's only child, waiting until it is idle or busy."""

        def ready() -> int | None:
            for _, child in read_notes(self.settings.run_dir / worker):
                if child.phase != "loading":
                    return child.pid
            return None

        return int(self.wait(ready, 90))

    def phase(self, worker: str) -> str:
        """Return what a worker's child is doing."""
        notes = read_notes(self.settings.run_dir / worker)
        return notes[0][1].phase if notes else ""

    def kill(self, pid: int) -> None:
        """End a process as a crash would."""
        os.kill(pid, signal.SIGKILL)

    @property
    def storage(self) -> Storage:
        """The objects the workers write."""
        return open_storage(self.settings.storage)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own, on a Redis of its own; nothing of it is started."""
    server = RedisServer(tmp_path / "redis", free_port())
    server.start()
    with redis.Redis.from_url(server.url) as client:
        cluster = Cluster(client, server, tmp_path)
        yield cluster
        cluster.group.stop()
        cluster.celery.close()
    server.stop()


@pytest.fixture(scope="session")
def cluster_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of the cluster's own: its workers take whatever work is queued in their Redis."""
    server = RedisServer(tmp_path_factory.mktemp("cluster-redis"), free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def base(
    cluster_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """The processes that tests leave alone, started once: plan, assemble and the reconciler."""
    with redis.Redis.from_url(cluster_server.url) as client:
        base = Cluster(client, cluster_server, tmp_path_factory.mktemp("cluster"))
        for stage in ("plan", "assemble", "reconciler"):
            base.start(stage)
        yield base
        base.group.stop()
        base.celery.close()


@pytest.fixture
def cluster(base: Cluster) -> Iterator[Cluster]:
    """A cluster whose ledger is empty; every process a test starts in it ends with the test."""
    # Not FLUSHALL: Celery's bindings are there too, and the base workers live on. What a worker
    # that was killed never acknowledged goes as well.
    for pattern in ("kc:*", "kc.*", "unacked*"):
        for key in base.client.keys(pattern):
            base.client.delete(key)
    cluster = Cluster(base.client, base.server, base.folder)
    yield cluster
    cluster.group.stop()
    cluster.celery.close()
