"""When a job will have ended: from what is ahead of it and what the cluster was measured to do.

Work is counted in phonemes: of segments planned and not done, and of texts not planned yet by the
phonemes that characters here turn out to have. It is worked off at the pace measured while this job
itself got on, or before that at the one of all devices when busy. What comes in between is told by
the part that this job had of the work of late, or before that by what the fair queue gives it: see
`docs/decisions/0018-what-a-client-can-know-of-the-queue.md`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.ledger.encoding import LOUDNESS, encode_s, ratio
from shared.ledger.records import JobRecord, JobSpec
from shared.ledger.states import TERMINAL, JobStatus, Lane

LANE_PART = {Lane.INTERACTIVE: 0.8, Lane.BATCH: 0.2}
"""Of the work while both lanes have some: every fifth claim looks at the batch lane first."""

POOLED_S = 2.0
"""Seconds of the whole cluster's pace put to a job's own, which is of few batches at first."""

BELIEVED_CHARS = 500
"""Characters of a job that are planned, before its phonemes a character are believed."""

OVERDUE_PART = 0.1
"""Of the time that an encoding took already, if it takes longer than it should have."""

BELIEVED_ENCODING_S = 2.0
"""Seconds for which an encoding under way goes as fast as others went."""

CAME_S = 10.0
"""Length of the stretches in which is counted what comes."""


@dataclass(frozen=True)
class Places:
    """A job's places in queues.

    Attributes:
        plan: jobs that are planned before it; None once planning has begun.
        lane: jobs of its owner that are served before it; None if none of its segments waits.
    """

    plan: int | None = None
    lane: int | None = None


@dataclass(frozen=True)
class Outlook:
    """What is ahead of one owner's jobs in one lane, at one moment.

    Attributes:
        now: seconds since 1970, by Redis's clock.
        pace: sums over what the devices did of late: phonemes, chars, audio_s, busy_s, segments,
            batches; and `at_ms`, when the last batch was recorded.
        ahead: `<lane>.left` phonemes planned and not done, `<lane>.unplanned` characters.
        encode: see `shared.ledger.encoding`; `*.s` and `*.jobs`: by the clock, of whole jobs.
        synth: synth workers heard of.
        cold_s: until the first of them has its model, where all have given theirs back.
        assemblers: processes that encode.
        in_lane: jobs of the lane that wait for a device.
        of_owner: those of the owner.
        owner_part: of the lane's work, that the owner's share gives it.
        to_plan: jobs that wait to be planned.
        to_assemble: jobs that wait to be encoded.
        waiting_segments: in all lanes.
        waiting_phonemes: in those.
        came: lane → characters accepted in each of the last whole stretches of `CAME_S`.
        rendered: phonemes that all devices have ever rendered; None where that isn't told.
    """

    now: float
    pace: Mapping[str, float] = field(default_factory=dict)
    ahead: Mapping[str, float] = field(default_factory=dict)
    encode: Mapping[str, float] = field(default_factory=dict)
    synth: int = 0
    cold_s: float = 0.0
    assemblers: int = 0
    in_lane: float = 0
    of_owner: int = 0
    owner_part: float = 1.0
    to_plan: int = 0
    to_assemble: int = 0
    waiting_segments: int = 0
    waiting_phonemes: int = 0
    came: Mapping[str, Sequence[float]] = field(default_factory=dict)
    rendered: float | None = None

    @classmethod
    def from_json(cls, text: str) -> "Outlook":
        """Read the answer of the script `outlook`."""
        fields: dict[str, Any] = json.loads(text)
        return cls(now=fields.pop("now_ms") / 1000, **fields)

    @property
    def phonemes_per_char(self) -> float | None:
        """As measured over what was rendered of late."""
        return ratio(self.pace, "phonemes", "chars")

    @property
    def phonemes_per_s(self) -> float | None:
        """What all devices that are there do together when busy; None if unknown or none is."""
        each = ratio(self.pace, "phonemes", "busy_s")
        return each * self.synth if each and self.synth else None

    @property
    def segment_phonemes(self) -> float | None:
        """Of a usual segment."""
        if self.waiting_segments > 0 and self.waiting_phonemes > 0:
            return self.waiting_phonemes / self.waiting_segments
        return ratio(self.pace, "phonemes", "segments")

    def of_lane(self, lane: Lane) -> float:
        """Return the phonemes to render in a lane, in texts that are not planned yet too."""
        chars = max(0.0, self.ahead.get(f"{lane}.unplanned", 0))
        left = max(0.0, self.ahead.get(f"{lane}.left", 0))
        return left + chars * (self.phonemes_per_char or 0)

    def coming(self, lane: Lane) -> float:
        """Return the phonemes a second that keep coming into a lane.

        What came in all stretches but one: a few books do not come again and again, sentences do.
        """
        least = sorted(self.came.get(lane, ()))[:2]
        return max(least, default=0.0) / CAME_S * (self.phonemes_per_char or 0)

    @property
    def batch_gap_s(self) -> float | None:
        """Seconds from the end of a usual batch to the next one's, on all devices when busy."""
        each = ratio(self.pace, "busy_s", "batches")
        return each / self.synth if each and self.synth else None


def eta_s(
    job: JobRecord, places: Places, outlook: Outlook, now: float, *, own: float | None = None
) -> float | None:
    """Return seconds until the job will have ended; None once it has, or if it can't be known.

    Args:
        job: as it is now.
        places: of it, now.
        outlook: of its owner and lane, some seconds old at most.
        now: seconds since 1970, by Redis's clock.
        own: phonemes of it that are to be rendered, where they are known better than from its
            record.
    """
    if job.status in TERMINAL:
        return None
    if job.stage == "assemble":
        return _assembly_s(job, outlook, job.audio_s, now)
    own = _own_phonemes(job, outlook) if own is None else own
    if own is None:
        return None
    render_s = 0.0
    if own > 0:
        rendering = _render_s(job, own, places, outlook, now)
        if rendering is None:
            return None
        render_s = rendering + outlook.cold_s
    spoken = job.audio_s + own * _s_per_phoneme(job, outlook)
    encode_s = _assembly_s(job, outlook, spoken, now)
    return None if encode_s is None else render_s + encode_s


def _own_phonemes(job: JobRecord, outlook: Outlook) -> float | None:
    """Return what is left to render of a job; None if nothing tells how much its text comes to."""
    pace = job.pace
    chars = job.input_chars - job.plan_chars if not job.planned else 0
    if chars <= 0:
        return float(pace.left)
    each = outlook.phonemes_per_char
    if job.plan_chars >= BELIEVED_CHARS:
        each = pace.to_render / job.plan_chars
    return None if each is None else pace.left + chars * each


def _render_s(
    job: JobRecord, own: float, places: Places, outlook: Outlook, now: float
) -> float | None:
    """Return seconds until the last of the job's own phonemes is rendered."""
    cluster = outlook.phonemes_per_s
    usual = outlook.segment_phonemes
    pace = job.pace
    if cluster is None or usual is None:
        return None
    if pace.batches < 1:
        ahead = _ahead_unbegun(job, own, usual, places, outlook)
        return _lane_s(job.lane, ahead, cluster, outlook)
    # What was rendered since the outlook is in it, and in the job's own figures no more.
    since = max(0.0, (pace.total or 0.0) - outlook.rendered) if outlook.rendered is not None else 0
    others = max(0.0, outlook.of_lane(job.lane) - own - since)
    count = max(1.0, outlook.in_lane)
    expected = _fair_part(outlook, outlook.of_owner, count) * count
    favour = (pace.own + usual * expected) / (pace.even + usual)
    part = min(1.0, favour / count)
    # While the other lane has work, this one's jobs had their part of less than all.
    if _other_lane(job.lane, outlook) > 0:
        part = min(1.0, part / LANE_PART[job.lane])
    rate, under_way_s = _progress(job, cluster, outlook, now)
    all_s = _drain_s(own + others, rate, outlook.coming(job.lane))
    work = own / part if all_s is None else min(own / part, all_s * rate)
    return max(0.0, _lane_s(job.lane, work, rate, outlook) - under_way_s)


def _progress(job: JobRecord, cluster: float, outlook: Outlook, now: float) -> tuple[float, float]:
    """Return the phonemes a second of all devices while this job got on, and the time under way.

    Args:
        job: that had a batch.
        cluster: phonemes a second of all devices when busy.
        outlook: of its owner and lane.
        now: seconds since 1970, by Redis's clock.

    Returns:
        The pace; and seconds since the last batch of anybody's, at most those of a usual one.
    """
    pace = job.pace
    own_at = now if pace.at is None else pace.at
    own_gap_s = pace.s / pace.batches
    last_at = max(own_at, outlook.pace.get("at_ms", 0.0) / 1000)
    # Others' batches since its own: it waits for its turn, and the cluster gets on.
    others = 0.0
    if pace.total is not None and outlook.rendered is not None:
        others = max(0.0, outlook.rendered - pace.total)
    gap_s = min(own_gap_s, outlook.batch_gap_s or own_gap_s)
    since_s = max(0.0, now - last_at)
    # Late by more than two batches: nothing gets on, and the longer so the slower it is.
    late_s = max(0.0, since_s - 2 * own_gap_s)
    took_s = pace.s + (last_at - own_at) + POOLED_S + late_s
    return (pace.all + others + POOLED_S * cluster) / took_s, min(since_s, gap_s)


def _ahead_unbegun(
    job: JobRecord, own: float, usual: float, places: Places, outlook: Outlook
) -> float:
    """Return the lane's phonemes until a job is done of which nothing is rendered yet.

    Each other job has as many turns as this one, the first round only if it comes before it.
    """
    turns = max(1.0, own / usual)
    waits = places.lane is not None
    count = max(1.0, outlook.in_lane + (0 if waits else 1))
    of_owner = max(1, outlook.of_owner + (0 if waits else 1))
    beside = 1 / _fair_part(outlook, of_owner, count) - 1
    before = beside
    if places.lane is not None and of_owner > 1:
        before = beside * places.lane / (of_owner - 1)
    unplanned = max(0.0, outlook.ahead.get(f"{job.lane}.unplanned", 0) - job.pace.unplanned)
    unplanned *= outlook.phonemes_per_char or 0
    planned = max(0.0, outlook.ahead.get(f"{job.lane}.left", 0) - job.pace.left)
    work = own + min(planned, usual * ((turns - 1) * beside + before))
    if places.plan is not None and outlook.to_plan > 1:
        earlier = min(1.0, places.plan / (outlook.to_plan - 1))
        later = outlook.to_plan - 1 - places.plan
        work += min(unplanned * earlier, places.plan * turns * usual)
        work += min(unplanned * (1 - earlier), max(0, later) * (turns - 1) * usual)
    return work


def _fair_part(outlook: Outlook, of_owner: int, count: float) -> float:
    """Return the part of its lane's work that a job gets, by the rules of the fair queue.

    A batch is led by whose turn it is and filled with one segment of each job, round after round.
    """
    batch = max(1.0, ratio(outlook.pace, "segments", "batches") or 1.0)
    by_share = outlook.owner_part / max(1, of_owner)
    return min(1.0, max(1 / count, min(by_share, 1 / batch)))


def _other_lane(lane: Lane, outlook: Outlook) -> float:
    return outlook.of_lane(_other(lane))


def _other(lane: Lane) -> Lane:
    return Lane.BATCH if lane is Lane.INTERACTIVE else Lane.INTERACTIVE


def _lane_s(lane: Lane, work: float, rate: float, outlook: Outlook) -> float:
    """Return seconds until `work` of a lane is rendered, beside what the other has and gets."""
    slowest_s = work / LANE_PART[lane] / rate
    both = work + _other_lane(lane, outlook)
    both_s = _drain_s(both, rate, outlook.coming(_other(lane)))
    return slowest_s if both_s is None else min(slowest_s, both_s)


def _drain_s(work: float, rate: float, coming: float) -> float | None:
    """Return seconds until work is done while more keeps coming; None if that grows faster."""
    return work / (rate - coming) if coming < rate else None


def _s_per_phoneme(job: JobRecord, outlook: Outlook) -> float:
    # Not by all audio of the job: pauses have no phonemes, and what existed was not rendered.
    if job.pace.rendered > 0:
        return job.pace.rendered_s / job.pace.rendered
    return (ratio(outlook.pace, "audio_s", "phonemes") or 0.0) / job.spec.speed


def _assembly_s(job: JobRecord, outlook: Outlook, audio_s: float, now: float) -> float | None:
    """Return seconds that waiting for an encoder, encoding and storing take from here on."""
    alone = encode_s(outlook.encode, _encoders(job.spec), audio_s)
    if alone is None:
        return None
    if job.pace.assembling_since is not None and job.stage == "assemble":
        return _rest_of_encoding_s(job, alone, job.pace.assembling_since, now)
    usual_s = ratio(outlook.encode, "*.s", "*.jobs") or 0.0
    queued = max(0, outlook.to_assemble - (1 if job.stage == "assemble" else 0))
    return alone + queued * usual_s / max(1, outlook.assemblers)


def _rest_of_encoding_s(job: JobRecord, alone: float, since: float, now: float) -> float:
    """Return what is left of an encoding that is under way, by how it got on if that is told."""
    told_at = since if job.pace.encoded_at is None else max(since, job.pace.encoded_at)
    done = min(1.0, job.pace.encoded)
    believed = BELIEVED_ENCODING_S / max(alone, BELIEVED_ENCODING_S)
    whole_s = alone
    if done > 0:
        whole_s = (told_at - since + believed * alone) / (done + believed)
    silent_s = max(0.0, now - told_at)
    return max(whole_s * (1 - done) - silent_s, silent_s * OVERDUE_PART)


def _encoders(spec: JobSpec) -> tuple[str, ...]:
    files = tuple(spec.outputs) * (2 if spec.split else 1)
    return files if spec.loudness_lufs is None else (*files, LOUDNESS)


def queue_position(job: JobRecord, places: Places) -> int | None:
    """Return how many jobs are planned before it; None once planning has begun."""
    return places.plan if job.status is JobStatus.QUEUED else None
