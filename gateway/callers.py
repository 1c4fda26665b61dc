"""Who calls: the owner of an API key, or `local` where the gateway needs none."""

from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from gateway.errors import InvalidKey
from gateway.services import ServicesOf
from shared.apikeys import MAX_TOKEN_CHARS, ApiKey
from shared.ledger.intake import Limits
from shared.settings import Settings

LOCAL = "local"
"""Owner of all jobs where no keys are set."""

_bearer = HTTPBearer(
    auto_error=False, description="A key made by `kokoro-cluster keys add`, where keys are set."
)


@dataclass(frozen=True)
class Caller:
    """Whose jobs a request sees and makes.

    Attributes:
        owner: the key's id.
        share: weight against other owners.
    """

    owner: str
    limits: Limits
    share: float = 1.0


def _limits(settings: Settings, key: ApiKey | None) -> Limits:
    return Limits(
        rate_per_min=(key and key.rate_per_min) or settings.key_rate_per_min,
        key_max_queued_chars=(key and key.max_queued_chars) or settings.key_max_queued_chars,
        max_queued_chars=settings.max_queued_chars,
        max_queued_jobs=settings.max_queued_jobs,
        idempotency_ttl_s=settings.idempotency_ttl_s,
    )


async def _caller(
    request: Request,
    services: ServicesOf,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if services.keys is None:
        return Caller(LOCAL, _limits(services.settings, None))
    challenge = {"WWW-Authenticate": "Bearer"}
    if credentials is None or len(credentials.credentials) > MAX_TOKEN_CHARS:
        raise InvalidKey(headers=challenge)
    # It may read the key file again, which is no work for the event loop.
    key = await to_thread.run_sync(services.keys.authenticate, credentials.credentials)
    if key is None:
        raise InvalidKey(headers={**challenge, "WWW-Authenticate": 'Bearer error="invalid_token"'})
    return Caller(key.id, _limits(services.settings, key), key.share)


CallerOf = Annotated[Caller, Depends(_caller)]
"""A handler's parameter of this type gets the caller, or the request gets 401."""
