"""A TCP proxy whose traffic can be cut, delayed, or made to vanish, while it runs."""

import asyncio
import contextlib
import threading
from enum import StrEnum

CHUNK = 65_536


class Mode(StrEnum):
    """What becomes of the bytes."""

    PASS = "pass"
    """They go through."""
    CUT = "cut"
    """Every connection is broken, and new ones are refused."""
    SILENT = "silent"
    """Connections stay and are made, and nothing arrives: a black hole."""
    FORGOTTEN = "forgotten"
    """The connections of before are black holes for ever; new ones work. As after a firewall's
    restart."""
    FAIL_WRITES = "fail_writes"
    """HTTP: a PUT or POST is done, and answered with 500."""


class _Connection:
    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.upstream: asyncio.StreamWriter | None = None
        self.dead = False
        self.writes = False

    def abort(self) -> None:
        for writer in (self.client, self.upstream):
            if writer is not None:
                writer.transport.abort()


class Proxy:
    """Listens on a port of its own and forwards to another; runs in a thread of its own.

    Args:
        upstream_port: on 127.0.0.1.

    Attributes:
        port: where it listens, on 127.0.0.1.
        delay_s: each chunk that comes back waits for so long.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._mode = Mode.PASS
        self.delay_s = 0.0
        self.port = 0
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    @property
    def mode(self) -> Mode:
        """What becomes of the bytes now."""
        return self._mode

    def set(self, mode: Mode) -> None:
        """Have it so from now on; returns once it is."""
        done = threading.Event()

        def change() -> None:
            self._mode = mode
            for connection in list(self._connections):
                if mode is Mode.CUT:
                    connection.abort()
                elif mode is Mode.FORGOTTEN:
                    connection.dead = True
            done.set()

        self._loop.call_soon_threadsafe(change)
        done.wait(5)

    def close(self) -> None:
        """Break everything and end the thread."""
        self.set(Mode.CUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        if self._mode is Mode.CUT:
            connection.abort()
            return
        self._connections.add(connection)
        try:
            await self._passable(connection)
            upstream_reader, upstream = await asyncio.open_connection(
                "127.0.0.1", self._upstream_port
            )
            connection.upstream = upstream
            there = self._pump(connection, reader, upstream, back=False)
            back = self._pump(connection, upstream_reader, writer, back=True)
            pumps = [asyncio.create_task(there), asyncio.create_task(back)]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        except (OSError, asyncio.CancelledError):  # the latter: the proxy is being closed
            pass
        finally:
            connection.abort()
            self._connections.discard(connection)

    async def _passable(self, connection: _Connection) -> None:
        while connection.dead or self._mode is Mode.SILENT:
            await asyncio.sleep(0.02)

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        back: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._passable(connection)
                if back and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                    await self._passable(connection)
                if not back and chunk.startswith(
                    (b"PUT ", b"POST ", b"GET ", b"HEAD ", b"DELETE ")
                ):
                    connection.writes = chunk.startswith((b"PUT ", b"POST "))
                if back and self._mode is Mode.FAIL_WRITES and connection.writes:
                    chunk = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    writer.write(chunk)
                    await writer.drain()
                    return
                writer.write(chunk)
                await writer.drain()
