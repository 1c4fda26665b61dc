"""The ledger as the workers see it: claim under a lease, finish under its token."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, cast

import redis
from redis.exceptions import ResponseError

from shared.errors import IllegalTransition, LostLease
from shared.ledger.encoding import EncodingCost
from shared.ledger.messages import (
    NOTHING_YET,
    AssemblyClaim,
    DeliveryClaim,
    NewSegment,
    PlanClaim,
    PlanState,
    RenderedSegment,
    SegmentClaim,
    SegmentPayload,
)
from shared.ledger.records import (
    CaptionFile,
    ChapterRecord,
    JobSpec,
    OutputFile,
    SegmentRecord,
)
from shared.ledger.redo import Redo
from shared.ledger.scripts import script, text
from shared.ledger.speech import speech_of
from shared.ledger.states import DeliveryStatus
from shared.manifest import EngineManifest, EngineStamp
from shared.spoken import SpokenRow, SpokenSegment, encode

ALIKE_RATIO = 1.5
"""Longest over shortest phoneme count in one batch: padding costs as much as speech."""

PEEK, LOOK_MOST = 128, 256
"""Oldest waiting segments that are looked at for alike ones, in one job and in all.

`benchmarks/claim.py` has what other figures cost and give.
"""

NO_COSTS: Mapping[str, EncodingCost] = {}

ANY_SIZE = 10**9
"""No bound on a batch's phonemes."""


@contextmanager
def _ledger_errors() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        text = str(error)
        if "KCLOST" in text:
            raise LostLease(f"The lease is gone: {text.partition('KCLOST ')[2]}.") from error
        if "KCMOVE" in text:
            raise IllegalTransition(f"No such move: {text.partition('KCMOVE ')[2]}.") from error
        raise


class WorkLedger:
    """Claims and finishes work for one incarnation of a worker's process.

    Every method is one atomic script, and may be called from any thread. Those that finish
    something raise `LostLease` when the item was given to somebody else, and redis-py's
    `RedisError` when Redis is away.

    Args:
        client: `decode_responses=False`; the ledger decodes.
        incarnation: unique name of this process; its parent renews the lease held in that name.
        lease_s: seconds the lease lives without renewal.
        attempts_max: times an item is tried before its job fails.
    """

    def __init__(
        self, client: redis.Redis, *, incarnation: str, lease_s: float, attempts_max: int
    ) -> None:
        self.client = client
        self.incarnation = incarnation
        self._lease_ms = int(lease_s * 1000)
        self._attempts_max = attempts_max
        self._worker = incarnation.partition("/")[0]
        self._scripts: dict[str, Any] = {}

    def _run(self, name: str, *args: str | bytes | int | float) -> Any:
        found = self._scripts.get(name)
        if found is None:
            found = self._scripts[name] = self.client.register_script(script(name))
        with _ledger_errors():
            return found(args=args)

    # Plan

    def claim_plan(self, *, bytes_most: int) -> PlanClaim | None:
        """Return the next job whose text waits to be planned, with so much of that text."""
        row = self._run(
            "claim_plan", self.incarnation, self._lease_ms, self._attempts_max, bytes_most
        )
        if not row:
            return None
        *fields, window = row
        (
            uid,
            token,
            done,
            chars_done,
            spec,
            owner,
            engine,
            job_id,
            total,
            lexicons,
            more,
            state,
            redo,
        ) = _texts(fields)
        return PlanClaim(
            uid,
            token,
            bytes(window),
            int(done),
            int(chars_done),
            JobSpec.from_json(spec),
            owner,
            EngineStamp.from_json(engine),
            job_id,
            int(total),
            more != "0",
            tuple(lexicon.rpartition(":")[2] for lexicon in lexicons.split()),
            PlanState.from_json(state),
            tuple(lexicon.partition(":")[0] for lexicon in lexicons.split()),
            Redo.from_json(redo) if redo else None,
        )

    def lexicon(self, digest: str) -> bytes | None:
        """Return a lexicon as `Lexicon.to_json` wrote it; None once no open job needs it."""
        return cast("bytes | None", self.client.hget(f"kc:lexicon:{digest}", "body"))

    def add_segments(
        self,
        claim: PlanClaim,
        segments: Sequence[NewSegment],
        *,
        bytes_done: int,
        chars_done: int,
        final: bool,
        warnings: Sequence[dict[str, Any]] = (),
        chapters: Sequence[ChapterRecord] = (),
        state: PlanState = NOTHING_YET,
        spoken: Sequence[SpokenSegment] = (),
        speech: bool | None = None,
    ) -> None:
        """Record one planned slice; with `final` the job has no more text.

        The next slice is claimed with `state`. What the segments say (`spoken`, one each) is kept
        until the job ends. A job in which no slice had `speech` has nothing to speak; by default a
        slice has if a segment of it is to be rendered.
        """
        if speech is None:
            speech = any(segment.payload is not None for segment in segments)
        slice_ = {
            "segments": [segment.to_wire() for segment in segments],
            "bytes": bytes_done,
            "chars": chars_done,
            "final": final,
            "speech": speech,
            "warnings": [json.dumps(warning, ensure_ascii=False) for warning in warnings],
            "chapters": [
                json.dumps({"title": chapter.title, "segment": chapter.segment}, ensure_ascii=False)
                for chapter in chapters
            ],
            "state": state.to_json(),
        }
        words = encode(spoken) if spoken else ""
        self._run(
            "add_segments", claim.uid, claim.token, self.incarnation, json.dumps(slice_), words
        )

    # Synth

    def claim_segments(
        self, most: int, *, phonemes: int = ANY_SIZE, ahead: bool = False
    ) -> list[SegmentClaim]:
        """Return a batch of segments alike in length.

        The first is whose turn it is, at once and whatever its length; the others are those most
        alike to it.

        Args:
            most: segments in the batch.
            phonemes: in the batch, padding counted: members times the longest. One segment alone
                may have more.
            ahead: claim while another batch is rendered. No attempt counts, whatever becomes of
                this process, until `begin_segments`.
        """
        batch = self._run(
            "claim_segments",
            self.incarnation,
            self._lease_ms,
            self._attempts_max,
            most,
            phonemes,
            ALIKE_RATIO,
            PEEK,
            LOOK_MOST,
            int(ahead),
        )
        return [
            SegmentClaim(
                uid.decode(),
                index,
                token,
                SegmentPayload.from_json(payload.decode()),
                attempt,
                bool(solo),
                bool(more),
            )
            for uid, index, token, payload, attempt, solo, more in batch
        ]

    def begin_segments(self, claims: Sequence[SegmentClaim]) -> list[SegmentClaim]:
        """Count the attempts of a batch claimed ahead; return what of it is still to be rendered.

        What is missing was given to somebody else, or its job has ended.
        """
        ours = self._run("begin_segments", self.incarnation, *_tokens(claims))
        return [claim for claim, mine in zip(claims, ours, strict=True) if mine]

    def return_segments(self, claims: Sequence[SegmentClaim]) -> None:
        """Give back a batch claimed ahead, as if it had never been claimed."""
        self._run("return_segments", self.incarnation, *_tokens(claims))

    def finish_segments(
        self,
        rendered: Sequence[RenderedSegment],
        *,
        synthesis_s: float,
        engine: EngineManifest,
        store_s: float | None = None,
    ) -> list[str]:
        """Record a stored batch; return the keys of objects that nobody will use.

        Their segment was done already. Rendering took `synthesis_s`, storing `store_s` if known.
        """
        batch = {
            "segments": [
                {
                    "uid": item.claim.uid,
                    "index": item.claim.index,
                    "token": item.claim.token,
                    "hash": item.claim.payload.hash,
                    "key": item.key,
                    "samples": item.samples,
                    "chars": len(item.claim.payload.text),
                    "phonemes": len(item.claim.payload.phonemes),
                }
                for item in rendered
            ],
            "synthesis_s": synthesis_s,
            **({} if store_s is None else {"store_s": store_s}),
            "worker": self._worker,
            "model": engine.model,
            "stand_in": int(engine.stand_in),
            "precision": engine.precision,
            "speech": speech_of(rendered),
        }
        verdicts = self._run("finish_segments", self.incarnation, json.dumps(batch))
        return [key for key in _texts(verdicts) if key]

    def fail_segment(
        self, claim: SegmentClaim, *, code: str, message: str, permanent: bool
    ) -> None:
        """Give a segment back to be tried alone, or fail its job when that cannot help."""
        self._run(
            "fail_segment",
            claim.uid,
            claim.index,
            claim.token,
            self.incarnation,
            self._attempts_max,
            code,
            message,
            int(permanent),
        )

    # Assemble

    def claim_assembly(self, *, long_most: int) -> AssemblyClaim | None:
        """Return the next job to assemble; this worker holds at most `long_most` long ones."""
        row = self._run(
            "claim_assembly",
            self.incarnation,
            self._lease_ms,
            self._attempts_max,
            self._worker,
            long_most,
        )
        if not row:
            return None
        uid, token, spec, total, job_id, owner, more, chapters = _texts(row)
        return AssemblyClaim(
            uid,
            token,
            JobSpec.from_json(spec),
            int(total),
            job_id,
            owner,
            more != "0",
            int(chapters),
        )

    def segments(self, uid: str, start: int, stop: int) -> list[SegmentRecord]:
        """Return the job's segments `start` to `stop` (exclusive)."""
        if start >= stop:
            return []
        rows = self.client.hmget(f"kc:job:{uid}:segments", [str(i) for i in range(start, stop)])
        if None in rows:
            raise LostLease(f"Segments of {uid} are gone.")
        return [
            SegmentRecord.from_json(start + i, text(row))
            for i, row in enumerate(rows)
            if row is not None
        ]

    def chapters(self, uid: str) -> list[ChapterRecord]:
        """Return the job's chapters, in order."""
        rows = self.client.lrange(f"kc:job:{uid}:chapters", 0, -1)
        return [ChapterRecord.from_json(text(row)) for row in rows]

    def spoken_slices(self, uid: str) -> list[int]:
        """Return the first segment of each planned slice whose words are kept, ascending."""
        return sorted(int(first) for first in self.client.hkeys(f"kc:job:{uid}:words"))

    def spoken(self, uid: str, first: int) -> SpokenRow:
        """Return what the segments of a slice say.

        Raises:
            LostLease: the job has ended, and this is forgotten with it.
        """
        row = self.client.hget(f"kc:job:{uid}:words", str(first))
        if row is None:
            raise LostLease(f"The words of {uid} are gone.")
        return SpokenRow(first, text(row))

    def is_open(self, uid: str) -> bool:
        """Return whether the job still wants work done."""
        status = self.client.hget(f"kc:job:{uid}", "status")
        return status in {b"queued", b"processing"}

    def doubt_audio(self, key: str) -> None:
        """Have no job reuse this segment audio again: it is missing or damaged."""
        self._run("doubt_audio", key)

    def finish_job(
        self,
        claim: AssemblyClaim,
        outputs: Sequence[OutputFile],
        *,
        encode_s: float,
        warnings: Sequence[dict[str, Any]] = (),
        chapters: Sequence[ChapterRecord] = (),
        chapter_files: Sequence[OutputFile] = (),
        captions: Sequence[CaptionFile] = (),
        costs: Mapping[str, EncodingCost] = NO_COSTS,
    ) -> None:
        """Record the stored files: the job has succeeded, and its webhook row is written.

        Args:
            claim: the job.
            outputs: files of the whole.
            encode_s: what making them took.
            warnings: of assembling.
            chapters: with their places in the audio.
            chapter_files: files of single chapters.
            captions: files of word and sentence times.
            costs: of each encoder; see `shared.ledger.encoding`.
        """
        self._run(
            "finish_job",
            claim.uid,
            claim.token,
            self.incarnation,
            self._worker,
            json.dumps([output.to_wire() for output in outputs]),
            encode_s,
            json.dumps([json.dumps(warning, ensure_ascii=False) for warning in warnings]),
            json.dumps([json.dumps(vars(chapter), ensure_ascii=False) for chapter in chapters]),
            json.dumps(
                {
                    f"{file.chapter}.{file.format}": json.dumps(file.to_wire())
                    for file in chapter_files
                }
            ),
            json.dumps([asdict(file) for file in captions]),
            json.dumps({name: asdict(cost) for name, cost in costs.items()}),
        )

    def tell_encoded(self, claim: AssemblyClaim, part: float) -> None:
        """Say how much of a job's encoding is done, 0 to 1; of one that has ended, nobody asks."""
        self._run("encoded", claim.uid, claim.token, part)

    def fail_stage(
        self, claim: PlanClaim | AssemblyClaim, *, code: str, message: str, permanent: bool
    ) -> None:
        """Give a job back to its stage, or fail it when that cannot help."""
        stage = "plan" if isinstance(claim, PlanClaim) else "assemble"
        self._run(
            "fail_stage",
            claim.uid,
            stage,
            claim.token,
            self.incarnation,
            self._worker,
            self._attempts_max,
            code,
            message,
            int(permanent),
        )

    # Deliver

    def claim_delivery(self, *, host_slots: int) -> DeliveryClaim | None:
        """Return the webhook longest due whose host has a free slot."""
        row = self._run("claim_delivery", self.incarnation, self._lease_ms, host_slots)
        if not row:
            return None
        delivery_id, token, attempt, uid, url, event, created_ms, body = row
        return DeliveryClaim(
            delivery_id.decode(),
            str(token),
            int(attempt),
            uid.decode(),
            url.decode(),
            event.decode(),
            float(created_ms) / 1000,
            body or None,
        )

    def job_fields(self, uid: str) -> dict[str, str]:
        """Return the job's hash, for the webhook's body."""
        return {
            text(name): text(value) for name, value in self.client.hgetall(f"kc:job:{uid}").items()
        }

    def batch_fields(self, batch_id: str) -> dict[str, str]:
        """Return the batch's hash, for the webhook's body."""
        rows = self.client.hgetall(f"kc:batch:{batch_id}").items()
        return {text(name): text(value) for name, value in rows}

    def warnings(self, uid: str) -> list[dict[str, Any]]:
        """Return the job's warnings, the first hundred."""
        rows = self.client.lrange(f"kc:job:{uid}:warnings", 0, -1)
        return [json.loads(text(row)) for row in rows]

    def freeze_body(self, claim: DeliveryClaim, body: bytes) -> bytes:
        """Return the bytes that every attempt sends: those of the first to get here."""
        return bytes(self._run("freeze_body", claim.id, body))

    def record_attempt(
        self,
        claim: DeliveryClaim,
        *,
        status: DeliveryStatus,
        next_s: float,
        entry: dict[str, Any],
    ) -> None:
        """Record what came of an attempt; `next_s` counts when `status` is pending."""
        self._run(
            "record_attempt",
            claim.id,
            claim.token,
            self.incarnation,
            status,
            int(next_s * 1000),
            json.dumps(entry, ensure_ascii=False),
        )

    # The process itself

    def let_go(self, *, stopped: bool) -> None:
        """Give back whatever is still held in this name: a claim whose answer never came, say.

        Args:
            stopped: False when the work itself failed, so that its attempt counts.
        """
        if self.client.scard(f"kc:held:{self.incarnation}"):
            self._run("release", self.incarnation, "stopped" if stopped else "died", "1")

    def register_engine(self, engine: EngineManifest, *, again: bool = False) -> None:
        """Tell planners and gateways what this cluster speaks with.

        Args:
            engine: it.
            again: this worker has said so before, and others may have said otherwise since.
        """
        self._run("register_engine", engine.to_json(), int(again))


def _tokens(claims: Sequence[SegmentClaim]) -> list[str | int]:
    return [part for claim in claims for part in (claim.uid, claim.index, claim.token)]


def _texts(row: Sequence[bytes | int]) -> list[str]:
    return [text(item) for item in row]
