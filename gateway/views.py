"""Records of the ledger as clients see them."""

from collections.abc import Sequence
from typing import Any

from gateway.services import Services
from shared.formats import SAMPLE_RATE_HZ
from shared.job_view import job_view, timestamp
from shared.ledger.outlook import Places, queue_position
from shared.ledger.records import DeliveryRecord, JobRecord, SegmentRecord
from shared.ledger.states import TERMINAL


async def whole_job(
    services: Services, record: JobRecord, base_url: str, *, segments: bool = False
) -> dict[str, Any]:
    """Return a job with what the ledger keeps beside its record: warnings, place, segments."""
    intake = services.intake
    warnings = await intake.warnings(record.uid) if record.warnings_total else []
    places = Places()
    if record.status not in TERMINAL:
        (places,) = await intake.places([record])
    view = job_view(
        record,
        warnings=warnings,
        queue_position=queue_position(record, places),
        eta_s=await services.pace.eta_s(record, places),
        base_url=base_url,
    )
    if segments:
        view["segments"] = segment_views(await intake.segments(record.uid, record.segments_total))
    return view


async def job_rows(
    services: Services, records: Sequence[JobRecord], base_url: str
) -> list[dict[str, Any]]:
    """Return jobs as a list shows them: without their warnings."""
    waiting = [record for record in records if record.status not in TERMINAL]
    found = await services.intake.places(waiting)
    places = {record.uid: place for record, place in zip(waiting, found, strict=True)}
    rows = []
    for record in records:
        place = places.get(record.uid, Places())
        rows.append(
            job_view(
                record,
                warnings=(),
                queue_position=queue_position(record, place),
                eta_s=await services.pace.eta_s(record, place),
                base_url=base_url,
            )
        )
    return rows


def segment_views(segments: list[SegmentRecord]) -> list[dict[str, Any]]:
    """Return a job's segments in order, each placed in the audio once all before it are done."""
    views = []
    start: int | None = 0
    for segment in segments:
        known = start is not None and segment.samples is not None
        end = start + segment.samples if known else None  # type: ignore[operator]
        views.append(
            {
                "index": segment.index,
                "status": segment.status.value,
                "pause": segment.pause,
                "text": {"start": segment.start, "end": segment.end},
                "start_s": None if start is None else round(start / SAMPLE_RATE_HZ, 3),
                "end_s": None if end is None else round(end / SAMPLE_RATE_HZ, 3),
                "attempts": segment.attempts,
                "reused": segment.reused,
            }
        )
        start = end
    return views


def delivery_view(delivery: DeliveryRecord) -> dict[str, Any]:
    """Return a webhook delivery with its attempts."""
    return {
        "id": delivery.id,
        "object": "delivery",
        "event": delivery.event,
        "url": delivery.url,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "created_at": timestamp(delivery.created_at),
        "next_attempt_at": timestamp(delivery.next_attempt_at),
        "log": list(delivery.log),
    }
