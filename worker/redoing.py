"""Planning a job that says one segment of another anew.

    segments before it, kept ─▶ its new text, planned ─▶ segments after it, kept

Each slice is claimed and recorded like one of a text, so that other jobs' come in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import redis

from shared.ledger.messages import NewSegment, PlanClaim
from shared.ledger.records import ChapterRecord
from shared.ledger.redo import Redo, Said
from shared.ledger.source import source_chapters, source_segments, source_spoken
from shared.spoken import SpokenSegment, moved
from worker.plan.segment import PlannedSlice

KEPT_AT_ONCE = 150
"""Segments of one slice: recording them takes Redis some milliseconds."""


@dataclass(frozen=True)
class KeptSlice:
    """Segments of another job that this one has too.

    Attributes:
        segments: as this job has them.
        chapters: that begin in them, as this job has them.
        spoken: what they say, where captions are made.
        stop: index after the last of them, in the other job.
        final: whether that job has no more.
    """

    segments: list[NewSegment]
    chapters: list[ChapterRecord]
    spoken: list[SpokenSegment]
    stop: int
    final: bool


def read_kept(client: redis.Redis, claim: PlanClaim, redo: Redo) -> KeptSlice:
    """Return the next segments of the other job, up to the one said anew or to the end.

    Raises:
        SourceGone: they are forgotten, for the job has ended.
        RedisError: Redis is away.
    """
    first = claim.state.at
    before = first < redo.segment
    stop = min(first + KEPT_AT_ONCE, redo.segment if before else redo.total)
    # What comes after the new text stands as much further in the input as that is longer.
    by = 0 if before else len(claim.text.decode()) - (redo.end - redo.start)
    found = source_segments(client, claim.uid, first, stop)
    said = source_spoken(client, claim.uid, first, stop) if claim.spec.captions else []
    return KeptSlice(
        [NewSegment.kept(segment, moved=by) for segment in found],
        chapters_of(client, claim, first, stop, segments=stop - first, final=stop == redo.total),
        [moved(segment, by) for segment in said],
        stop,
        stop == redo.total,
    )


def chapters_of(
    client: redis.Redis, claim: PlanClaim, first: int, stop: int, *, segments: int, final: bool
) -> list[ChapterRecord]:
    """Return the chapters of the other job that begin in a stretch of it, as this job has them.

    Args:
        client: of the ledger.
        claim: of this job.
        first: index of the stretch's first segment in the other job.
        stop: index after its last one.
        segments: how many this job has in their place.
        final: whether the other job ends with it; its last chapters may have no segment.
    """
    begins = claim.segments_total
    found = source_chapters(client, claim.uid)
    placed = [
        replace(c, segment=begins + c.segment - first) for c in found if first <= c.segment < stop
    ]
    if final:
        ends = begins + segments
        placed += [replace(c, segment=ends + c.segment - stop) for c in found if c.segment >= stop]
    return placed


def as_said(claim: PlanClaim) -> PlanClaim:
    """Return the claim as if its new text were a job's own; any other claim as it is."""
    redo = claim.redo
    if redo is None:
        return claim
    spec = replace(
        claim.spec,
        language=redo.said.language,
        speed=redo.said.speed,
        normalize=redo.said.normalize,
        follow_voice=redo.follow_voice,
        chapter_pause_s=0.0,
    )
    return replace(claim, spec=spec, state=replace(claim.state, voice=redo.voice))


def in_place(sliced: PlannedSlice, redo: Redo) -> PlannedSlice:
    """Return a planned new text as it stands in the input of the whole."""
    segments = tuple(
        replace(
            segment,
            start=segment.start + redo.start,
            end=segment.end + redo.start,
            spoken=moved(segment.spoken, redo.start),
        )
        for segment in sliced.segments
    )
    return replace(sliced, segments=segments)


def how_said(
    claim: PlanClaim, sliced: PlannedSlice, segments: Sequence[NewSegment]
) -> list[NewSegment]:
    """Return segments of a new text that say how they are spoken, for whoever redoes them."""
    if claim.redo is None:
        return list(segments)
    said = claim.redo.said
    return [
        segment
        if segment.payload is None
        else replace(
            segment,
            said=Said(
                planned.language or said.language,
                said.speed,
                said.normalize,
                claim.lexicon_names,
            ),
        )
        for segment, planned in zip(segments, sliced.segments, strict=True)
    ]
