"""The states of jobs, segments and deliveries, and the only moves between them."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands; the last four are terminal and never change."""

    QUEUED = "queued"
    """Accepted; no worker has begun."""
    PROCESSING = "processing"
    """A plan worker has claimed it at least once."""
    SUCCEEDED = "succeeded"
    """Every requested file is stored and complete."""
    FAILED = "failed"
    """It can't be made; `error` says why."""
    CANCELED = "canceled"
    """The client asked for no more work."""
    EXPIRED = "expired"
    """Its deadline passed first."""


class SegmentStatus(StrEnum):
    """Where a segment stands."""

    WAITING = "waiting"
    """In its job's ready queue."""
    LEASED = "leased"
    """In a batch of a synth worker, under a fencing token."""
    DONE = "done"
    """Its audio is stored (or it is a pause)."""


class DeliveryStatus(StrEnum):
    """Where a webhook delivery stands."""

    PENDING = "pending"
    """Due now or at `next_attempt_at`."""
    SENDING = "sending"
    """A deliver worker holds it."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    GONE = "gone"
    """The receiver answered 410: it wants no more."""
    EXHAUSTED = "exhausted"
    """Every scheduled attempt failed; it can be replayed."""


class BatchStatus(StrEnum):
    """Where a batch of jobs stands; the last two are terminal and never change."""

    IN_PROGRESS = "in_progress"
    """Some of its jobs have not ended."""
    COMPLETED = "completed"
    """All have ended, each in its own way."""
    CANCELED = "canceled"
    """All have ended, those that were open at that time because the client canceled the batch."""


JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        {JobStatus.PROCESSING, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED}
    ),
    JobStatus.PROCESSING: frozenset(
        {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED}
    ),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
}

SEGMENT_MOVES: dict[SegmentStatus, frozenset[SegmentStatus]] = {
    # Waiting to done: another job stored the same audio meanwhile.
    SegmentStatus.WAITING: frozenset({SegmentStatus.LEASED, SegmentStatus.DONE}),
    SegmentStatus.LEASED: frozenset({SegmentStatus.DONE, SegmentStatus.WAITING}),
    SegmentStatus.DONE: frozenset(),
}

DELIVERY_MOVES: dict[DeliveryStatus, frozenset[DeliveryStatus]] = {
    DeliveryStatus.PENDING: frozenset({DeliveryStatus.SENDING}),
    DeliveryStatus.SENDING: frozenset(
        {
            DeliveryStatus.PENDING,
            DeliveryStatus.DELIVERED,
            DeliveryStatus.GONE,
            DeliveryStatus.EXHAUSTED,
        }
    ),
    # A replay is the client's to ask for, whatever came of the first round.
    DeliveryStatus.DELIVERED: frozenset({DeliveryStatus.PENDING}),
    DeliveryStatus.GONE: frozenset({DeliveryStatus.PENDING}),
    DeliveryStatus.EXHAUSTED: frozenset({DeliveryStatus.PENDING}),
}

BATCH_MOVES: dict[BatchStatus, frozenset[BatchStatus]] = {
    BatchStatus.IN_PROGRESS: frozenset({BatchStatus.COMPLETED, BatchStatus.CANCELED}),
    BatchStatus.COMPLETED: frozenset(),
    BatchStatus.CANCELED: frozenset(),
}

TERMINAL: frozenset[JobStatus] = frozenset(s for s, moves in JOB_MOVES.items() if not moves)


class Lane(StrEnum):
    """Which queue a job's segments wait in."""

    INTERACTIVE = "interactive"
    """Served first."""
    BATCH = "batch"
    """Guaranteed every fifth batch while it has work."""


class Recycled(StrEnum):
    """Why a worker's child was replaced."""

    PLANNED = "planned"
    """It had done its number of tasks."""
    HOST_MEMORY = "host_memory"
    """It held more of the machine's memory than it may."""
    DEVICE_MEMORY = "device_memory"
    """The device's memory in use had grown by more than it may."""
    IDLE = "idle"
    """Nothing came for long; the model is loaded again when something does."""
    DEADLINE = "deadline"
    """It was killed, since what it did was overdue."""
    DEVICE = "device"
    """Its device was lost to it."""
    LOAD = "load"
    """It could not load its model or dictionaries, and said why."""
    DIED = "died"
    """It was killed by somebody else (often for memory), or crashed."""
    FATAL = "fatal"
    """It can't work as it is set up; the worker ends."""
