"""What parents, the reconciler and time do: processes end, leases lapse, things grow old."""

from dataclasses import dataclass

from hypothesis import strategies as st

from shared.ledger.messages import SegmentClaim
from tests.integration.ledger.machine.base import BAD, Machine, picks, seldom


@dataclass(frozen=True)
class Fate:
    """What becomes of a process that holds something."""

    what: str
    pick: int
    again: bool


fates = st.builds(
    Fate,
    what=st.sampled_from(["dies", "dies", "stops", "breaks off", "goes idle", "lapses", "lives"]),
    pick=picks,
    again=seldom,
)


@dataclass(frozen=True)
class Age:
    """What time brings, and the reconciler's round."""

    what: str
    pick: int
    again: bool


ages = st.builds(
    Age,
    what=st.sampled_from(
        ["deadline"] * 3
        + ["expire", "purge", "records", "forget", "doubt", "renew", "cancel batches"]
    ),
    pick=picks,
    again=seldom,
)


class Mishaps(Machine):
    """Everything that takes work away from who holds it, and all that nobody asked for."""

    def meet_its_fate(self, fate: Fate) -> None:
        holders = sorted({name for names in self.now.held.values() for name in names})
        if not holders:
            return
        worker, _, _ = holders[fate.pick % len(holders)].partition("/")
        match fate.what:
            case "dies" | "stops":
                self.end(worker, fate.again, stopped=fate.what == "stops")
            case "breaks off" | "goes idle":
                self.let_go(worker, fate.again, stopped=fate.what == "goes idle")
            case _:
                self.reconcile(worker, fate.again, lapsed=fate.what == "lapses")

    def end(self, worker: str, again: bool, *, stopped: bool) -> None:
        """A child ends; its parent says so and starts another."""
        ledger = self.ledger(worker)
        self.say(
            lambda: self.driver.leases.release(ledger.incarnation, stopped=stopped),
            again,
            forgiving=stopped,
        )
        self.drop_all(ledger)
        self.born[worker] += 1
        assert ledger.incarnation not in self.now.members("kc:incarnations")

    def end_of_what_is_bad(self) -> None:
        for hand in list(self.hands):
            begun = isinstance(hand.claim, SegmentClaim) and hand.begun and hand in self.hands
            if begun and hand.claim.payload.hash == BAD:
                self.end(hand.ledger.incarnation.partition("/")[0], False, stopped=False)

    def let_go(self, worker: str, again: bool, *, stopped: bool) -> None:
        """A process between two tasks gives back what it may hold unheard."""
        ledger = self.ledger(worker)
        self.say(lambda: ledger.let_go(stopped=stopped), again, forgiving=stopped)
        self.drop_all(ledger)

    def reconcile(self, worker: str, again: bool, *, lapsed: bool) -> None:
        """A process whose lease lapsed, while Redis was away say, goes on under its name."""
        ledger = self.ledger(worker)
        if lapsed:
            self.client.delete(f"kc:alive:{ledger.incarnation}")
        known = ledger.incarnation in self.now.members("kc:incarnations")
        alive = bool(self.client.exists(f"kc:alive:{ledger.incarnation}"))
        assert (ledger.incarnation in self.driver.leases.lapsed()) == (known and not alive)
        told = self.now.work()
        self.say(lambda: self.driver.leases.release_if_dead(ledger.incarnation), again)
        if alive:
            assert self.now.work() == told
        else:
            self.drop_all(ledger)

    def wait(self, age: Age) -> None:
        upkeep = self.driver.upkeep
        match age.what:
            case "deadline":
                self.pass_deadline(age.pick)
            case "expire":
                self.say(upkeep.expire_jobs, age.again)
                assert 0 not in self.now.scores("kc:deadlines").values()
            case "cancel batches":
                self.say(upkeep.cancel_batches, age.again)
                assert not self.now.members("kc:canceling")
            case "purge":
                self.say(lambda: upkeep.purge_audio(record_ttl_s=0), age.again)
                later = self.now.scores("kc:expiries").values()
                assert all(at_ms > self.now.now_ms for at_ms in later)
            case "records":
                for uid in upkeep.stale_records():
                    self.say(lambda: upkeep.delete_job(uid), age.again)  # noqa: B023
                    assert uid not in self.now.jobs
            case "forget":
                self.forget_audio(age.again)
            case "doubt":
                self.doubt_audio(age.pick, age.again)
            case _:
                names = [self.ledger(worker).incarnation for worker in self.born]
                self.say(lambda: self.driver.leases.renew(names), age.again)

    def pass_deadline(self, pick: int) -> None:
        uids = [uid for uid in self.accepted if self.now.is_open(uid)]
        for uid in uids[pick % (len(uids) or 1) :][:1]:
            with self.step():
                self.client.hset(f"kc:job:{uid}", "deadline_ms", 0)
                self.client.zadd("kc:deadlines", {uid: 0}, xx=True)

    def forget_audio(self, again: bool) -> None:
        """What nobody used is forgotten; by then whoever might finish late is long gone."""
        self.stale = [hand for hand in self.stale if not isinstance(hand.claim, SegmentClaim)]
        self.say(lambda: self.driver.upkeep.forget_audio(unused_s=0), again)
        assert not self.now.under("kc:audio:")

    def doubt_audio(self, pick: int, again: bool) -> None:
        keys = [row["key"] for _, row in self.now.under("kc:audio:")]
        if keys:
            key = keys[pick % len(keys)]
            self.say(lambda: self.ledger("a").doubt_audio(key), again)
            assert key in self.now.members("kc:garbage")
