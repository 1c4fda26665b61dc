"""Signatures that receivers check with any Standard Webhooks library.

Source: https://github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from shared.errors import InvalidSettings

PREFIX = "whsec_"

_KEY_BYTES = range(24, 65)


def generate_secret() -> str:
    """Return a new secret: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def parse_secrets(text: str) -> tuple[str, ...]:
    """Read `KC_WEBHOOK_SECRET`: secrets separated by spaces or commas, the new one first.

    The message of the error says which one is bad by its place, and never shows it.

    Raises:
        InvalidSettings: one is not `whsec_` and the base64 of 24 to 64 bytes.
    """
    found = tuple(text.replace(",", " ").split())
    for place, secret in enumerate(found, start=1):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith(PREFIX) or len(key) not in _KEY_BYTES:
            raise InvalidSettings(
                f"KC_WEBHOOK_SECRET: secret {place} of {len(found)} is not `whsec_` and the "
                "base64 of 24 to 64 bytes."
            )
    return found


def sign(
    message_id: str, attempted_at_s: float, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """Return the three headers of a delivery.

    The signature covers id, time and body. The id is the same on every attempt, so that receivers
    can drop repeats; the time is the attempt's own, since receivers refuse old ones.

    Args:
        message_id: the delivery's id; without a dot, which separates the signed parts.
        attempted_at_s: seconds since the Unix epoch.
        body: the bytes as they will be sent, UTF-8.
        secrets: one or more `whsec_…`; during a rotation each makes a signature of its own.

    Raises:
        ValueError: there is no secret, or the id has a dot.
    """
    if not secrets or "." in message_id:
        raise ValueError("signing needs at least one secret and an id without a dot")
    when = datetime.fromtimestamp(int(attempted_at_s), tz=UTC)
    signatures = [Webhook(secret).sign(message_id, when, body.decode()) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(attempted_at_s)),
        "webhook-signature": " ".join(signatures),
    }
