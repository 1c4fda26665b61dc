"""The planner's product."""

from dataclasses import dataclass, field
from enum import StrEnum

from shared.languages import Language
from shared.spoken import PAUSE, SpokenSegment


class SegmentKind(StrEnum):
    """What a segment puts into the audio."""

    SPEECH = "speech"
    PAUSE = "pause"


@dataclass(frozen=True)
class PlanWarning:
    """Something a client should know about a segment.

    Attributes:
        code: stable: `oov_word`, `g2p_degraded`, `unspeakable_text`, ….
        detail: the word or the reason, for a person.
    """

    code: str
    detail: str


@dataclass(frozen=True)
class PlannedSegment:
    """A stretch of the input that is rendered, stored and recovered as one.

    Attributes:
        kind: speech or pause.
        start: index of its first character in the job's input.
        end: index after its last character.
        text: what is spoken, markup resolved; empty for a pause.
        phonemes: 1 to 510 characters for speech; empty for a pause.
        pause_s: seconds of silence; 0 for speech.
        warnings: about this segment.
        voice: as a mark in the input names it; empty where the job's own speaks.
        language: of that voice, where that is not the job's; else None.
        spoken: which phonemes say which words.
    """

    kind: SegmentKind
    start: int
    end: int
    text: str = ""
    phonemes: str = ""
    pause_s: float = 0.0
    warnings: tuple[PlanWarning, ...] = field(default=())
    voice: str = ""
    language: Language | None = None
    spoken: SpokenSegment = PAUSE


@dataclass(frozen=True)
class PlannedChapter:
    """Where a chapter begins.

    Attributes:
        title: as the mark has it.
        segment: index of its first segment, counted from the slice's first.
    """

    title: str
    segment: int


@dataclass(frozen=True)
class PlannedSlice:
    """One window of text, planned.

    Attributes:
        segments: in the order of the text.
        consumed: how many characters of the window they account for; the next window starts there.
        warnings: about stretches that gave no segment.
        guessed: words of it that stand in no dictionary, with how they are said all the same.
        chapters: that begin in what was consumed, in order.
        voice: that speaks where the next window starts, as `PlannedSegment.voice`.
    """

    segments: tuple[PlannedSegment, ...]
    consumed: int
    warnings: tuple[PlanWarning, ...] = ()
    guessed: tuple[tuple[str, str], ...] = ()
    chapters: tuple[PlannedChapter, ...] = ()
    voice: str = ""
