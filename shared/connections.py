"""Connections to Redis, set up the same way everywhere."""

from collections.abc import Mapping
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.redis_url import Watched, watched

CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 10.0
"""A black-holed Redis is noticed after this long, not after the kernel's hours."""

ASK_SENTINEL_S = 1.0
"""How long one sentinel may take: the next one is asked then."""


def _options(retries: int, within_s: float = REPLY_TIMEOUT_S) -> dict[str, Any]:
    return {
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, within_s),
        "socket_timeout": within_s,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # Every script is safe to repeat: a claim lost on the way back lapses with its lease.
        "retry": Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }


def sentinel_options(found: Watched) -> dict[str, Any]:
    """Return how redis-py connects to the sentinels themselves."""
    return {
        "socket_connect_timeout": ASK_SENTINEL_S,
        "socket_timeout": ASK_SENTINEL_S,
        **found.sentinel_login,
        **found.ssl,
    }


def connect(url: str, *, retries: int = 3, within_s: float = REPLY_TIMEOUT_S) -> redis.Redis:
    """Return a client for a worker's process; it connects at its first command.

    Args:
        url: of the server, or of its sentinels.
        retries: of a command whose connection failed.
        within_s: seconds to wait for each answer, and to connect at most.

    Raises:
        ValueError: the address can't be used.
    """
    options = _options(retries, within_s)
    if (found := watched(url)) is None:
        return redis.Redis.from_url(url, **options)
    return _of_primary(redis.sentinel.Sentinel, found, options)  # type: ignore[no-any-return]


def connect_async(url: str) -> redis.asyncio.Redis:
    """Return a client for the gateway's event loop; replies are decoded to text."""
    options: dict[str, Any] = {**_options(0), "decode_responses": True, "max_connections": 200}
    options["retry"] = redis.asyncio.retry.Retry(
        ExponentialWithJitterBackoff(cap=0.2, base=0.05), 1
    )
    if (found := watched(url)) is None:
        return redis.asyncio.Redis.from_url(url, **options)
    return _of_primary(redis.asyncio.sentinel.Sentinel, found, options)  # type: ignore[no-any-return]


def _of_primary(sentinel: Any, found: Watched, options: Mapping[str, Any]) -> Any:
    sentinels = sentinel(found.sentinels, sentinel_kwargs=sentinel_options(found))
    return sentinels.master_for(found.service, db=found.db, **found.login, **found.ssl, **options)
