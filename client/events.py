"""Server-Sent Events from bytes, as the HTML standard has them (section 9.2.6)."""

import json
from dataclasses import dataclass, field
from typing import Any

from client.errors import UnreadableAnswer

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A stream that sends more than this without finishing an event is not a cluster's."""


@dataclass(frozen=True)
class ServerEvent:
    """One event.

    Attributes:
        name: its kind.
        data: parsed JSON.
        id: to go on from, or "" for an event that is not repeated.
    """

    name: str
    data: dict[str, Any]
    id: str = ""


@dataclass
class EventParser:
    """Cuts a stream into events, wherever its chunks end.

    Attributes:
        last_id: of the last event that had one: where a new connection goes on.
    """

    last_id: str = ""
    _rest: bytes = b""
    _name: str = ""
    _id: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that this chunk finishes.

        Raises:
            UnreadableAnswer: the data of one is no JSON object, or it has no end.
        """
        text = self._rest + chunk
        # A CR at the very end may be the first half of a CR LF.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise UnreadableAnswer("The stream of events sends one that has no end.")
        found = [self._take(line.decode("utf-8", "replace")) for line in lines]
        return [event for event in found if event is not None]

    def forget_half(self) -> None:
        """Drop what a connection had begun to send when it broke."""
        self._rest, self._name, self._id, self._data = b"", "", "", []

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        return None  # a comment (its name is empty), or a field of no use here

    def _finish(self) -> ServerEvent | None:
        name, event_id, text = self._name, self._id, "\n".join(self._data)
        self._name, self._id, self._data = "", "", []
        if not text:
            return None
        try:
            data = json.loads(text)
        except ValueError as error:
            raise UnreadableAnswer(f"An event's data is not JSON: {text[:80]!r}.") from error
        if not isinstance(data, dict):
            raise UnreadableAnswer(f"An event's data is not an object: {text[:80]!r}.")
        if event_id:
            self.last_id = event_id
        return ServerEvent(name, data, event_id)
