"""A real gateway on loopback over a real Redis, and workers that take jobs further by hand."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from deploy.redis_server import RedisServer
from gateway.app import create_app
from gateway.serve import Server, bind, make_server
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.messages import NewSegment, RenderedSegment, SegmentPayload
from shared.ledger.records import CaptionFile, ChapterRecord, OutputFile
from shared.ledger.states import DeliveryStatus
from shared.ledger.work import WorkLedger
from shared.lookup import Resolver
from shared.manifest import EngineManifest, EngineName
from shared.settings import Settings, load_settings
from shared.spoken import PAUSE, SpokenSegment, SpokenSentence, SpokenWord
from shared.storage import Storage, open_storage
from tests.conftest import free_port

MANIFEST = EngineManifest(
    engine=EngineName.ESPEAK,
    model="espeak-ng",
    fingerprint="f" * 64,
    stand_in=True,
    precision="exact",
    voices={"af_heart": "0" * 64, "af_bella": "1" * 64, "bm_george": "2" * 64, "custom": "3" * 64},
    uses_text=True,
)

HELLO = SpokenSegment(
    6, (SpokenSentence(0, 6, "Hello.", 0, 6, 0, (SpokenWord(0, 5, 0, 5, 0, 6),)),)
)
AUDIO = bytes(range(256)) * 40
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def public_resolver(host: str, port: int) -> Sequence[str]:
    """Answer as a name server would whose names are inside where they say so."""
    if host.startswith("inward"):
        return ["93.184.216.34", "10.0.0.7"]
    if host == "localhost":
        return ["127.0.0.1"]
    if host.startswith("nowhere"):
        raise OSError("no such name")
    return ["93.184.216.34"]


@dataclass
class Cluster:
    """A gateway under test, seen from its clients and from its workers."""

    http: httpx.Client
    redis: redis.Redis
    storage: Storage
    settings: Settings
    server: Server

    @property
    def port(self) -> int:
        return self.settings.port

    @property
    def worker(self) -> WorkLedger:
        return WorkLedger(self.redis, incarnation="w/1", lease_s=30, attempts_max=3)

    def submit(self, text: str = "Hello there.", **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json={"input": text, **fields})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def plan(
        self,
        *,
        warnings: Sequence[dict[str, Any]] = (),
        chapters: Sequence[ChapterRecord] = (),
    ) -> str:
        claim = self.worker.claim_plan(bytes_most=10**6)
        assert claim is not None
        segments = [
            NewSegment(0, 6, payload=self._payload(claim.uid)),
            NewSegment(6, 6, samples=12_000),
        ]
        spoken = [HELLO, PAUSE] if claim.spec.captions else []
        self.worker.add_segments(
            claim,
            segments,
            bytes_done=12,
            chars_done=12,
            final=True,
            warnings=warnings,
            chapters=chapters,
            spoken=spoken,
        )
        return claim.uid

    def _payload(self, uid: str) -> SegmentPayload:
        digest = hashlib.sha256(uid.encode()).hexdigest()
        return SegmentPayload(
            "həlˈO",
            "Hello.",
            Language.AMERICAN_ENGLISH,
            "af_heart",
            1.0,
            7,
            digest,
            MANIFEST.fingerprint,
        )

    def render(self) -> None:
        claims = self.worker.claim_segments(8)
        self.worker.finish_segments(
            [RenderedSegment(claim, f"segments/{claim.token}", 24_000) for claim in claims],
            synthesis_s=0.5,
            engine=MANIFEST,
        )

    def assemble(self, *, store: bool = True, audio: bytes = AUDIO) -> None:
        claim = self.worker.claim_assembly(long_most=1)
        assert claim is not None
        outputs = []
        for output in claim.spec.outputs:
            key = f"jobs/{claim.uid}/{claim.token}.{output}"
            data = audio + output.encode()
            if store:
                self.storage.put(key, data)
            digest = hashlib.sha256(data).hexdigest()
            outputs.append(OutputFile(AudioFormat(output), key, len(data), 1.5, digest))
        captions = []
        for name in claim.spec.captions:
            key = f"jobs/{claim.uid}/{claim.token}/captions.{name}"
            data = f"captions as {name}".encode()
            self.storage.put(key, data)
            captions.append(CaptionFile(name, key, len(data), hashlib.sha256(data).hexdigest()))
        self.worker.finish_job(claim, outputs, encode_s=0.1, captions=captions)

    def succeed(self, text: str = "Hello there.", **fields: Any) -> dict[str, Any]:
        job = self.submit(text, **fields)
        self.plan()
        self.render()
        self.assemble()
        return dict(self.http.get(f"/v1/jobs/{job['id']}").json())

    def fail(self) -> dict[str, Any]:
        job = self.submit()
        claim = self.worker.claim_plan(bytes_most=10**6)
        assert claim is not None
        self.worker.fail_stage(claim, code="poison", message="It broke.", permanent=True)
        return dict(self.http.get(f"/v1/jobs/{job['id']}").json())

    def deliver(self, status: DeliveryStatus, *, next_s: float = 0) -> None:
        claim = self.worker.claim_delivery(host_slots=4)
        assert claim is not None
        self.worker.record_attempt(
            claim, status=status, next_s=next_s, entry={"status": 500, "duration_s": 0.1}
        )

    def error(self, answer: httpx.Response, status: int) -> dict[str, Any]:
        """Return the error of an answer, having checked its one body."""
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "code", "param"}
        assert "Traceback" not in answer.text
        return dict(body["error"])

    def refused(self, body: Any, status: int = 422) -> dict[str, Any]:
        """Submit what must be refused; return the error, having checked that nothing is left."""
        before = self.redis.keys("kc:job*")
        answer = self.http.post("/v1/jobs", json=body)
        assert self.redis.keys("kc:job*") == before
        return self.error(answer, status)


@contextmanager
def running(
    settings: Settings,
    resolver: Resolver,
    *,
    body_timeout_s: float = 60,
    head_timeout_s: float = 60,
    unread_timeout_s: float = 60,
    keep_alive_s: int = 30,
) -> Iterator[Server]:
    app = create_app(settings, resolver=resolver, body_timeout_s=body_timeout_s)
    server = make_server(
        app,
        head_timeout_s=head_timeout_s,
        unread_timeout_s=unread_timeout_s,
        keep_alive_s=keep_alive_s,
    )
    listener = bind(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline and thread.is_alive():
        time.sleep(0.01)
    assert server.started
    try:
        yield server
    finally:
        server.handle_exit(15, None)
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


def make_settings(server_url: str, folder: Path, **changes: Any) -> Settings:
    defaults: dict[str, Any] = {
        "redis_url": server_url,
        "data_dir": folder,
        "port": free_port(),
        "webhook_secret": SECRET,
    }
    return load_settings(**{**defaults, **changes})


@contextmanager
def seen(
    settings: Settings, server: Server, client: redis.Redis, key: str | None = None
) -> Iterator[Cluster]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    base_url = f"http://127.0.0.1:{settings.port}"
    with httpx.Client(base_url=base_url, timeout=30, headers=headers, trust_env=False) as http:
        storage = open_storage(settings.storage, endpoint=settings.storage_endpoint)
        yield Cluster(http, client, storage, settings, server)


Starter = Callable[..., Cluster]


@pytest.fixture
def start(
    redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> Iterator[Starter]:
    """Start a gateway with settings of the test's own."""
    with ExitStack() as stack:

        def start_one(
            *,
            resolver: Resolver = public_resolver,
            engine: EngineManifest | None = MANIFEST,
            body_timeout_s: float = 60,
            head_timeout_s: float = 60,
            unread_timeout_s: float = 60,
            keep_alive_s: int = 30,
            key: str | None = None,
            **changes: Any,
        ) -> Cluster:
            if engine is not None:
                redis_client.set("kc:engine", engine.to_json())
            settings = make_settings(redis_server.url, tmp_path, **changes)
            server = stack.enter_context(
                running(
                    settings,
                    resolver,
                    body_timeout_s=body_timeout_s,
                    head_timeout_s=head_timeout_s,
                    unread_timeout_s=unread_timeout_s,
                    keep_alive_s=keep_alive_s,
                )
            )
            return stack.enter_context(seen(settings, server, redis_client, key))

        yield start_one


SERVE = (
    "from gateway.serve import serve; from shared.settings import load_settings; "
    "from shared.errors import InvalidSettings; import sys\n"
    "try: serve(load_settings())\n"
    "except InvalidSettings as error: sys.exit(error.message)"
)


def spawn_gateway(folder: Path, **settings: object) -> subprocess.Popen[str]:
    """Start a gateway in a process of its own, with only these settings."""
    environment = {name: value for name, value in os.environ.items() if name[:3] != "KC_"}
    environment |= {"KC_" + name.upper(): str(value) for name, value in settings.items()}
    environment |= {"KC_DATA_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", SERVE], env=environment, stderr=subprocess.PIPE, text=True
    )


@dataclass
class GatewayProcess:
    """A gateway in a process of its own, seen from outside."""

    pid: int
    port: int
    http: httpx.Client

    def peak_mib(self) -> float:
        """Return the most memory it has held since the last `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def forget_peak(self) -> None:
        """Let the peak be what it holds now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextmanager
def in_a_process(server: RedisServer, folder: Path) -> Iterator[GatewayProcess]:
    """Run a gateway in a process of its own for a block."""
    port = free_port()
    process = spawn_gateway(folder, port=port, redis_url=server.url, log_level="ERROR")
    try:
        base_url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base_url, timeout=30, trust_env=False) as http:
            wait_until_live(process, http)
            yield GatewayProcess(process.pid, port, http)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def wait_until_live(process: subprocess.Popen[str], http: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert http.get("/health/live").status_code == 200
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)


@pytest.fixture(scope="session")
def common_gateway(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Server]]:
    """One gateway with default settings for all tests that need no other."""
    settings = make_settings(redis_server.url, tmp_path_factory.mktemp("data"))
    with running(settings, public_resolver) as server:
        yield settings, server


@pytest.fixture
def cluster(
    common_gateway: tuple[Settings, Server], redis_client: redis.Redis
) -> Iterator[Cluster]:
    """The common gateway, its ledger empty but for an engine."""
    redis_client.set("kc:engine", MANIFEST.to_json())
    with seen(*common_gateway, redis_client) as cluster:
        yield cluster
