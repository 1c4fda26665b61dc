"""What clients do with batches: submit many jobs as one, look, cancel, delete."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from redis.exceptions import TimeoutError

from shared.ledger.batch_record import NewBatch
from shared.ledger.batches import STAGED_S, Batches
from shared.ledger.intake import Limits, Verdict
from shared.ledger.records import NewJob
from shared.ledger.states import BatchStatus, Lane
from tests.integration.ledger.conftest import LIMITS
from tests.integration.ledger.machine.base import Machine, picks, seldom
from tests.integration.ledger.machine.clients import EVENTS, TEXTS, TIGHT, Clients

BATCH_EVENTS = ("", "batch.completed", "batch.completed batch.canceled")
OWNERS = ("abe", "zoe")
NEVER = 99


@dataclass(frozen=True)
class BatchWish:
    """A batch; `tight` limits may refuse it.

    Attributes:
        course: `ends` is that of a gateway which ends after `scripts` of them, `slow` that of one
            whose first jobs are dropped before they are accepted.
    """

    owner: str
    texts: list[str]
    key: str | None
    events: str
    job_events: str
    host: str
    lexicon: bool
    ttl_s: int
    tight: bool
    course: str
    scripts: int
    again: bool


batch_wishes = st.builds(
    BatchWish,
    owner=st.sampled_from(OWNERS),
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3),
    key=st.sampled_from([None, "k1", "k2"]),
    events=st.sampled_from(BATCH_EVENTS),
    job_events=st.sampled_from(EVENTS),
    host=st.sampled_from(["x.example", "y.example"]),
    lexicon=st.sampled_from([False] * 7 + [True]),
    ttl_s=st.sampled_from([3600, 0]),
    tight=seldom,
    course=st.sampled_from(["well"] * 6 + ["ends", "slow"]),
    scripts=st.integers(0, 3),
    again=seldom,
)


@dataclass(frozen=True)
class BatchRegret:
    """A client wants no more of a batch, or to see it.

    Attributes:
        scripts: after how many the gateway ends.
    """

    wish: str
    pick: int
    scripts: int
    again: bool


batch_regrets = st.builds(
    BatchRegret,
    wish=st.sampled_from(["cancel", "delete", "look"]),
    pick=picks,
    scripts=st.sampled_from([1, 2, NEVER, NEVER]),
    again=seldom,
)


class GatewayEndedError(Exception):
    """The process that spoke to the ledger is no more."""


class ScriptByScript(Batches):
    """What a gateway says of batches, each script a step that is looked at, and may be repeated.

    Attributes:
        scripts: how many are said before its process ends.
        again: whether each is said twice, as when its answer was lost.
        slow: whether a job that was written is dropped before all are accepted.
    """

    scripts, again, slow = NEVER, False, False

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.intake.client)
        self.machine = machine

    async def _run(self, name: str, *args: Any) -> Any:
        if self.scripts <= 0:
            raise GatewayEndedError
        self.scripts -= 1
        if self.slow and name == "create_batch" and '"jobs"' in args[0]:
            await self._client.delete(sorted(self.machine.now.staged)[0])
        with self.machine.step():
            answer = await super()._run(name, *args)
        if self.again and not self.slow:
            told = self.machine.now.work()
            with self.machine.step():
                await super()._run(name, *args)
            assert self.machine.now.work() == told
        return answer

    async def _unstage(self, batch: NewBatch) -> None:
        if self.scripts > 0:
            await super()._unstage(batch)


class BatchClients(Clients):
    """Batches beside all else; what is left of them is checked after every script."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.batches: dict[str, NewBatch] = {}
        self.batch_keys: dict[tuple[str, str], NewBatch] = {}

    def gateway(self, *, scripts: int = NEVER, again: bool = False) -> ScriptByScript:
        found = ScriptByScript(self)
        found.scripts, found.again = scripts, again
        return found

    def submit_batch(self, wish: BatchWish) -> None:
        batch = self.new_batch(wish)
        limits = TIGHT if wish.tight else LIMITS
        expected = self.expected_of_batch(batch, limits)
        told = self.now.work()
        gateway = self.gateway(again=wish.again)
        if wish.course == "ends":
            gateway.scripts = wish.scripts
        gateway.slow = wish.course == "slow" and expected[0] is Verdict.CREATED
        # What is asked, written slice by slice (one job each), and accepted.
        ended = gateway.scripts < (
            len(batch.jobs) + 2 if expected[0] in {Verdict.CREATED, Verdict.UNKNOWN_LEXICON} else 1
        )
        if ended or gateway.slow:
            with pytest.raises(GatewayEndedError if ended else TimeoutError):
                self.runner.run(gateway.create(batch, limits))
            self.forget_staged()
        else:
            answer = self.runner.run(gateway.create(batch, limits))
            assert (answer.verdict, answer.id) == expected
            if gateway.scripts <= 0:
                self.forget_staged()  # it ended with its answer, before it could drop them
            with self.step():
                """See that what is not accepted was dropped."""
            assert not self.now.staged
        if ended or gateway.slow or expected[0] is not Verdict.CREATED:
            assert self.now.work() == told, "none of it, and nothing else"
            return
        self.batches[batch.id] = batch
        assert self.now.list(f"kc:batch:{batch.id}:jobs") == [job.uid for job in batch.jobs]
        for job in batch.jobs:
            assert job.uid in self.now.jobs
            self.accepted[job.uid] = job
            self.planned_bytes[job.uid] = 0
        if wish.key:
            self.batch_keys[wish.owner, wish.key] = batch

    def forget_staged(self) -> None:
        """Let the time pass after which jobs are dropped that nobody accepted."""
        for key in self.client.keys("kc:job:staged:*"):
            assert 0 < self.client.ttl(key) <= STAGED_S
            self.client.delete(key)
        with self.step():
            """See the ledger without them."""

    def new_batch(self, wish: BatchWish) -> NewBatch:
        hook: dict[str, Any] = {
            "webhook_url": f"https://{wish.host}/",
            "webhook_host": wish.host,
        }
        jobs: list[NewJob] = [
            self.driver.new_job(
                text,
                owner=wish.owner,
                lane=Lane.BATCH if n else Lane.INTERACTIVE,
                ttl_s=wish.ttl_s,
                custom_id=f"c{n}",
                lexicons=("nowhere",) if wish.lexicon and n == len(wish.texts) - 1 else (),
                **({**hook, "webhook_events": wish.job_events} if wish.job_events else {}),
            )
            for n, text in enumerate(wish.texts)
        ]
        return NewBatch(
            f"batch_{self.driver.made:026d}",
            wish.owner,
            tuple(jobs),
            " ".join(wish.texts),
            idempotency=wish.key,
            **({**hook, "webhook_events": wish.events} if wish.events else {}),
        )

    def expected_of_batch(self, batch: NewBatch, limits: Limits) -> tuple[Verdict, str | None]:
        earlier = self.batch_keys.get((batch.owner, batch.idempotency or ""))
        if earlier is not None and earlier.id in self.now.batches:
            same = earlier.payload == batch.payload
            return (Verdict.EXISTING if same else Verdict.CONFLICT), earlier.id
        chars = sum(len(job.input) for job in batch.jobs)
        refused = self.refusal(batch.owner, len(batch.jobs), chars, limits)
        if refused is not None:
            return refused, None
        if batch.jobs[-1].lexicons:
            return Verdict.UNKNOWN_LEXICON, None
        return Verdict.CREATED, batch.id

    def change_their_mind_of_a_batch(self, regret: BatchRegret) -> None:
        if not self.batches:
            return
        # Of those that are there, if any are: of the others there is little to say.
        there = [batch for name, batch in self.batches.items() if name in self.now.batches]
        some = there or list(self.batches.values())
        batch = some[regret.pick % len(some)]
        gateway = self.gateway(scripts=regret.scripts, again=regret.again)
        match regret.wish:
            case "cancel":
                self.cancel_batch(batch, gateway)
            case "delete":
                self.delete_batch(batch, gateway)
            case _:
                self.look_at_batch(batch, gateway)

    def cancel_batch(self, batch: NewBatch, gateway: ScriptByScript) -> None:
        was = self.now.batches.get(batch.id, {}).get("status")
        try:
            assert self.runner.run(gateway.cancel(batch.id)) == was
        except GatewayEndedError:
            # The reconciler goes on, now or in a later round.
            assert batch.id in self.now.members("kc:canceling")
            return
        assert batch.id not in self.now.members("kc:canceling")
        if was == BatchStatus.IN_PROGRESS:
            assert self.now.batches[batch.id]["status"] == BatchStatus.CANCELED

    def delete_batch(self, batch: NewBatch, gateway: ScriptByScript) -> None:
        if self.now.batches.get(batch.id, {}).get("status") == BatchStatus.IN_PROGRESS:
            return  # the gateway refuses that
        try:
            self.runner.run(gateway.delete(batch.id))
        except GatewayEndedError:
            return
        assert batch.id not in self.now.batches
        assert not {job.uid for job in batch.jobs} & set(self.now.jobs)

    def look_at_batch(self, batch: NewBatch, gateway: ScriptByScript) -> None:
        """A batch is seen by its owner, and by nobody else."""
        (other,) = set(OWNERS) - {batch.owner}
        there = batch.id in self.now.batches
        run = self.runner.run
        assert run(gateway.get(other, batch.id)) is None
        seen = run(gateway.get(batch.owner, batch.id))
        assert (seen is not None) == there
        for owner in OWNERS:
            listed = {one.id for one in run(gateway.list(owner, limit=100)).batches}
            assert listed == {k for k, row in self.now.batches.items() if row["owner"] == owner}
        if there:
            jobs = run(gateway.jobs(batch.id, limit=100)).jobs
            assert [job.uid for job in jobs] == [
                job.uid for job in batch.jobs if job.uid in self.now.jobs
            ]
