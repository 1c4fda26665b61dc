"""What a client may ask for when a segment is to be said anew, and reading it."""

import json

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.requests import (
    CustomId,
    DeadlineSeconds,
    LexiconNames,
    Metadata,
    Priority,
    TtlSeconds,
    WebhookRequest,
    check_bounds,
    parse_json,
    read_json_body,
)
from shared.ledger.states import Lane
from shared.settings import Settings

MAX_REDO_CHARS = 10_000
"""Of a new text: it takes the place of one segment, which has some 500, and is planned at once."""


class RedoRequest(BaseModel):
    """A new text for one segment. What is left out is as it was for that segment."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    input: str = Field(
        min_length=1,
        max_length=MAX_REDO_CHARS,
        description="What is said in the segment's place; it may make several segments. "
        "`[pause:1.5s]`, `[word](/phonemes/)` and `[voice:am_adam]` (up to its end) are understood "
        "in it; chapters stay as they are.",
        examples=["She said it [again](/əɡˈɛn/)."],
    )
    voice: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Default: the segment's.",
        examples=["af_heart"],
    )
    language: str | None = Field(
        None,
        max_length=20,
        description="Default: the segment's. Where that was its voice's own, and another `voice` "
        "is given, that one's own.",
        examples=["en-us"],
    )
    speed: float | None = Field(None, ge=0.25, le=4, description="Default: the segment's.")
    normalize: bool | None = Field(None, description="Default: as for the segment.")
    lexicons: LexiconNames | None = Field(
        None,
        description="Default: those of the segment, in the versions it was spoken with.",
        examples=[["names", "products@3"]],
    )
    webhook: WebhookRequest | None = None
    priority: Priority = Lane.INTERACTIVE
    deadline_s: DeadlineSeconds = None
    ttl_s: TtlSeconds = None
    custom_id: CustomId = None
    metadata: Metadata = Field(default_factory=dict)

    def check_bounds(self, settings: Settings) -> None:
        """Raise `InvalidInput` for what this cluster's settings do not allow."""
        check_bounds(settings, "input", len(self.input), self.deadline_s, self.ttl_s)

    def canonical(self, uid: str, segment: int) -> bytes:
        """Return the request as bytes that are equal for requests that mean the same.

        A field that says nothing is not in them, so that they are the same when there are more.
        """
        fields = self.model_dump(mode="json", exclude_defaults=True)
        whole = {"redo_of": {"job": uid, "segment": segment}, **fields}
        return json.dumps(whole, sort_keys=True, ensure_ascii=False).encode()


async def read_redo_request(request: Request) -> RedoRequest:
    """Read and check the body.

    Raises:
        UnsupportedMediaType: it does not say that it is JSON, or is compressed.
        MalformedJson: it is not.
        ValidationError: a field is missing, unknown or bad.
    """
    return RedoRequest.model_validate(parse_json(await read_json_body(request)))
