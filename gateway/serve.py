"""Runs the application in uvicorn on one address."""

import errno
import ipaddress
import signal
import socket
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.protocol import HEAD_TIMEOUT_S, UNREAD_TIMEOUT_S, BoundedHttp
from shared import tracing
from shared.errors import InvalidSettings
from shared.logs import configure_logging
from shared.settings import Settings

KEEP_ALIVE_S = 30
"""How long a connection may be idle between two requests."""
GRACE_S = 5
"""How long requests under way may take once the server is told to stop."""
BACKLOG = 2048


class Server(uvicorn.Server):
    """Tells the application that it is about to stop, so that held requests are answered."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        services = getattr(self._app.state, "services", None)
        if services is not None:
            services.draining.set()
        super().handle_exit(sig, frame)


def check_exposure(settings: Settings) -> None:
    """Raise `InvalidSettings` when strangers could use the gateway and nobody said they may."""
    if settings.api_keys_file is not None or settings.insecure or _is_loopback(settings.host):
        return
    raise InvalidSettings(
        f"KC_HOST={settings.host} lets others reach the gateway, and there are no keys. Make one "
        "(`kokoro-cluster keys add`) and set KC_API_KEYS_FILE, or set KC_INSECURE=1."
    )


def bind(settings: Settings) -> socket.socket:
    """Return a listening socket.

    Raises:
        InvalidSettings: the address can't be had; the message says what to set.
    """
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; it costs 40 ms a time.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise InvalidSettings(
                f"Port {port} on {host} is taken. Choose another: KC_PORT={port + 1}."
            ) from error
        raise InvalidSettings(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Set KC_HOST and KC_PORT."
        ) from error
    listener.set_inheritable(True)
    return listener


def make_server(
    app: FastAPI,
    *,
    head_timeout_s: float = HEAD_TIMEOUT_S,
    unread_timeout_s: float = UNREAD_TIMEOUT_S,
    keep_alive_s: int = KEEP_ALIVE_S,
) -> Server:
    """Return a server for the application; `run(sockets=[…])` starts it.

    Args:
        app: what it serves.
        head_timeout_s: seconds in which a request's headers must have arrived.
        unread_timeout_s: seconds without progress after which an unread answer is given up.
        keep_alive_s: seconds a connection may be idle between two requests.
    """
    protocol = partial(
        BoundedHttp, head_timeout_s=head_timeout_s, unread_timeout_s=unread_timeout_s
    )
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # it only has to be called
        ws="none",
        lifespan="on",
        access_log=False,  # the application writes one line a request
        log_config=None,
        server_header=False,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config, app)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; then end within some five seconds.

    Raises:
        InvalidSettings: the address is taken, or open to strangers.
    """
    configure_logging(settings.log_level, settings.log_format, "gateway")
    check_exposure(settings)
    tracing.start("gateway")
    listener = bind(settings)
    server = make_server(create_app(settings))
    # uvicorn raises the signal it stopped for once more at its end: to us a normal one.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()
        tracing.stop()
    if not server.started:
        raise InvalidSettings("The gateway could not start; the log above says why.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
