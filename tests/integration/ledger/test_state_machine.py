"""Whatever is said in whatever order, by however many, what the ledger promises holds."""

import asyncio
import sys
from collections import Counter

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from shared.ledger import batches, upkeep
from shared.ledger.intake import Intake
from shared.ledger.messages import SegmentClaim
from shared.ledger.states import TERMINAL, DeliveryStatus
from tests.integration.ledger.conftest import LedgerDriver
from tests.integration.ledger.machine.batches import (
    BatchClients,
    BatchRegret,
    BatchWish,
    batch_regrets,
    batch_wishes,
)
from tests.integration.ledger.machine.clients import Regret, Wish, redos, regrets, wishes
from tests.integration.ledger.machine.mishaps import Age, Fate, ages, fates
from tests.integration.ledger.machine.picture import Picture
from tests.integration.ledger.machine.promises import HOST_SLOTS, check_moment
from tests.integration.ledger.machine.workers import Late, Wanted, Way, Workers, claims, lates, ways

OPEN_MOST = 4
"""Jobs at a time: each of more would get less far."""

ROUNDS_MOST = 300

# The same runs each time. To hunt, have more of them and at random: 5 ms a step, 80 steps a run.
SETTINGS = settings(
    max_examples=70,
    stateful_step_count=80,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)

Action = Wish | BatchWish | tuple[Wish, Wanted, Way] | Late | Fate | Regret | BatchRegret | Age

WORK = st.tuples(wishes, claims, ways)
ACTIONS = st.sampled_from(
    [wishes] * 2
    + [batch_wishes] * 2
    + [WORK] * 10
    + [lates] * 2
    + [fates]
    + [regrets] * 2
    + [redos] * 2
    + [batch_regrets] * 3
    + [ages]
)


class Everybody(BatchClients, Workers):
    """All of them on one ledger; in the end workers that nothing happens to finish what is left."""

    @initialize(calm=st.booleans())
    def begin(self, calm: bool) -> None:
        """In calm runs only processes come and go, so that jobs get further."""
        self.calm = calm

    # One rule: of many, Hypothesis turns some off at random, and no job would get past them.
    @rule(action=ACTIONS.flatmap(lambda actions: actions))
    def happen(self, action: Action) -> None:
        match action:
            case Wish() if self.now.number("kc:queued_jobs") < OPEN_MOST:
                self.submit(action)
            case BatchWish() if self.now.number("kc:queued_jobs") < OPEN_MOST:
                self.submit_batch(action)
            case (Wish() as wish, Wanted() as wanted, Way() as way):
                if not self.work(wanted, way):
                    self.submit(wish)
            case Late():
                self.go_on_too_late(action)
            case Fate():
                self.meet_its_fate(action)
            case Regret(wish="redo"):
                if self.now.number("kc:queued_jobs") < OPEN_MOST:
                    self.change_their_mind(action)
            case Regret() if not self.calm:
                self.change_their_mind(action)
            case BatchRegret() if not self.calm:
                self.change_their_mind_of_a_batch(action)
            case Age() if not self.calm:
                self.wait(action)
        self.end_of_what_is_bad()

    def teardown(self) -> None:
        try:
            if sys.exception() is None:  # else what went wrong would be hidden by what follows it
                self.check_all_ends()
        finally:
            self.ended.close()

    def check_all_ends(self) -> None:
        for name in self.now.members("kc:incarnations"):
            self.driver.leases.release(name, stopped=False)
        self.bring_forward()
        rounds = 0
        while self.work_once():
            rounds += 1
            assert rounds < ROUNDS_MOST, "the work never ends"
        now = Picture(self.client)
        check_moment(now)
        assert all(job["status"] in TERMINAL for job in now.jobs.values())
        self.driver.upkeep.cancel_batches()
        assert not self.client.exists("kc:canceling")
        assert {row["status"] for row in now.deliveries.values()} <= set(DeliveryStatus) - {
            DeliveryStatus.PENDING,
            DeliveryStatus.SENDING,
        }
        assert not any(
            now.under(place) for place in ("kc:queue:", "kc:due", "kc:sending", "kc:held")
        )
        assert not now.waiting()
        assert self.told() == Counter([*self.accepted, *self.batches])

    def bring_forward(self) -> None:
        """Have every webhook due that waits."""
        now = Picture(self.client)
        for host, times in now.under("kc:due:"):
            for name in times:
                self.client.hset(f"kc:delivery:{name}", "next_ms", 0)
                self.client.zadd(f"kc:due:{host}", {name: 0})
            self.client.zadd("kc:due", {host: 0}, xx=True)

    def work_once(self) -> bool:
        """Take one step at each stage; False when there was none to take."""
        ledger = self.ledger("a")
        plan = ledger.claim_plan(bytes_most=100)
        if plan is not None:
            if plan.redo is not None:
                add, self.kept[plan.uid] = self.redone(ledger, plan, ["new"], 2)
                add()
            else:
                rest = [self.segment("new")]
                ledger.add_segments(plan, rest, bytes_done=9, chars_done=9, final=True)
        batch: list[SegmentClaim] = ledger.claim_segments(8)
        if batch:
            self.store(ledger, *batch)
        assembly = ledger.claim_assembly(long_most=1)
        if assembly is not None:
            self.finish(ledger, assembly)
        delivery = ledger.claim_delivery(host_slots=HOST_SLOTS)
        if delivery is not None:
            ledger.record_attempt(delivery, status=DeliveryStatus.DELIVERED, next_s=0, entry={})
        return any((plan, batch, assembly, delivery))

    def told(self) -> Counter[str]:
        """Return how often it was said of each job, and each batch, that it has ended."""
        self.ended.ping()
        told: Counter[str] = Counter()
        while True:
            message = self.ended.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is None:
                continue
            if message["type"] == "pong":
                return told
            told[message["data"].decode()] += 1


@pytest.mark.slow
@pytest.mark.timeout(600)  # Hypothesis takes up to five minutes to make a failing run short
def test_every_order_of_all_scripts_keeps_what_the_ledger_promises(
    ledger: LedgerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (batches, upkeep):
        monkeypatch.setattr(part, "SLICE_JOBS", 1)  # so that much can happen between two
    with asyncio.Runner() as runner:
        client = redis.asyncio.Redis.from_url(ledger.url, decode_responses=True)
        try:

            class OnThisServer(Everybody):
                def __init__(self) -> None:
                    super().__init__(ledger, Intake(client), runner)

            run_state_machine_as_test(OnThisServer, settings=SETTINGS)
        finally:
            runner.run(client.aclose())
