"""Other words or phonemes for stretches of spoken text, each still traceable to the input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from worker.plan.markup import Override, SpokenText

Rewrite = Callable[[SpokenText], SpokenText]
"""A pass over spoken text, before it is cut into sentences."""


@dataclass(frozen=True)
class Change:
    """What becomes of a stretch of spoken text.

    Attributes:
        start: index of its first character in the spoken text.
        end: index after its last.
        text: to be read instead; empty when there are phonemes.
        phonemes: to be spoken, the text staying as it is.
    """

    start: int
    end: int
    text: str = ""
    phonemes: str = ""


def rewritten(spoken: SpokenText, changes: Sequence[Change]) -> SpokenText:
    """Return `spoken` with `changes` made.

    A stretch that was changed is held together by an override, so that no sentence, and no window
    of a long text, begins inside it.

    Args:
        spoken: what they are made in.
        changes: ascending, without overlap, none of them over an override.
    """
    if not changes:
        return spoken
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    overrides: list[Override] = []
    waiting = list(reversed(spoken.overrides))
    position = 0

    def copy(end: int) -> None:
        nonlocal position
        shift = len(starts) - position
        while waiting and waiting[-1].start < end:
            kept = waiting.pop()
            overrides.append(replace(kept, start=kept.start + shift, end=kept.end + shift))
        text.append(spoken.text[position:end])
        starts.extend(spoken.starts[position:end])
        ends.extend(spoken.ends[position:end])
        position = end

    for change in changes:
        copy(change.start)
        said = change.text or spoken.text[change.start : change.end]
        begun = len(starts)
        text.append(said)
        if change.text:
            starts.extend([spoken.starts[change.start]] * len(said))
            ends.extend([spoken.ends[change.end - 1]] * len(said))
        else:
            starts.extend(spoken.starts[change.start : change.end])
            ends.extend(spoken.ends[change.start : change.end])
        overrides.append(Override(begun, len(starts), change.phonemes))
        position = change.end
    copy(len(spoken.text))
    return SpokenText("".join(text), starts, ends, tuple(overrides))


def free_of_overrides(spoken: SpokenText, start: int, end: int) -> bool:
    """Tell whether nobody has prescribed how a stretch is said."""
    return all(o.end <= start or end <= o.start for o in spoken.overrides)
