"""A batch of jobs as a client submits it, read from a request's body."""

from enum import StrEnum
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.offload import offload
from gateway.requests import JobRequest, parse_json, read_json_body
from shared.addresses import MAX_URL_CHARS
from shared.errors import InvalidInput
from shared.ledger.states import Lane

MAX_ITEMS = 1000

MAX_PARTS = 120 * MAX_ITEMS
"""See `gateway.requests.MAX_PARTS`: an item of ten fields and some metadata has about a hundred."""

MAX_OUTSIDE_BYTES = 1000 * MAX_ITEMS
"""See `gateway.requests.MAX_OUTSIDE_BYTES`: room for generous indentation."""


class BatchEvent(StrEnum):
    """What a batch's webhook can tell of."""

    COMPLETED = "batch.completed"
    CANCELED = "batch.canceled"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


_BatchEvent = Annotated[BatchEvent, Field(strict=False)]
_Lane = Annotated[Lane, Field(strict=False)]


class BatchItem(JobRequest):
    """One job of a batch."""

    priority: _Lane = Field(
        Lane.BATCH, description="`batch` gives way to `interactive` work of all."
    )


class BatchWebhookRequest(_Strict):
    """Where to tell of the batch's end; its jobs may have webhooks of their own."""

    url: str = Field(max_length=MAX_URL_CHARS, examples=["https://example.com/hooks/batches"])
    events: list[_BatchEvent] = Field(
        default_factory=lambda: list(BatchEvent), min_length=1, max_length=len(BatchEvent)
    )


class BatchRequest(_Strict):
    """Many jobs to be made, all or none of them accepted."""

    items: list[BatchItem] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description="Each as for `POST /v1/jobs`, with `priority` `batch` unless it says "
        "otherwise. `custom_id` is unique in the batch; an item without one gets its index.",
        examples=[[{"custom_id": "greeting", "input": "Hello."}, {"input": "Goodbye."}]],
    )
    webhook: BatchWebhookRequest | None = None
    metadata: dict[
        Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]
    ] = Field(default_factory=dict, max_length=16, description="Handed back as it came.")

    @property
    def text_chars(self) -> int:
        """How long all texts are together."""
        return sum(item.text_chars for item in self.items)

    def canonical(self) -> bytes:
        """Return the request as bytes that are equal for requests that mean the same."""
        rest = self.model_dump_json(exclude={"items"}).encode()
        return b"\n".join((rest, *(item.canonical() for item in self.items)))

    def custom_ids(self) -> list[str]:
        """Return each item's own id, its index where it has none.

        Raises:
            InvalidInput: two are the same; `param` names the later one.
        """
        found: dict[str, int] = {}
        for index, item in enumerate(self.items):
            name = item.custom_id or str(index)
            if name in found:
                raise InvalidInput(
                    f"items.{index}.custom_id: item {found[name]} is called {name!r} already.",
                    param=f"items.{index}.custom_id",
                )
            found[name] = index
        return list(found)


async def read_batch_request(request: Request) -> BatchRequest:
    """Read and check the body of a batch, off the event loop.

    Raises:
        UnsupportedMediaType: it does not say that it is JSON, or is compressed.
        MalformedJson: it is not.
        ValidationError: a field is missing, unknown or bad.
    """
    body = await read_json_body(request)

    def read() -> BatchRequest:
        parsed = parse_json(body, max_parts=MAX_PARTS, max_outside_bytes=MAX_OUTSIDE_BYTES)
        return BatchRequest.model_validate(parsed)

    return await offload(len(body), read)
