"""One segment of a finished job said anew: what of that job the new one is made of.

When such a job is accepted the ledger gives it a copy of the segments, chapters and words of the
job it is made from. Planners take it from there, in slices: what comes before the segment, its
new text, what comes after it. Kept segments are those that their audio is stored of; nothing else
of them is known any more.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.languages import Language, language_of_voice
from shared.spoken import SpokenRow
from shared.voices import parse_voice

if TYPE_CHECKING:
    from shared.ledger.records import JobRecord

REDO_VERSION = 1


@dataclass(frozen=True)
class Said:
    """How a text that was said anew is spoken, as far as that may differ from its job.

    Attributes:
        lexicons: `name@version` each, in the order they were asked for.
    """

    language: Language
    speed: float
    normalize: bool
    lexicons: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Encode for the ledger."""
        return {**vars(self), "lexicons": list(self.lexicons)}

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> "Said":
        """Decode what `to_wire` wrote."""
        # An empty list has been through Lua, which knows no difference to an empty object.
        lexicons = tuple(fields["lexicons"] or ())
        language = Language(fields["language"])
        return cls(language, float(fields["speed"]), bool(fields["normalize"]), lexicons)


@dataclass(frozen=True)
class Redo:
    """What a job says anew, and of which.

    Attributes:
        job: id of the job it is made from, as its client knows it.
        uid: of that job.
        segment: index of the segment whose place the new text takes.
        total: how many segments that job has.
        start: index of that segment's first character, in that job's input.
        end: index after its last one.
        voice: that speaks the new text, as a mark would name it; empty for the job's own.
        said: how the new text is spoken; its lexicons are as they were asked for.
        follow_voice: as in `JobSpec`, for the new text.
        lexicons: `name@version` each, of all that is not said anew.
    """

    job: str
    uid: str
    segment: int
    total: int
    start: int
    end: int
    voice: str
    said: Said
    follow_voice: bool = False
    lexicons: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Encode for the ledger."""
        fields = {**vars(self), "v": REDO_VERSION, "said": self.said.to_wire()}
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Redo":
        """Decode what `to_json` wrote."""
        fields = json.loads(text)
        del fields["v"]
        fields["lexicons"] = tuple(fields["lexicons"])
        return cls(**{**fields, "said": Said.from_wire(fields["said"])})


@dataclass(frozen=True)
class Source:
    """A submission that says a segment anew, on its way into the ledger.

    Attributes:
        redo: what it is.
        words: what all segments of the job it is made from say; empty where no captions are made.
    """

    redo: Redo
    words: tuple[SpokenRow, ...] = ()


@dataclass(frozen=True)
class KeptSegment:
    """A segment of a job that has ended, as far as another can be made of it.

    Attributes:
        start: index of its first character in its job's input.
        end: index after its last one.
        samples: of silence, for a pause.
        hash: that its audio is stored under; None for a pause.
        length: its phonemes.
        voice: as a mark named it; empty for its job's own.
        said: how it is spoken, where it was said anew.
    """

    start: int
    end: int
    samples: int
    hash: str | None
    length: int = 0
    voice: str = ""
    said: Said | None = None

    @classmethod
    def from_json(cls, text: str | bytes) -> "KeptSegment":
        """Read it from its field in a job's hash of segments."""
        fields: dict[str, Any] = json.loads(text)
        said = fields.get("said")
        return cls(
            fields["start"],
            fields["end"],
            fields.get("samples") or 0,
            fields.get("hash"),
            fields.get("length", 0),
            fields.get("voice", ""),
            Said.from_wire(said) if said else None,
        )


def how_said(job: "JobRecord", segment: KeptSegment) -> Said:
    """Return how a segment of a job is spoken."""
    if segment.said is not None:
        return segment.said
    spec = job.spec
    language = spec.language
    if segment.voice and spec.follow_voice:
        language = language_of_voice(parse_voice(segment.voice).main)
    lexicons = job.redo.lexicons if job.redo else job.lexicons
    return Said(language, spec.speed, spec.normalize, lexicons)
