"""Checks that a webhook is genuine, as Standard Webhooks has it.

Source: https://github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from client.answers import Job
from client.errors import InvalidUse, UnreadableAnswer, WebhookRejected
from client.reading import read

PREFIX = "whsec_"
TOLERANCE_S = 300
"""How far a webhook's time may be from this machine's clock."""


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """What a genuine webhook tells.

    Attributes:
        id: the same on every repeat: delivery is at least once, so do the work once an id.
        type: `job.succeeded`, `job.failed`, `job.canceled` or `job.expired`.
        timestamp: when it happened.
        data: the job; of a very large one some fields are left out, as `raw["truncated"]` names.
    """

    id: str = ""
    type: str
    timestamp: datetime
    data: Job
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes | str,
    secret: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: Callable[[], float] = time.time,
) -> WebhookEvent:
    """Return what a webhook tells, once it is known to be genuine and recent.

    Args:
        headers: of the request, their names in any case.
        body: exactly as it came.
        secret: the cluster's `whsec_…`; while it rotates several, in a list or with spaces between.
        tolerance_s: how far its time may be from now.
        now_s: seconds since the Unix epoch.

    Raises:
        WebhookRejected: a header is missing, no signature fits, or its time is too far from now.
        InvalidUse: a secret is none.
    """
    keys = _keys(secret)
    found = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, sent, signatures = (
            found[f"webhook-{name}"] for name in ("id", "timestamp", "signature")
        )
    except KeyError as error:
        raise WebhookRejected(f"The header {error.args[0]} is missing.") from error
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
        raise WebhookRejected("The header webhook-timestamp is no time.")
    data = body.encode() if isinstance(body, str) else body
    signed = f"{message_id}.{sent}.".encode("utf-8", "surrogatepass") + data
    if not _fits(signed, keys, signatures):
        raise WebhookRejected("No signature fits the body and this secret.")
    if abs(now_s() - int(sent)) > tolerance_s:
        raise WebhookRejected("The webhook's time is too far from this machine's.")
    return _event(message_id, data)


def _keys(secret: str | Sequence[str]) -> list[bytes]:
    texts = secret.replace(",", " ").split() if isinstance(secret, str) else list(secret)
    keys = []
    for text in texts:
        try:
            keys.append(base64.b64decode(text.removeprefix(PREFIX), validate=True))
        except (binascii.Error, ValueError) as error:
            raise InvalidUse("A webhook secret is `whsec_` and base64.") from error
    if not keys or not all(keys):
        raise InvalidUse("Give the cluster's webhook secret, `whsec_…`.")
    return keys


def _fits(signed: bytes, keys: list[bytes], signatures: str) -> bool:
    expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in keys]
    fits = False
    for signature in signatures.split():
        version, _, value = signature.partition(",")
        if version == "v1":
            for one in expected:
                # All are compared, so that the time taken tells nothing.
                fits |= hmac.compare_digest(one, value.encode("utf-8", "surrogatepass"))
    return fits


def _event(message_id: str, data: bytes) -> WebhookEvent:
    try:
        event = json.loads(data)
        return read(WebhookEvent, {**event, "id": message_id}, "webhook")
    except (ValueError, TypeError, UnreadableAnswer) as error:
        raise WebhookRejected("The webhook is signed, but tells of no job.") from error
