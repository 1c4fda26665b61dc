"""A real HTTP server on loopback that answers as told, for what no whole server does at will.

It closes connections in the middle, is full, forgets, and speaks as newer servers may.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        pieces: of the body; the connection breaks after the last if `breaks`.
        closes: end the connection without a word.
        live: the length is not said beforehand.
    """

    status: int = 200
    pieces: tuple[bytes, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    closes: bool = False
    live: bool = False

    @classmethod
    def of(cls, data: Any, status: int = 200, **headers: str) -> "Answer":
        """Answer with JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Content-Type"] = "application/json"
        return cls(status, (json.dumps(data).encode(),), named)

    @classmethod
    def error(cls, status: int, code: str, **headers: str) -> "Answer":
        """Answer with the API's one body for errors."""
        detail = {"message": f"It is {code}.", "type": "t", "code": code, "param": None}
        return cls.of({"error": detail}, status, **headers)

    @classmethod
    def stream(cls, *pieces: bytes, breaks: bool = False) -> "Answer":
        """Answer with events."""
        return cls(200, pieces, {"Content-Type": "text/event-stream"}, breaks, live=True)


GONE = Answer(closes=True)
FULL = Answer.error(503, "system_full", Retry_After="0")


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class AnswersServer:
    """Answers each address with what was laid out for it, in order, the last again and again."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _answers: dict[str, list[Answer]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lay(self, address: str, *answers: Answer) -> None:
        """Lay out answers for `METHOD /path`."""
        self._answers[address] = list(answers)

    def take(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            path = request.path.partition("?")[0]
            answers = self._answers.get(f"{request.method} {path}")
            if not answers:
                return Answer.error(404, "not_found")
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def asked(self, address: str) -> list[Request]:
        """Return what came for `METHOD /path`."""
        return [r for r in self.requests if f"{r.method} {r.path.partition('?')[0]}" == address]


@contextmanager
def answers_server() -> Iterator[AnswersServer]:
    """Run one for the length of a block."""
    server = AnswersServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            found = server.take(Request(self.command, self.path, dict(self.headers), body))
            if found.closes:
                self._hang_up()
                return
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            whole = b"".join(found.pieces)
            if found.live:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in found.pieces:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.flush()
                if not found.breaks:
                    self.wfile.write(b"0\r\n\r\n")
            elif found.status != 204:
                length = len(whole) + 1000 * found.breaks
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(whole)
            else:
                self.end_headers()
            self.wfile.flush()
            if found.breaks:
                self._hang_up()

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join(10)
