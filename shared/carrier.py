"""Celery's transport for wake-ups: Kombu's over Redis, less what wake-ups have no use for.

A wake-up goes to a queue by the queue's own name, so no table of bindings is needed; and what Redis
refuses when it is full ends a Celery worker, so a worker that starts must not write one.
"""

from typing import Any, Self

import kombu
from celery.app.amqp import AMQP
from kombu.transport import redis

LOOK_AGAIN_S = 2.0
"""How often a worker looks whether a Redis that is away is back."""


class Channel(redis.Channel):
    """Declares queues without a word to Redis."""

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Keep no binding: a queue is found by its name."""


class Transport(redis.Transport):
    """What `broker_transport` names."""

    Channel: Any = Channel


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
