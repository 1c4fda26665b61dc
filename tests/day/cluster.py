"""All of it on one machine: Redis, S3 over HTTP, workers, two gateways behind nginx, Prometheus."""

import os
import sys
from pathlib import Path
from typing import Any

import httpx

from deploy.processes import Managed
from tests.conftest import free_port
from tests.day.balancer import Balancer
from tests.day.monitor import Monitor
from tests.day.release import Release, this
from tests.faults.cluster import BUCKET, FaultCluster, StillNotSo

GATEWAYS = ("gateway-a", "gateway-b")
STAGES = ("plan", "assemble", "deliver")
SYNTHS = ("synth.0", "synth.1")
WORKERS = ("reconciler", *(f"{stage}.0" for stage in STAGES), *SYNTHS)
"""In the order of an upgrade; gateways follow."""

REDIS_MOST_BYTES = 512 * 2**20
STOPS_WITHIN_S = 30.0


class DayCluster(FaultCluster):
    """A cluster as an operator would have it, of processes of one release or of two.

    Args:
        folder: for everything.
        seed: of all that is random.
        release: whose code the processes are started with.
        port, s3_port, monitor_port: where to be found; default: free ones.
        scrape_s: seconds between Prometheus' scrapes; None: as in the project's file.
        synth: settings of the synth workers, by their field's name.
        settings: of every process.

    Attributes:
        release: whose code a process started from now on has.
        synth: settings of the synth workers started from now on.
        endings: names and exit codes of what was told to end.
        targets: what Prometheus scrapes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        release: Release | None = None,
        port: int | None = None,
        s3_port: int | None = None,
        monitor_port: int | None = None,
        scrape_s: int | None = None,
        synth: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._s3_port = s3_port or free_port()
        super().__init__(folder, seed=seed, bucket=True, **settings)
        self.release = release or this()
        self.endings: list[tuple[str, int]] = []
        self.synth = synth or {}
        self._gateway_ports = {name: free_port() for name in GATEWAYS}
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client.close()
        self.client = httpx.Client(base_url=self.url, timeout=20, trust_env=False)
        ports = list(self._gateway_ports.values())
        self.balancer = Balancer(folder / "nginx", self.port, ports)
        self.targets = [f"127.0.0.1:{port}" for port in ports]
        self.monitor = Monitor(
            folder / "prometheus", monitor_port or free_port(), self.targets, scrape_s
        )
        self.limit_redis()

    @property
    def s3_url(self) -> str:
        """The S3 endpoint's address."""
        return f"http://127.0.0.1:{self._s3_port}"

    def _open_bucket(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._s3_port)]
        log = self.folder / "logs" / "moto.log"
        self.supervisor.add(Managed("moto", command, dict(os.environ), log))
        self.settings = self.settings.model_copy(
            update={"storage_url": f"s3://{BUCKET}/speech", "storage_endpoint": self.s3_url}
        )
        self.wait(self._makes_bucket, 60)

    def _makes_bucket(self) -> bool:
        try:
            return httpx.put(f"{self.s3_url}/{BUCKET}", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    def limit_redis(self) -> None:
        """Set the bound of memory that an operator sets; a Redis started anew has none."""
        self.ledger.config_set("maxmemory", REDIS_MOST_BYTES)

    def start_everything(self, within_s: float = 120) -> None:
        """Start all and return once jobs are accepted and everything is scraped."""
        for name in (*GATEWAYS, *WORKERS):
            self.start_one(name)
        self.supervisor.add(self.balancer.managed)
        self.supervisor.add(self.monitor.managed)
        self.wait_until_ready(within_s)
        for name in GATEWAYS:
            self.wait(lambda name=name: self.gateway_is_ready(name), within_s)  # type: ignore[misc]
        self.wait(lambda: self.monitor.is_ready, within_s)

    def start_one(self, name: str) -> None:
        """Start a process of the cluster with the code of `release`."""
        environment = self.release.environment()
        if name in self._gateway_ports:
            self.start(name, "gateway", env=environment, port=self._gateway_ports[name])
        elif name == "reconciler":
            self.start(name, "reconciler", env=environment)
        else:
            stage, _, number = name.partition(".")
            own = self.synth if stage == "synth" else {}
            self.start_stage(stage, int(number), env=environment, **own)

    def gateway_is_ready(self, name: str) -> bool:
        """Return whether a gateway accepts jobs, asked on its own port."""
        url = f"http://127.0.0.1:{self._gateway_ports[name]}/health/ready"
        try:
            return httpx.get(url, trust_env=False, timeout=2).is_success
        except httpx.TransportError:
            return False

    def replace(self, *names: str) -> None:
        """Replace processes as `docs/operations.md` says: SIGTERM, the end, new ones, ready.

        Raises:
            StillNotSo: one did not end, or a new one did not become ready, in time.
        """
        gateways = [name for name in names if name in self._gateway_ports]
        if gateways:
            self.balancer.leave_out([self._gateway_ports[name] for name in gateways])
        with self.supervisor.lying(*names):
            ending = {name: self.supervisor.members[name].process for name in names}
            for process in ending.values():
                assert process is not None
                process.terminate()
            for name, process in ending.items():
                assert process is not None
                self.wait(lambda process=process: process.poll() is not None, STOPS_WITHIN_S)  # type: ignore[misc]
                self.endings.append((name, int(process.returncode)))
            for name in names:
                self.start_one(name)
        for name in names:
            if name in gateways:
                self.wait(lambda name=name: self.gateway_is_ready(name), 60)  # type: ignore[misc]
            elif "." in name:
                self.wait(lambda name=name: self.loaded(name), 120)  # type: ignore[misc]
        if gateways:
            self.balancer.send_to_all()

    def restart_redis(self) -> float:
        """Stop Redis with SIGTERM and start it on its append-only file; return seconds away."""
        began = self.log.write("redis-restarted")
        self.redis.stop()
        self.redis.start()
        self.limit_redis()
        return self.log.write("redis-back") - began

    def wait_until_scraped(self, within_s: float = 60) -> None:
        """Return once every target has been scraped.

        Raises:
            StillNotSo: one is not; the message says which.
        """
        try:
            self.wait(lambda: not self.monitor.unscraped(), within_s)
        except StillNotSo as error:
            raise StillNotSo("; ".join(self.monitor.unscraped())) from error

    def stop(self) -> None:
        """End everything."""
        monitor: Monitor | None = getattr(self, "monitor", None)
        if monitor is not None:
            monitor.close()
        super().stop()
