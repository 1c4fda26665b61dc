"""`/v1/lexicons`: stored pronunciations, to be named by jobs."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from gateway.callers import CallerOf
from gateway.errors import LexiconNotFound, LexiconsFull
from gateway.lexicon_requests import LexiconRequest, read_lexicon
from gateway.offload import offload
from gateway.openapi import json_body, problems
from gateway.schemas import Lexicon as LexiconShape
from gateway.schemas import LexiconList
from gateway.services import ServicesOf
from shared.errors import InvalidLexicon
from shared.job_view import timestamp
from shared.ledger.lexicons import (
    MAX_LEXICONS,
    MAX_OWNER_BYTES,
    LexiconRecord,
    LexiconVersion,
    PutVerdict,
)
from shared.lexicon import Lexicon, is_name

log = structlog.get_logger()

router = APIRouter(tags=["lexicons"])

LexiconName = Annotated[
    str, Path(description="Of letters, digits, `_`, `.` and `-`: 1 to 64 of them.")
]


def _view(record: LexiconRecord, at: LexiconVersion | None = None) -> dict[str, Any]:
    version = at or record.newest
    return {
        "object": "lexicon",
        "name": record.name,
        **_version_view(version),
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(version.created_at),
        "versions": [_version_view(kept) for kept in reversed(record.versions)],
    }


def _version_view(version: LexiconVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "created_at": timestamp(version.created_at),
        "language": version.language,
        "entries_total": version.entries,
        "bytes": version.bytes,
    }


def _entries(content: str) -> list[dict[str, Any]]:
    return [
        {
            "word": entry.word,
            "phonemes": entry.phonemes or None,
            "respelling": entry.respelling or None,
            "case_sensitive": entry.case_sensitive,
        }
        for entry in Lexicon.from_json(content).entries
    ]


@router.put(
    "/v1/lexicons/{name}",
    response_model=LexiconShape,
    responses=problems(400, 408, 409, 413, 415, 422),
    openapi_extra=json_body(LexiconRequest),
)
async def put_lexicon(
    request: Request, services: ServicesOf, caller: CallerOf, name: LexiconName
) -> Response:
    """Store a lexicon's content as its next version. The same content again makes none."""
    if not is_name(name):
        raise InvalidLexicon(
            "Call a lexicon by 1 to 64 letters, digits, '_', '.' or '-', a letter or digit first.",
            param="name",
        )
    lexicon, content = await read_lexicon(request)
    verdict, record = await services.lexicons.put(caller.owner, name, lexicon, content)
    if record is None:
        what = (
            f"You have {MAX_LEXICONS} lexicons, as many as a key may have; delete one first."
            if verdict is PutVerdict.TOO_MANY
            else f"Your lexicons, with versions that jobs still need, would have more than "
            f"{MAX_OWNER_BYTES} bytes; delete one first."
        )
        raise LexiconsFull(what, param="name")
    if verdict is PutVerdict.STORED:
        log.info(
            "lexicon stored", action="lexicon", owner=caller.owner, version=record.newest.version
        )
    return JSONResponse(_view(record))


@router.get("/v1/lexicons", response_model=LexiconList, responses=problems())
async def list_lexicons(services: ServicesOf, caller: CallerOf) -> Response:
    """List your lexicons by name, without their entries."""
    records = await services.lexicons.all(caller.owner)
    return JSONResponse({"object": "list", "data": [_view(record) for record in records]})


@router.get("/v1/lexicons/{name}", response_model=LexiconShape, responses=problems(404, 422))
async def get_lexicon(
    services: ServicesOf,
    caller: CallerOf,
    name: LexiconName,
    version: Annotated[
        int | None, Query(ge=1, le=10**9, description="Default: the newest.")
    ] = None,
) -> Response:
    """Look at a lexicon with its entries."""
    record = await services.lexicons.get(caller.owner, name) if is_name(name) else None
    if record is None:
        raise LexiconNotFound()
    found = record.newest if version is None else record.at(version)
    content = None if found is None else await services.lexicons.content(found.digest)
    if found is None or content is None:
        kept = ", ".join(str(kept.version) for kept in record.versions)
        raise LexiconNotFound(f"That version is not kept. Those that are: {kept}.", param="version")
    entries = await offload(len(content), lambda: _entries(content))
    return JSONResponse({**_view(record, found), "entries": entries})


@router.delete(
    "/v1/lexicons/{name}", status_code=204, response_class=Response, responses=problems(404)
)
async def delete_lexicon(services: ServicesOf, caller: CallerOf, name: LexiconName) -> Response:
    """Remove a lexicon with all its versions. Jobs submitted with it still have theirs."""
    if not is_name(name) or not await services.lexicons.delete(caller.owner, name):
        raise LexiconNotFound()
    log.info("lexicon deleted", action="lexicon", owner=caller.owner)
    return Response(status_code=204)
