"""`/v1/usage`: what the caller's own jobs came to, by day."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.openapi import problems
from gateway.schemas import UsageReport
from gateway.services import ServicesOf
from shared.errors import InvalidInput
from shared.ledger.states import TERMINAL
from shared.ledger.usage import DAYS_KEPT, DayUsage, Usage

router = APIRouter(tags=["usage"])

DEFAULT_DAYS = 30
_STATUSES = sorted(status.value for status in TERMINAL)


@router.get("/v1/usage", response_model=UsageReport, responses=problems(422))
async def show_usage(
    services: ServicesOf,
    caller: CallerOf,
    first: Annotated[
        date | None,
        Query(alias="from", description="First day, UTC; by default 29 days before the last."),
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="Last day, UTC; by default today.")
    ] = None,
) -> Response:
    """Say what your jobs came to, by the day on which they ended, days without any left out.

    A job counts once, whatever was done again for it; characters and audio are those of jobs that
    succeeded.
    """
    usage = Usage(services.intake.client)
    last = last or await usage.today()
    first = first or last - timedelta(days=min(DEFAULT_DAYS - 1, (last - date.min).days))
    if first > last:
        raise InvalidInput("`from` is after `to`.", param="from")
    if (last - first).days >= DAYS_KEPT:
        raise InvalidInput(
            f"At most {DAYS_KEPT} days at a time, and no day is kept for longer.", param="from"
        )
    days = await usage.by_day(caller.owner, first, last)
    return JSONResponse(
        {
            "object": "usage",
            "from": first.isoformat(),
            "to": last.isoformat(),
            "total": _amount(days),
            "data": [{"date": day.day.isoformat(), **_amount([day])} for day in days],
        }
    )


def _amount(days: Sequence[DayUsage]) -> dict[str, Any]:
    return {
        "characters": sum(day.chars for day in days),
        "audio_s": round(sum(day.audio_s for day in days), 3),
        "jobs": {name: sum(day.jobs.get(name, 0) for day in days) for name in _STATUSES},
    }
