"""What clients do: submit, cancel, delete, ask for a webhook again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from shared.ledger.intake import Limits, Submission, Verdict
from shared.ledger.outbox import Outbox
from shared.ledger.records import NewJob
from shared.ledger.redo import Redo, Said, Source
from shared.ledger.states import TERMINAL, DeliveryStatus, JobStatus, Lane
from tests.integration.ledger.conftest import LIMITS
from tests.integration.ledger.machine.base import Machine, picks, seldom

TEXTS = ("one", "zwei ä")
TIGHT = replace(LIMITS, key_max_queued_chars=8, max_queued_chars=14, max_queued_jobs=3)
ALL = "job.succeeded job.failed job.canceled job.expired"
EVENTS = ("", "job.succeeded", ALL, ALL)


@dataclass(frozen=True)
class Wish:
    """A submission; `tight` limits may refuse it."""

    owner: str
    lane: Lane
    text: str
    key: str | None
    id: str | None
    events: str
    host: str
    ttl_s: int
    tight: bool
    again: bool


wishes = st.builds(
    Wish,
    owner=st.sampled_from(["abe", "zoe"]),
    lane=st.sampled_from(Lane),
    text=st.sampled_from(TEXTS),
    key=st.sampled_from([None, None, "k1", "k2"]),
    id=st.sampled_from([None, None, "c1"]),
    events=st.sampled_from(EVENTS),
    host=st.sampled_from(["x.example", "x.example", "y.example"]),
    ttl_s=st.sampled_from([3600, 0]),
    tight=seldom,
    again=seldom,
)


@dataclass(frozen=True)
class Regret:
    """A client wants no more of a job, or its webhook again."""

    wish: str
    pick: int
    again: bool


regrets = st.builds(
    Regret,
    wish=st.sampled_from(
        ["cancel", "delete", "delete", "replay", "replay", "redo", "redo", "redo"]
    ),
    pick=picks,
    again=seldom,
)

redos = st.builds(Regret, wish=st.just("redo"), pick=picks, again=seldom)
"""Of their own: most come to a job that has not succeeded."""


class Clients(Machine):
    """Submissions with and without names, and everything else a client may ask for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.named: dict[str, NewJob] = {}

    def submit(self, wish: Wish) -> None:
        hook = {
            "webhook_url": f"https://{wish.host}/",
            "webhook_host": wish.host,
            "webhook_events": wish.events,
        }
        job = self.driver.new_job(
            wish.text,
            owner=wish.owner,
            lane=wish.lane,
            idempotency=wish.key,
            client_id=wish.id,
            ttl_s=wish.ttl_s,
            **(hook if wish.events else {}),
        )
        limits = TIGHT if wish.tight else LIMITS
        expected = self.expected(job, limits)
        answers: list[Submission] = []
        self.say(self.asking(lambda: self.intake.create(job, limits), answers), wish.again)
        assert {(answer.verdict, answer.uid) for answer in answers} == {expected}
        created = expected[0] is Verdict.CREATED
        assert (job.uid in self.now.jobs) == created
        if created:
            self.accepted[job.uid] = job
            self.planned_bytes[job.uid] = 0
            self.named |= dict.fromkeys(names(job), job)

    def asking(self, question: Callable[[], Any], answers: list[Any]) -> Callable[[], None]:
        """Return what asks the gateway's ledger, and notes each answer."""
        return lambda: answers.append(self.runner.run(question()))

    def expected(self, job: NewJob, limits: Limits) -> tuple[Verdict, str | None]:
        for name in names(job):
            earlier = self.named.get(name)
            if earlier is not None and earlier.uid in self.now.jobs:
                same = earlier.payload == job.payload
                return (Verdict.EXISTING if same else Verdict.CONFLICT), earlier.uid
        refused = self.refusal(job.owner, 1, len(job.input), limits)
        return (refused, None) if refused else (Verdict.CREATED, job.uid)

    def refusal(self, owner: str, jobs: int, chars: int, limits: Limits) -> Verdict | None:
        waiting = [other for uid, other in self.accepted.items() if self.now.is_open(uid)]
        everybodys = sum(len(other.input) for other in waiting)
        own = sum(len(other.input) for other in waiting if other.owner == owner)
        # However long, it is taken when nothing else waits.
        if own and own + chars > limits.key_max_queued_chars:
            return Verdict.KEY_FULL
        if everybodys and everybodys + chars > limits.max_queued_chars:
            return Verdict.FULL
        return Verdict.FULL if len(waiting) + jobs > limits.max_queued_jobs else None

    def some_job(self, pick: int) -> str:
        uids = list(self.accepted)
        return uids[pick % len(uids)]

    def change_their_mind(self, regret: Regret) -> None:
        if not self.accepted:
            return
        uids = list(self.accepted)
        uid = uids[regret.pick % len(uids)]
        match regret.wish:
            case "cancel":
                self.cancel(uid, regret.again)
            case "delete":
                self.delete(uid, regret.again)
            case "redo":
                self.redo(uid, regret)
            case _:
                self.replay(regret.pick, regret.again)

    def redo(self, uid: str, regret: Regret) -> None:
        """Say one segment of a job anew, mostly one that has some."""
        done = [u for u, job in self.now.jobs.items() if job["status"] == JobStatus.SUCCEEDED]
        uid = done[regret.pick % len(done)] if done and not regret.again else uid
        was = self.accepted[uid]
        segments = self.now.segments(uid)
        index = (regret.pick // 2) % (len(segments) or 1)
        said = Said(was.spec.language, 1.0, False)
        redo = Redo(uid, uid, index, len(segments), 0, 1, "", said)
        job = self.driver.new_job("one", owner=was.owner, lane=was.lane, source=Source(redo))
        expected = self.expected(job, LIMITS)
        if self.now.jobs.get(uid, {}).get("status") != JobStatus.SUCCEEDED or not segments:
            expected = Verdict.SOURCE_GONE, None
        answers: list[Submission] = []
        self.say(
            self.asking(lambda: self.intake.create(job, LIMITS), answers), bool(regret.pick % 2)
        )
        assert {(answer.verdict, answer.uid) for answer in answers} == {expected}
        if expected[0] is Verdict.CREATED:
            self.accepted[job.uid] = job
            self.planned_bytes[job.uid] = self.kept[job.uid] = 0
            hashes = [segments[i].get("hash") for i in range(len(segments))]
            self.sources[job.uid] = hashes, index

    def cancel(self, uid: str, again: bool) -> None:
        was = self.now.jobs.get(uid, {}).get("status")
        found: list[JobStatus | None] = []
        self.say(self.asking(lambda: self.intake.cancel(uid), found), again)
        assert found[0] == was
        if was is not None and was not in TERMINAL:
            assert self.now.jobs[uid]["status"] == JobStatus.CANCELED

    def delete(self, uid: str, again: bool) -> None:
        was_open = self.now.is_open(uid)
        self.say(self.asking(lambda: self.intake.delete(uid), []), again)
        assert (uid in self.now.jobs) == was_open

    def replay(self, pick: int, again: bool) -> None:
        rows = list(self.now.deliveries.values())
        if not rows:
            return
        row = rows[pick % len(rows)]
        found: list[DeliveryStatus | None] = []
        outbox = Outbox(self.intake.client)
        self.say(self.asking(lambda: outbox.replay(row["job"], row["id"]), found), again)
        assert found[0] == row["status"]
        if row["status"] != DeliveryStatus.SENDING:
            assert self.now.deliveries[row["id"]]["status"] == DeliveryStatus.PENDING


def names(job: NewJob) -> list[str]:
    """Return what an earlier submission may have been called as this one is."""
    named = {"key": job.idempotency, "id": job.client_id}
    return [f"{job.owner} {kind} {name}" for kind, name in named.items() if name]
