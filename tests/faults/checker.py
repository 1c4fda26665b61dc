"""Proves from an event log alone that a run kept the cluster's promises, or says what broke them.

`python -m tests.faults.checker LOG` prints the verdict and exits with 1 if a promise was broken.

What is proved, rule by rule:

- `lost`: every job that was accepted (a client got its 2xx) was seen to have ended.
- `two-outcomes`: whoever looked at an ended job saw the same outcome: status, error, files' hashes.
- `ended-twice`: the ledger ended no job twice, and no job's files were recorded twice.
- `key-two-jobs`: an idempotency key never gave two jobs.
- `webhook-changed`: all that was ever sent under one delivery id was the same bytes.
- `webhook-doubled`: no job has two delivery ids for one event, or events of two outcomes.
- `webhook-false`: a webhook's outcome is the one that clients see.
- `rendered-again`: a segment was begun again only after its worker was cut off (killed, stopped or
  frozen) or its rendering had failed; never once it was recorded. But what was recorded within
  `FORGOTTEN_S` before Redis itself was killed may be forgotten: with a disk that is too slow to
  sync each second, Redis answers before it has handed its file's last lines to the kernel.
- `too-many-attempts`: no segment was begun more than three times.
- `token-order`: the tokens under which a segment is claimed grow, and no token is given twice.

A worker that was frozen between its claim and its next step goes on by what it knew before, until
the ledger's answer comes: what it begins then may have been given to somebody else, or to itself
anew, and is written down late, under an older token than others'.
"""

import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.steps import Step
from tests.faults.events import Event, read_events

ATTEMPTS_MOST = 3

CUT_TAKES_S = 1.0
"""Cuts are written down before they are made, so that none is missing; what is cut may go on for a
moment."""

FORGOTTEN_S = 3.0
"""Redis puts its writes off for up to two seconds while a sync is under way (`everysec`)."""

FAULT = {"lost": "lost", "two-outcomes": "double", "ended-twice": "double"}
"""Rules whose violations the fault table counts in columns of their own."""


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    rule: str
    about: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.about}: {self.detail}"


@dataclass(frozen=True)
class Verdict:
    """What the log proves.

    Attributes:
        accepted: jobs that clients were told to be accepted.
    """

    accepted: int
    violations: tuple[Violation, ...]

    def count(self, column: str) -> int:
        """Return how many jobs were `lost`, or had `double` outcomes."""
        return len({v.about for v in self.violations if FAULT.get(v.rule) == column})


def check(events: Sequence[Event]) -> Verdict:
    """Check a whole log, its events in the order of their time."""
    accepted = {str(e["job"]) for e in events if e["event"] == "accepted"}
    found = [
        *_outcomes(events, accepted),
        *_ends(events),
        *_keys(events),
        *_webhooks(events),
        *_renderings(events),
        *_tokens(events),
    ]
    return Verdict(len(accepted), tuple(found))


def _outcomes(events: Sequence[Event], accepted: set[str]) -> Iterable[Violation]:
    seen: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event["event"] == "seen":
            outcome = [event["status"], event.get("error"), event.get("sha256")]
            seen[event["job"]].add(repr(outcome))
    for job in sorted(accepted - set(seen)):
        yield Violation("lost", job, "it was accepted and never seen to end")
    for job, outcomes in seen.items():
        if len(outcomes) > 1:
            yield Violation("two-outcomes", job, " and ".join(sorted(outcomes)))


def _ends(events: Sequence[Event]) -> Iterable[Violation]:
    for name, what in (("ended", "ended"), (Step.ASSEMBLE_RECORDED, "recorded as succeeded")):
        times: dict[str, int] = defaultdict(int)
        for event in events:
            if event["event"] == name:
                times[event["job"]] += 1
        for job, number in times.items():
            if number > 1:
                yield Violation("ended-twice", job, f"{what} {number} times")


def _keys(events: Sequence[Event]) -> Iterable[Violation]:
    jobs: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event["event"] == "accepted" and event.get("key"):
            jobs[event["key"]].add(event["job"])
    for key, found in jobs.items():
        if len(found) > 1:
            yield Violation("key-two-jobs", key, ", ".join(sorted(found)))


def _webhooks(events: Sequence[Event]) -> Iterable[Violation]:
    bodies: dict[str, set[str]] = defaultdict(set)
    ids: dict[str, set[str]] = defaultdict(set)
    told: dict[str, set[str]] = defaultdict(set)
    seen = {e["job"]: e["status"] for e in events if e["event"] == "seen"}
    for event in events:
        if event["event"] == "received":
            bodies[event["delivery"]].add(event["body_sha256"])
            ids[event["job"]].add(event["delivery"])
            told[event["job"]].add(event["type"])
    for delivery, sums in bodies.items():
        if len(sums) > 1:
            yield Violation("webhook-changed", delivery, f"{len(sums)} different bodies")
    for job, deliveries in ids.items():
        if len(deliveries) > 1 or len(told[job]) > 1:
            detail = f"{sorted(deliveries)} told {sorted(told[job])}"
            yield Violation("webhook-doubled", job, detail)
        if job in seen and told[job] != {f"job.{seen[job]}"}:
            yield Violation("webhook-false", job, f"{sorted(told[job])}, but it is {seen[job]}")


def _renderings(events: Sequence[Event]) -> Iterable[Violation]:
    """Follow each segment through its beginnings, failures and records, and each process's cuts."""
    begun: dict[tuple[str, int], list[tuple[Event, int]]] = defaultdict(list)
    recorded: dict[tuple[str, int], list[float]] = defaultdict(list)
    failed: dict[tuple[str, int], list[float]] = defaultdict(list)
    claimed: dict[int, float] = {}
    cuts = _cuts(events)
    forgettings = [event["mono"] for event in events if event["event"] == "redis-killed"]

    def forgotten(at: float, by: float) -> bool:
        return any(at < kill < by and kill - at <= FORGOTTEN_S for kill in forgettings)

    for event in events:
        for job, index, *rest in event.get("segments", ()):
            if event["event"] == Step.SYNTH_CLAIMED:
                claimed[rest[0]] = event["mono"]
            elif event["event"] == Step.SYNTH_BEGUN:
                begun[job, index].append((event, rest[0]))
            elif event["event"] == Step.SYNTH_RECORDED:
                recorded[job, index].append(event["mono"])
            elif event["event"] == Step.SYNTH_FAILED:
                failed[job, index].append(event["mono"])
    for (job, index), times in begun.items():
        about = f"{job}#{index}"
        if len(times) > ATTEMPTS_MOST:
            yield Violation("too-many-attempts", about, f"begun {len(times)} times")
        for (before, token), (again, later_token) in itertools.pairwise(times):
            held_since = min(before["mono"], claimed.get(token, math.inf))
            interrupted = any(t > held_since - CUT_TAKES_S for t in cuts.get(before["pid"], ()))
            failed_then = any(before["mono"] < t <= again["mono"] for t in failed[job, index])
            done = [t for t in recorded[job, index] if before["mono"] < t < again["mono"]]
            lost = forgotten(max(done, default=before["mono"]), again["mono"])
            woke_late = later_token < token and _was_cut(cuts, again)
            if not (interrupted or failed_then or lost or woke_late):
                detail = f"begun by {before['process']}, again by {again['process']}, for no reason"
                yield Violation("rendered-again", about, detail)
        for event, _ in times:
            # A worker that was frozen between claim and beginning can't know; all others must.
            known = [t for t in recorded[job, index] if t < event["mono"]]
            known = [t for t in known if not forgotten(t, event["mono"])]
            if known and event["pid"] not in cuts:
                yield Violation("rendered-again", about, "begun after it was recorded")


def _cuts(events: Sequence[Event]) -> dict[int, list[float]]:
    """Return when each process was killed, stopped or frozen."""
    cuts: dict[int, list[float]] = {}
    for event in events:
        if event["event"] == "cut":
            cuts.setdefault(event["pid"], []).append(event["mono"])
    return cuts


def _was_cut(cuts: dict[int, list[float]], event: Event) -> bool:
    """Return whether the process was frozen before it wrote this down."""
    return any(at < event["mono"] for at in cuts.get(event["pid"], ()))


def _tokens(events: Sequence[Event]) -> Iterable[Violation]:
    holders: dict[int, tuple[str, int]] = {}
    last: dict[tuple[str, int], int] = {}
    cuts = _cuts(events)
    for event in events:
        if event["event"] != Step.SYNTH_CLAIMED:
            continue
        for job, index, token, _ in event["segments"]:
            if token in holders:
                yield Violation("token-order", f"{job}#{index}", f"token {token} was given before")
            holders[token] = (job, index)
            if token <= last.get((job, index), 0) and not _was_cut(cuts, event):
                yield Violation("token-order", f"{job}#{index}", f"token {token} after a later one")
            last[job, index] = max(token, last.get((job, index), 0))


def main(arguments: Sequence[str]) -> int:
    """Check a log file."""
    if len(arguments) != 1:
        print("usage: python -m tests.faults.checker EVENTS.jsonl", file=sys.stderr)
        return 2
    verdict = check(read_events(Path(arguments[0]).read_text().splitlines()))
    for violation in verdict.violations:
        print(violation)
    print(f"{verdict.accepted} jobs accepted, {len(verdict.violations)} promises broken")
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
