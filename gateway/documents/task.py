"""What the gateway and the process that reads a document say to one another."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """One form to read, and the bounds of doing so.

    Attributes:
        content_type: of the form, with its boundary.
        file_bytes: of the form's file.
        text_chars: of the document's text.
        memory_bytes: of the process's address space.
        cpu_s: of the processor's time.
        wall_s: of anyone's time.
        answer_bytes: of what the process may write.
    """

    content_type: str
    file_bytes: int
    text_chars: int
    memory_bytes: int
    cpu_s: int
    wall_s: int
    answer_bytes: int

    def to_json(self) -> str:
        """Encode for the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """Decode what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Answer:
    """What a form came to, its document's text apart.

    Attributes:
        fields: of the form, name and value, in order.
        kind: of document.
        sha256: 64 hex digits over the file.
        title: see `Document`; so are the others.
        remarks: code and detail each.
    """

    fields: list[tuple[str, str]]
    kind: str
    sha256: str
    title: str
    author: str
    language: str
    remarks: list[tuple[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is written."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> "Answer":
        """Read what `to_dict` gave."""
        pairs = {
            name: [(str(first), str(second)) for first, second in row[name]]
            for name in ("fields", "remarks")
        }
        return cls(**{**row, **pairs})
