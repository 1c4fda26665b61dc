"""What workers do at each stage: claim, and then finish, fail, give back or forget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import strategies as st

from shared.bell import Stage
from shared.errors import LostLease
from shared.ledger.messages import (
    AssemblyClaim,
    DeliveryClaim,
    NewSegment,
    PlanClaim,
    SegmentClaim,
)
from shared.ledger.redo import KeptSegment
from shared.ledger.states import DeliveryStatus, JobStatus
from shared.ledger.work import ALIKE_RATIO, ANY_SIZE, WorkLedger
from tests.integration.ledger.machine.base import (
    BAD,
    LENGTHS,
    Hand,
    picks,
    seldom,
    workers,
)
from tests.integration.ledger.machine.mishaps import Mishaps
from tests.integration.ledger.machine.promises import HOST_SLOTS

RESULTS = (
    (DeliveryStatus.DELIVERED, 0),
    (DeliveryStatus.GONE, 0),
    (DeliveryStatus.EXHAUSTED, 0),
    (DeliveryStatus.PENDING, 0),
    (DeliveryStatus.PENDING, 3600),
)


@dataclass(frozen=True)
class Wanted:
    """A claim by one of the workers.

    Attributes:
        pick: of the stages that have something to claim.
        deadly: whether what it was given ends it.
    """

    worker: str
    pick: int
    bytes_most: int
    most: int
    phonemes: int
    ahead: bool
    deadly: bool
    again: bool


@dataclass(frozen=True)
class Way:
    """How somebody goes on with what it holds.

    Attributes:
        first: rather than that something else is claimed.
        begins: whether there is more to come: of a text, or of a delivery whose body is frozen.
    """

    pick: int
    course: str
    parts: list[str]
    first: bool
    begins: bool
    most: int
    result: tuple[DeliveryStatus, int]
    again: bool


claims = st.builds(
    Wanted,
    worker=workers,
    pick=picks,
    bytes_most=st.sampled_from([1, 4, 100]),
    most=st.integers(1, 4),
    phonemes=st.sampled_from([ANY_SIZE, ANY_SIZE, 24]),
    ahead=st.booleans(),
    deadly=st.sampled_from([False] * 11 + [True]),
    again=seldom,
)
ways = st.builds(
    Way,
    pick=picks,
    course=st.sampled_from(["well"] * 16 + ["transient"] * 3 + ["permanent"]),
    parts=st.lists(st.sampled_from(["new", "new", "", BAD, BAD, *LENGTHS]), min_size=1, max_size=3),
    first=st.booleans(),
    begins=st.sampled_from([False] * 5 + [True]),
    most=st.integers(1, 8),
    result=st.sampled_from(RESULTS),
    again=seldom,
)


@dataclass(frozen=True)
class Late:
    """Somebody finishes, or fails, what is no longer theirs."""

    kind: int
    pick: int
    finishing: bool


lates = st.builds(Late, kind=st.sampled_from(range(12)), pick=picks, finishing=st.booleans())


class Workers(Mishaps):
    """Any of them works at any stage, and for each the ledger is the only witness."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.bodies: dict[str, bytes] = {}

    def work(self, wanted: Wanted, way: Way) -> bool:
        """Have somebody go on with what it holds, or claim what there is; False if all is done."""
        if self.hands and (way.first or not self.stages()):
            self.go_on(way)
        elif self.stages():
            self.claim_something(wanted)
        else:
            return False
        if wanted.deadly:
            self.end(wanted.worker, wanted.again, stopped=False)
        return True

    def claim_something(self, wanted: Wanted) -> None:
        ledger = self.ledger(wanted.worker)
        stages = self.stages()
        match stages[wanted.pick % len(stages)]:
            case Stage.PLAN:
                self.claim_plan(ledger, wanted)
            case Stage.SYNTH:
                self.claim_segments(ledger, wanted)
            case Stage.ASSEMBLE:
                self.claim_assembly(ledger, wanted)
            case Stage.DELIVER:
                self.claim_delivery(ledger, wanted)

    def stages(self) -> list[Stage]:
        """Return the stages with something to claim, or to be refused."""
        waiting = {
            Stage.PLAN: {**self.now.scores("kc:queue:plan"), **self.now.scores("kc:queue:redo")},
            Stage.SYNTH: self.now.waiting(),
            Stage.ASSEMBLE: self.now.assembly_queue(),
            Stage.DELIVER: self.now.scores("kc:due"),
        }
        return [stage for stage, work in waiting.items() if work]

    def go_on(self, way: Way) -> None:
        """Somebody goes on with what it holds."""
        hand = self.hands[way.pick % len(self.hands)]
        well = way.course == "well"
        match hand.claim:
            case SegmentClaim() if not hand.begun:
                batch = self.batch_of(hand, way.most)
                (self.begin_segments if well else self.return_segments)(batch, way.again)
            case SegmentClaim() if well:
                self.finish_segments(self.batch_of(hand, way.most), way.again)
            case DeliveryClaim() if way.most % 2:
                self.freeze_body(hand, way.again)
            case DeliveryClaim():
                self.record_attempt(hand, way)
            case PlanClaim() if well:
                self.add_segments(hand, way)
            case AssemblyClaim() if well:
                self.finish_job(hand, way.again)
            case _:
                self.fail(hand, way.course, way.again)

    def batch_of(self, hand: Hand, most: int) -> list[Hand]:
        """Return this segment and others that the same process is as far with."""
        others = [
            other
            for other in self.hands
            if isinstance(other.claim, SegmentClaim)
            and other.ledger.incarnation == hand.ledger.incarnation
            and (other.begun, other is hand) == (hand.begun, False)
        ]
        return [hand, *others][:most]

    def fail(self, hand: Hand, code: str, again: bool) -> None:
        fail = hand.ledger.fail_segment
        if not isinstance(hand.claim, SegmentClaim):
            fail = hand.ledger.fail_stage  # type: ignore[assignment]
        self.drop(hand)
        permanent = code == "permanent"
        self.say_of_own(
            hand, lambda: fail(hand.claim, code=code, message="", permanent=permanent), again
        )

    # Plan

    def claim_plan(self, ledger: WorkLedger, wanted: Wanted) -> None:
        claim = self.claim(lambda: ledger.claim_plan(bytes_most=wanted.bytes_most), wanted.again)
        if claim is None:
            assert not self.now.scores("kc:queue:plan")
            assert not self.now.scores("kc:queue:redo")
            return
        self.check_wanted(claim.uid)
        text = self.accepted[claim.uid].input.encode()
        assert claim.bytes_done == self.planned_bytes[claim.uid]
        if claim.redo is None:
            assert claim.text == text[claim.bytes_done :][: wanted.bytes_most]
        else:
            assert claim.text == text
            assert claim.state.at == self.kept[claim.uid]
        self.give(ledger, claim)

    def add_segments(self, hand: Hand, way: Way) -> None:
        if hand.claim.redo is not None:
            self.add_redone(hand, way)
            return
        self.drop(hand)
        claim = hand.claim
        done = min(claim.bytes_done + 1, len(self.accepted[claim.uid].input.encode()))
        segments = [self.segment(part) for part in way.parts]

        def add() -> None:
            hand.ledger.add_segments(
                claim, segments, bytes_done=done, chars_done=done, final=not way.begins
            )

        if self.say_of_own(hand, add, way.again, sliced=claim.uid):
            self.planned_bytes[claim.uid] = done

    def add_redone(self, hand: Hand, way: Way) -> None:
        """Keep what another job has, or plan what takes the place of one segment of it."""
        self.drop(hand)
        claim = hand.claim
        add, stop = self.redone(hand.ledger, claim, way.parts, way.most)
        if self.say_of_own(hand, add, way.again, sliced=claim.uid):
            self.kept[claim.uid] = stop
            self.check_kept(claim)

    def redone(
        self, ledger: WorkLedger, claim: PlanClaim, parts: list[str], most: int
    ) -> tuple[Callable[[], None], int]:
        """Return what records the next slice, and how much of the other job is dealt with then."""
        redo, at, state = claim.redo, claim.state.at, claim.state
        assert redo is not None
        if claim.keeps:
            stop = min(at + most, redo.segment if at < redo.segment else redo.total)
            rows = self.client.hmget(
                f"kc:job:{claim.uid}:source", [str(i) for i in range(at, stop)]
            )
            found = [KeptSegment.from_json(row) for row in rows if row is not None]
            segments = [NewSegment.kept(segment, moved=0) for segment in found]
            speaks = state.speaks
        else:
            stop, segments = at + 1, [self.segment(part) for part in parts]
            speaks = any(segment.payload is not None for segment in segments)
        final = stop == redo.total

        def add() -> None:
            ledger.add_segments(
                claim,
                segments,
                bytes_done=0,
                chars_done=0,
                final=final,
                state=replace(state, at=stop, speaks=speaks),
                speech=speaks and final,
            )

        return add, stop

    def check_kept(self, claim: PlanClaim) -> None:
        """There is no hole in what was planned so far; else the job has failed by name."""
        uid, at = claim.uid, self.kept[claim.uid]
        source, index = self.sources[uid]
        if not self.now.is_open(uid):
            assert self.now.jobs[uid]["error_code"] in {"segment_gone", "nothing_to_speak"}
            return
        assert (self.now.jobs[uid]["planned"] == "1") == (at == len(source))
        found = [s.get("hash") for _, s in sorted(self.now.segments(uid).items())]
        assert found[: min(at, index)] == source[: min(at, index)]
        after = source[index + 1 : at]
        assert found[len(found) - len(after) :] == after

    # Synth

    def claim_segments(self, ledger: WorkLedger, wanted: Wanted) -> None:
        batch = self.claim(
            lambda: ledger.claim_segments(
                wanted.most, phonemes=wanted.phonemes, ahead=wanted.ahead
            ),
            wanted.again,
        )
        waiting = self.now.waiting()
        assert batch or not waiting, "some wait, and nobody gets them"
        assert not waiting or "synth" in self.now.rung
        assert len(batch) <= wanted.most
        if len(batch) > 1:
            lengths = [len(claim.payload.phonemes) for claim in batch]
            assert not any(claim.solo for claim in batch)
            assert max(lengths) * len(batch) <= wanted.phonemes
            assert max(lengths) <= ALIKE_RATIO * min(lengths)
        self.give(ledger, *batch, begun=not wanted.ahead)

    def begin_segments(self, batch: list[Hand], again: bool) -> None:
        ledger = batch[0].ledger
        claims = [hand.claim for hand in batch]
        wanted = [claim for claim in claims if self.now.is_open(claim.uid)]
        assert self.say(lambda: ledger.begin_segments(claims), again) == wanted
        for hand in batch:
            hand.begun = True
        self.drop(*(hand for hand in batch if hand.claim not in wanted))

    def return_segments(self, batch: list[Hand], again: bool) -> None:
        ledger = batch[0].ledger
        self.drop(*batch)
        claims = [hand.claim for hand in batch]
        self.say(lambda: ledger.return_segments(claims), again, forgiving=True)

    def finish_segments(self, batch: list[Hand], again: bool) -> None:
        ledger = batch[0].ledger
        # Said no more: from here on its object is the ledger's to keep or to sweep.
        self.drop(*batch, stale=False)
        claims = [hand.claim for hand in batch]
        self.say(lambda: self.store(ledger, *claims), again)
        for claim in claims:
            if self.now.is_open(claim.uid):
                assert self.now.segments(claim.uid)[claim.index]["status"] == "done"

    # Assemble

    def claim_assembly(self, ledger: WorkLedger, wanted: Wanted) -> None:
        claim = self.claim(lambda: ledger.claim_assembly(long_most=1), wanted.again)
        if claim is not None:
            self.check_wanted(claim.uid)
            self.give(ledger, claim)
            return
        assert not self.now.scores("kc:queue:assemble")
        if self.now.scores("kc:queue:assemble:long"):
            assert self.now.members(f"kc:long:{wanted.worker}")

    def finish_job(self, hand: Hand, again: bool) -> None:
        self.drop(hand)
        if self.say_of_own(hand, lambda: self.finish(hand.ledger, hand.claim), again):
            assert self.now.jobs[hand.claim.uid]["status"] == JobStatus.SUCCEEDED
            self.stale.remove(hand)  # said late, it is only said twice

    # Deliver

    def claim_delivery(self, ledger: WorkLedger, wanted: Wanted) -> None:
        before = self.now
        claim = self.claim(lambda: ledger.claim_delivery(host_slots=HOST_SLOTS), wanted.again)
        if claim is None:
            for host, times in self.now.under("kc:due:"):
                full = len(self.now.members(f"kc:sending:{host}")) >= HOST_SLOTS
                assert full or min(times.values()) > before.now_ms
            return
        row = self.now.deliveries[claim.id]
        assert float(row["next_ms"]) <= self.now.now_ms
        assert claim.attempt == int(row["attempts"])
        assert claim.body == self.bodies.get(claim.id)
        self.give(ledger, claim)

    def freeze_body(self, hand: Hand, again: bool) -> None:
        claim = hand.claim
        self.made += 1
        body = f"body {self.made}".encode()
        if claim.id not in self.now.deliveries:
            self.say_in_vain(lambda: hand.ledger.freeze_body(claim, body))
            return
        frozen = self.say(lambda: hand.ledger.freeze_body(claim, body), again)
        assert frozen == self.bodies.setdefault(claim.id, body)

    def record_attempt(self, hand: Hand, way: Way) -> None:
        self.drop(hand)

        def record() -> None:
            status, next_s = way.result
            hand.ledger.record_attempt(hand.claim, status=status, next_s=next_s, entry={})

        if self.say_of_own(hand, record, way.again):
            assert self.now.deliveries[hand.claim.id]["status"] == way.result[0]

    # Too late

    def go_on_too_late(self, late: Late) -> None:
        """Somebody whose work was taken back goes on as if it had not been."""
        if not self.stale:
            return
        # Where a job is still open there is something to spoil; each kind as often as the others.
        open_ones = [hand for hand in self.stale if self.is_open(hand.claim)]
        kinds: dict[type[Any], list[Hand]] = {}
        for hand in open_ones or self.stale:
            kinds.setdefault(type(hand.claim), []).append(hand)
        hands = list(kinds.values())[late.kind % len(kinds)]
        hand = hands[late.pick % len(hands)]
        ledger, claim, finishing = hand.ledger, hand.claim, late.finishing
        match claim:
            case SegmentClaim() if finishing:
                self.stale.remove(hand)
                told = self.now.work(held=False, audio=False)
                self.say(lambda: self.store(ledger, claim))
                assert self.now.work(held=False, audio=False) == told
            case SegmentClaim():
                told = self.now.work(held=False, audio=False)
                assert self.say(lambda: ledger.begin_segments([claim])) == []
                self.say(lambda: ledger.return_segments([claim]))
                with pytest.raises(LostLease):
                    ledger.fail_segment(claim, code="permanent", message="", permanent=True)
                self.say(lambda: None)
                assert self.now.work(held=False, audio=False) == told
            case DeliveryClaim():
                status = DeliveryStatus.DELIVERED
                self.say_in_vain(
                    lambda: ledger.record_attempt(claim, status=status, next_s=0, entry={})
                )
            case AssemblyClaim() if finishing:
                self.say_in_vain(lambda: self.finish(ledger, claim))
            case PlanClaim() if finishing:
                self.say_in_vain(
                    lambda: ledger.add_segments(
                        claim, [self.segment("new")], bytes_done=1, chars_done=1, final=True
                    )
                )
            case _:
                self.say_in_vain(
                    lambda: ledger.fail_stage(claim, code="permanent", message="", permanent=True)
                )
