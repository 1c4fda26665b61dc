"""A primary, its replica and the sentinel that watches them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from deploy.processes import Managed, ProcessGroup
from deploy.redis_server import RedisServer, find_server
from tests.conftest import free_port

SERVICE, PASSWORD = "kokoro", "word-of-redis"
DOWN_AFTER_MS = 1000
WITHIN_S = 30.0


@dataclass
class Watched:
    """The servers.

    Attributes:
        servers: the primary first.
        url: what a cluster is given.
    """

    folder: Path
    servers: list[RedisServer] = field(default_factory=list)
    group: ProcessGroup = field(default_factory=ProcessGroup)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"redis+sentinel://:{PASSWORD}@127.0.0.1:{self.port}/0?service={SERVICE}"

    def start(self) -> None:
        for name in ("first", "second"):
            port = free_port()
            options = {
                "requirepass": PASSWORD,
                "masterauth": PASSWORD,
                "repl-diskless-sync-delay": "0",
            }
            if self.servers:
                options["replicaof"] = f"127.0.0.1 {self.servers[0].port}"
            server = RedisServer(
                self.folder / name,
                port,
                url=f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
                options=options,
            )
            self.servers.append(server)
            server.start()
        self._wait(self._in_step, "the replica never was in step")
        path = self.folder / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0].port} 1\n"
            f"sentinel auth-pass {SERVICE} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        command = [find_server(), str(path), "--sentinel"]
        self.group.start(Managed("sentinel", command, {}, self.folder / "sentinel.log"))
        self._wait(self._known, "the sentinel never knew of the replica")

    def stop(self) -> None:
        self.group.stop()
        for server in self.servers:
            server.stop()

    def primary(self) -> int:
        """Return the port of the primary, as the sentinel has it."""
        with redis.Redis(port=self.port) as sentinel:
            row = sentinel.execute_command(f"SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}")
            return int(row[1])

    def replicated(self) -> bool:
        """Return whether the replica has all that the primary wrote."""
        with redis.Redis.from_url(self.servers[0].url) as primary:
            facts = primary.info("replication")
            return bool(facts["slave0"]["offset"] == facts["master_repl_offset"])

    def _in_step(self) -> bool:
        with redis.Redis.from_url(self.servers[1].url) as replica:
            return bool(replica.info("replication")["master_link_status"] == "up")

    def _known(self) -> bool:
        try:
            with redis.Redis(port=self.port) as sentinel:
                return bool(sentinel.info("sentinel")["master0"]["slaves"] == 1)
        except redis.ConnectionError:
            return False

    def _wait(self, question: object, complaint: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            if callable(question) and question():
                return
            time.sleep(0.05)
        raise AssertionError(complaint)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "watched")
    made.folder.mkdir()
    try:
        made.start()
        yield made
    finally:
        made.stop()
