"""A way to Redis that can turn into a black hole: it takes everything and answers nothing."""

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit


class BlackHole:
    """Passes bytes on to a server, or swallows them while `open`.

    A connection that was there meanwhile stays mute for good, as after a lost route.

    Args:
        url: of the server, `redis://host:port/db`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        self.open = False
        self.swallowed = 0
        self._ends: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:  # closed
                return
            self._ends += [client, server]
            mute = threading.Event()
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(*pair, mute), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, mute: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.open:
                    mute.set()
                if mute.is_set():
                    self.swallowed += len(data)
                else:
                    target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
