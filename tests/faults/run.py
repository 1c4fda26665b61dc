"""Rows of the fault table: what is done, what must hold, and what came of it."""

import contextlib
import random
import statistics
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.checker import Verdict, check
from tests.faults.cluster import FaultCluster, StillNotSo
from tests.faults.events import read_events

LEASE_S = 5.0
RECOVERY_S = 8.0
"""A lease, the grace after it, and two rounds of the reconciler."""


class CannotTry(Exception):
    """This machine lacks what the row needs; the reason is the message."""


@dataclass(frozen=True)
class Held:
    """Whether one thing that must hold did."""

    what: str
    held: bool
    detail: str


@dataclass
class Run:
    """One row being tried.

    Attributes:
        tried: times the fault was injected.
        recoveries_s: how long each took to be over.
        musts: what had to hold.
    """

    folder: Path
    seed: int
    quick: bool = False
    tried: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    musts: list[Held] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    @property
    def slack(self) -> float:
        """By how much bounds in seconds are wider: beside a quick run other tests run too."""
        return 3.0 if self.quick else 1.0

    def times(self, many: int, *, quick: int) -> int:
        """Return how often to try, in this run."""
        return quick if self.quick else many

    def fault(self) -> None:
        """Say that the fault was injected once more."""
        self.tried += 1

    def recovered(self, seconds: float) -> None:
        """Say how long it took to be over."""
        self.recoveries_s.append(seconds)

    def must(self, what: str, held: bool, detail: object = "") -> None:
        """Say whether something held that must."""
        self.musts.append(Held(what, bool(held), str(detail)))

    def must_recover_within(self, seconds: float) -> None:
        """Say that no recovery may have taken longer."""
        worst = max(self.recoveries_s, default=float("inf"))
        bound_s = seconds * self.slack
        self.must(f"recovered within {bound_s:g} s", worst <= bound_s, f"worst {worst:.1f} s")

    @contextlib.contextmanager
    def cluster(self, name: str = "cluster", **wanted: Any) -> Iterator[FaultCluster]:
        """Give a cluster of its own for a block, then look at every job and check its log."""
        cluster = FaultCluster(self.folder / name, seed=self.dice.getrandbits(32), **wanted)
        try:
            yield cluster
            cluster.audit()
        except StillNotSo as error:
            self.must("all came about in time", False, error)
        finally:
            cluster.stop()
            verdict = check(read_events(cluster.log.path.read_text().splitlines()))
            self.verdicts.append(verdict)

    def result(self) -> "Result":
        """Return what came of it."""
        violations = [str(v) for verdict in self.verdicts for v in verdict.violations]
        times = sorted(self.recoveries_s)
        return Result(
            tried=self.tried,
            accepted=sum(verdict.accepted for verdict in self.verdicts),
            lost=sum(verdict.count("lost") for verdict in self.verdicts),
            double=sum(verdict.count("double") for verdict in self.verdicts),
            recovery_p50_s=statistics.median(times) if times else None,
            recovery_max_s=times[-1] if times else None,
            musts=tuple(self.musts),
            violations=tuple(violations),
        )


@dataclass(frozen=True)
class Result:
    """A row of the table."""

    tried: int
    accepted: int
    lost: int
    double: int
    recovery_p50_s: float | None
    recovery_max_s: float | None
    musts: tuple[Held, ...]
    violations: tuple[str, ...]
    skipped: str | None = None

    @property
    def broken(self) -> list[str]:
        """What did not hold, a line each."""
        musts = [f"not so: {must.what} ({must.detail})" for must in self.musts if not must.held]
        untried = ["the fault was never injected"] if not self.tried and not self.skipped else []
        return [*untried, *musts, *self.violations]

    @property
    def held(self) -> bool:
        """Whether everything held."""
        return self.skipped is None and not self.broken


def skipped(reason: str) -> Result:
    """Return the row of a fault that could not be tried here."""
    return Result(0, 0, 0, 0, None, None, (), (), reason)


@dataclass(frozen=True)
class Row:
    """A fault.

    Attributes:
        quick: whether it is part of the subset that runs with every test run.
        alone: whether its bounds are too tight for another row beside it.
    """

    number: int
    fault: str
    must_hold: str
    try_it: Callable[[Run], None]
    quick: bool
    alone: bool


ROWS: dict[int, Row] = {}


def row(
    number: int, fault: str, must_hold: str, *, quick: bool = False, alone: bool = False
) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Register a function as the row that tries a fault."""

    def register(try_it: Callable[[Run], None]) -> Callable[[Run], None]:
        ROWS[number] = Row(number, fault, must_hold, try_it, quick, alone)
        return try_it

    return register


def try_row(number: int, folder: Path, seed: int, *, quick: bool = False) -> Result:
    """Try a fault; return what came of it."""
    run = Run(folder, seed, quick)
    try:
        ROWS[number].try_it(run)
    except CannotTry as error:
        return skipped(str(error))
    except Exception as error:  # the other rows are still to be tried, and this one did not hold
        run.must("the row ran to its end", False, "".join(traceback.format_exception(error)))
    return run.result()
