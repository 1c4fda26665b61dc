"""Celery's transport for wake-ups: Kombu's over Redis, less what wake-ups have no use for.

A wake-up goes to a queue by the queue's own name, so no table of bindings is needed; and what Redis
refuses when it is full ends a Celery worker, so a worker that starts must not write one.
"""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """Declares queues without a word to Redis."""

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Keep no binding: a queue is found by its name."""


class Transport(redis.Transport):
    """What `broker_transport` names."""

    Channel: Any = Channel
