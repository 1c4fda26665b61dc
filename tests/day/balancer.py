"""One port before several gateways: nginx, told by a reload which of them take new requests.

A proxy, and not SO_REUSEPORT: a listening socket that is closed breaks the connections waiting in
its own queue, so that no gateway could be replaced without some client seeing it. A proxy is told
beforehand, and then nothing is on its way to the gateway that ends.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rig import family
from deploy.processes import Managed
from tests.day.programs import program

TURNS_S = 10.0
"""How long nginx may take to go over to another configuration."""

CONFIGURATION = """\
{user}daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    upstream gateways {{
{servers}    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://gateways;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_read_timeout 300s;
            # What no gateway has had goes to the next; the rest is the client's to repeat.
            proxy_next_upstream error timeout;
        }}
    }}
}}
# {generation}
"""


class Balancer:
    """nginx before the gateways.

    Args:
        folder: for its configuration and temporary files.
        port: where clients come.
        gateways: the gateways' ports, on 127.0.0.1.
    """

    def __init__(self, folder: Path, port: int, gateways: Sequence[int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._port = port
        self._gateways = tuple(gateways)
        self._generation = 0
        self._write(())
        command = [program("nginx"), "-p", str(folder), "-c", str(self._configuration)]
        self.managed = Managed("nginx", command, dict(os.environ), folder / "nginx.log")

    @property
    def _configuration(self) -> Path:
        return self._folder / "nginx.conf"

    def _write(self, without: Sequence[int]) -> None:
        self._generation += 1
        # One failure is no reason to leave a gateway out: both may wait for the same Redis.
        servers = "".join(
            f"        server 127.0.0.1:{port} max_fails=0{' down' if port in without else ''};\n"
            for port in self._gateways
        )
        self._configuration.write_text(
            CONFIGURATION.format(
                user="user root;\n" if os.geteuid() == 0 else "",
                folder=self._folder,
                servers=servers,
                port=self._port,
                generation=self._generation,
            )
        )

    def send_to_all(self) -> None:
        """Give every gateway new requests."""
        self._turn(())

    def leave_out(self, gateways: Sequence[int]) -> None:
        """Give some gateways no new requests; return when no worker of nginx sends them any.

        Requests under way go on, and nginx's older worker with them, until they are answered.
        """
        self._turn(gateways)

    def _turn(self, without: Sequence[int]) -> None:
        assert self.managed.process is not None
        master = self.managed.process.pid
        before = set(family(master)[1:])
        self._write(without)
        os.kill(master, signal.SIGHUP)
        until = time.monotonic() + TURNS_S
        while time.monotonic() < until and not set(family(master)[1:]) - before:
            time.sleep(0.05)
        # Older workers end when what they hold is answered; streams may take them long.
        while time.monotonic() < until and set(family(master)) & before:
            time.sleep(0.05)
