"""Celery's transport for wake-ups: Kombu's over Redis, less what wake-ups have no use for.

A wake-up goes to a queue by the queue's own name, so no table of bindings is needed; and what Redis
refuses when it is full ends a Celery worker, so a worker that starts must not write one.
"""

from typing import Any, Self

import kombu
from celery.app.amqp import AMQP
from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError

LOOK_AGAIN_S = 2.0
"""How often a worker looks whether a Redis that is away is back."""


class Patient:
    """Declares queues without a word to Redis, and waits for one that refuses to hand out."""

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Keep no binding: a queue is found by its name."""

    def _brpop_read(self, **options: Any) -> Any:
        """Take a wake-up; a Redis that can't write now counts as away.

        It can't without the replicas it must have or a disk to write to. Celery takes such an
        answer for an error of its own, and ends the worker.
        """
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # of the class beside it
        except NoPermissionError:
            raise
        except ResponseError as error:
            raise RedisConnectionError(f"Redis refuses: {error}") from error


class Channel(Patient, redis.Channel):
    """Of one server."""


class Transport(redis.Transport):
    """What `broker_transport` names."""

    Channel: Any = Channel


class SentinelChannel(Patient, redis.SentinelChannel):
    """Of the primary that sentinels name."""


class SentinelTransport(redis.SentinelTransport):
    """What `broker_transport` names where there are sentinels."""

    Channel: Any = SentinelChannel


class Connection(kombu.Connection):
    """Looks for a Redis that is away at an even pace.

    Kombu's own waits two seconds more each time, up to thirty: after an outage of half a minute a
    worker would leave what is claimable alone for twelve seconds more.
    """

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Self:
        """Return once connected; see Kombu."""
        pace = {"interval_start": LOOK_AGAIN_S, "interval_step": 0, "interval_max": LOOK_AGAIN_S}
        super().ensure_connection(*args, **{**kwargs, **pace})
        return self


class Messages(AMQP):
    """What `Celery(amqp=…)` names."""

    Connection = Connection
