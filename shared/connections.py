"""Connections to Redis, set up the same way everywhere."""

from typing import Any

import redis
import redis.asyncio
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 10.0
"""A black-holed Redis is noticed after this long, not after the kernel's hours."""


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


def connect(url: str, *, retries: int = 3, within_s: float = REPLY_TIMEOUT_S) -> redis.Redis:
    """Return a client for a worker's process; it connects at its first command.

    Args:
        url: of the server.
        retries: of a command whose connection failed.
        within_s: seconds to wait for each answer, and to connect at most.
    """
    return redis.Redis.from_url(url, **_options(retries, within_s))


def connect_async(url: str) -> redis.asyncio.Redis:
    """Return a client for the gateway's event loop; replies are decoded to text."""
    options = _options(0)
    options["retry"] = redis.asyncio.retry.Retry(
        ExponentialWithJitterBackoff(cap=0.2, base=0.05), 1
    )
    return redis.asyncio.Redis.from_url(url, decode_responses=True, max_connections=200, **options)
