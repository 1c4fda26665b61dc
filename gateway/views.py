"""Records of the ledger as clients see them."""

from collections.abc import Sequence
from typing import Any

from gateway.services import Services
from shared.formats import SAMPLE_RATE_HZ
from shared.job_view import file_view, job_view, timestamp
from shared.ledger.chapters import chapter_files, chapters_of
from shared.ledger.intake import Intake
from shared.ledger.outlook import Places, queue_position
from shared.ledger.records import ChapterRecord, DeliveryRecord, JobRecord, SegmentRecord
from shared.ledger.states import TERMINAL


async def whole_job(
    services: Services, record: JobRecord, base_url: str, *, segments: bool = False
) -> dict[str, Any]:
    """Return a job with what the ledger keeps beside its record.

    Those are its warnings, its place, its chapters with their files and, if wanted, its segments.
    """
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
    await add_chapters(intake, record, view)
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


async def add_chapters(intake: Intake, record: JobRecord, view: dict[str, Any]) -> None:
    """Put a job's chapters, and the files of single ones, into what is shown of it."""
    if not record.chapters_total:
        view["chapters"] = []
        return
    found = await chapters_of(intake.client, record.uid)
    view["chapters"] = [chapter_view(chapter) for chapter in found]
    if view["output"] is not None and record.spec.split:
        files = await chapter_files(intake.client, record.uid)
        view["output"]["others"] += [file_view(file, view["urls"]["self"]) for file in files]


def chapter_view(chapter: ChapterRecord) -> dict[str, Any]:
    """Return a chapter; where it lies in the audio is known once all of that is."""
    start, end = (
        None if samples is None else round(samples / SAMPLE_RATE_HZ, 3)
        for samples in (chapter.start, chapter.end)
    )
    return {"title": chapter.title, "start_s": start, "end_s": end}


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
