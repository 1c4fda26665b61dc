"""How any script is said and what is known of it: who was given what. All else is read in Redis."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from shared.errors import LostLease
from shared.ledger.intake import ENDED_CHANNEL, Intake
from shared.ledger.messages import (
    AssemblyClaim,
    DeliveryClaim,
    NewSegment,
    PlanClaim,
    RenderedSegment,
    SegmentClaim,
)
from shared.ledger.records import NewJob, OutputFile
from shared.ledger.work import WorkLedger
from tests.integration.ledger.conftest import MANIFEST, LedgerDriver
from tests.integration.ledger.machine.picture import Picture
from tests.integration.ledger.machine.promises import ATTEMPTS_MAX, check_moment, check_step

T = TypeVar("T")
Claim = PlanClaim | SegmentClaim | AssemblyClaim | DeliveryClaim

LEASE_S = 600.0
"""Longer than any run: a lease lapses when the machine says so."""

LENGTHS = {"h0": 10, "h1": 11, "h2": 12, "h3": 40, "long": 13, "bad": 10}
"""Phonemes of the audio that jobs have in common; all else has 10."""

LONG_SAMPLES = 24_000 * 700

BAD = "bad"
"""Whoever begins to render this ends at once."""

picks = st.sampled_from(range(60))
"""Which one of several, counted round: not `integers`, which likes its ends best."""
workers = st.sampled_from(["a", "b", "c"])
seldom = st.sampled_from([False] * 3 + [True])


@dataclass(eq=False)
class Hand:
    """What one incarnation was given, as far as it heard."""

    ledger: WorkLedger
    claim: Any
    begun: bool = True


class Machine(RuleBasedStateMachine):
    """Says a script and looks at all of the ledger before and after.

    Args:
        driver: of a ledger, emptied for each run.
        intake: the same as the gateway sees it.
        runner: of the loop that `intake` lives in.
    """

    def __init__(self, driver: LedgerDriver, intake: Intake, runner: asyncio.Runner) -> None:
        super().__init__()
        driver.client.flushall()
        self.driver, self.intake, self.runner = driver, intake, runner
        self.client: redis.Redis = driver.client
        self.born = {"a": 0, "b": 0, "c": 0}
        self.hands: list[Hand] = []
        self.stale: list[Hand] = []
        self.accepted: dict[str, NewJob] = {}
        self.planned_bytes: dict[str, int] = {}
        # Of jobs that say a segment of another anew: how many of its segments are dealt with, what
        # their audio is stored under, and which one it is.
        self.kept: dict[str, int] = {}
        self.sources: dict[str, tuple[list[str | None], int]] = {}
        # Tokens were given when the clock was ahead, and are not given again now that it is right.
        self.last_token = (int(self.client.time()[0]) + 3600) * 1000
        self.client.set("kc:token", self.last_token)
        self.made = 0
        self.ended = self.client.pubsub()  # type: ignore[no-untyped-call]
        self.ended.subscribe(ENDED_CHANNEL)
        self.now = Picture(self.client)

    @contextmanager
    def step(self, *, forgiving: bool = False, sliced: str | None = None) -> Iterator[None]:
        """Check what one script makes of the ledger; the arguments are those of `check_step`."""
        before = self.now
        yield
        self.now = Picture(self.client)
        check_step(before, self.now, forgiving=forgiving, sliced=sliced)
        check_moment(self.now)

    def say(self, action: Callable[[], T], again: bool = False, **how: Any) -> T:
        """Say one script, and if its answer is lost say it again at once: that changes nothing."""
        with self.step(**how):
            answer = action()
        if again:
            told = self.now.work()
            with self.step(**how), suppress(LostLease):
                action()
            assert self.now.work() == told
        return answer

    def say_in_vain(self, action: Callable[[], object]) -> None:
        """Have somebody finish or fail what is no longer theirs, or no longer wanted."""
        told = self.now.work(held=False)
        with self.step(), pytest.raises(LostLease):
            action()
        assert self.now.work(held=False) == told

    def say_of_own(self, hand: Hand, action: Callable[[], object], again: bool, **how: Any) -> bool:
        """Finish or fail what somebody holds; False if that is no longer wanted."""
        wanted = self.is_open(hand.claim)
        if wanted:
            self.say(action, again, **how)
        else:
            self.say_in_vain(action)
        return wanted

    # Who was given what

    def ledger(self, worker: str) -> WorkLedger:
        """Return the ledger as the present process of this worker sees it."""
        return self.driver.worker(
            f"{worker}/{self.born[worker]}", lease_s=LEASE_S, attempts_max=ATTEMPTS_MAX
        )

    def claim(self, action: Callable[[], T], again: bool) -> T:
        """Claim; if the answer is lost claim again, holding more than one hears of."""
        if again:
            self.say(action)
        return self.say(action)

    def give(self, ledger: WorkLedger, *claims: Claim, begun: bool = True) -> None:
        """Note what a worker was given; each token is larger than any before."""
        for claim in claims:
            assert int(claim.token) > self.last_token
            self.last_token = int(claim.token)
            self.hands.append(Hand(ledger, claim, begun))

    def is_open(self, claim: Claim) -> bool:
        if isinstance(claim, DeliveryClaim):
            return claim.id in self.now.deliveries
        return self.now.is_open(claim.uid)

    def check_wanted(self, uid: str) -> None:
        assert self.now.is_open(uid)
        assert float(self.now.jobs[uid]["deadline_ms"]) > 0

    def drop(self, *hands: Hand, stale: bool = True) -> None:
        for hand in hands:
            self.hands.remove(hand)
        if stale:
            self.stale += hands

    def drop_all(self, ledger: WorkLedger) -> None:
        """Note that all this incarnation held was taken back."""
        self.drop(*(h for h in self.hands if h.ledger.incarnation == ledger.incarnation))

    # What workers make

    def segment(self, part: str) -> NewSegment:
        """Return a pause for '', audio that jobs have in common by its name, or else new audio."""
        if not part:
            return NewSegment(0, 1, samples=2400)
        if part in LENGTHS:
            return NewSegment(0, 1, payload=self.driver.payload(part, LENGTHS[part]))
        self.made += 1
        return NewSegment(0, 1, payload=self.driver.payload(f"n{self.made}"))

    def store(self, ledger: WorkLedger, *claims: SegmentClaim) -> list[RenderedSegment]:
        """Have segments rendered and recorded."""
        rendered = []
        for claim in claims:
            name = claim.payload.hash
            key = f"segments/{name[:2]}/{name}/{claim.token}.wav"
            samples = LONG_SAMPLES if name == "long" else 24_000
            rendered.append(RenderedSegment(claim, key, samples))
        ledger.finish_segments(rendered, synthesis_s=1, engine=MANIFEST)
        return rendered

    def finish(self, ledger: WorkLedger, claim: AssemblyClaim) -> None:
        key = f"jobs/{claim.uid}/{claim.token}/audio.mp3"
        output = OutputFile(claim.spec.outputs[0], key, 10, 1.0, "0" * 64)
        ledger.finish_job(claim, [output], encode_s=0.1)
