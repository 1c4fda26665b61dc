"""What the doctor says of one thing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.settings import Settings


class Verdict(StrEnum):
    """How a thing is."""

    OK = "ok"
    """As it should be."""
    WARNING = "warning"
    """It works, and may fail or be worse than it could."""
    ERROR = "error"
    """A process that needs it will not work, or accepted jobs are not safe."""
    SKIPPED = "skipped"
    """It can't be looked at here, or depends on something that failed."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: `settings`, `redis`, `storage`, `model`, `g2p`, `gpu` or `machine`.
        check: what was looked at, in one or two words.
        verdict: how it is.
        detail: what was seen.
        remedy: what to do; None where there is nothing to do.
    """

    area: str
    check: str
    verdict: Verdict
    detail: str
    remedy: str | None = None


Examination = Callable[[Settings], Iterator[Finding]]
"""Looks at one area. It raises nothing: what fails is a finding."""
