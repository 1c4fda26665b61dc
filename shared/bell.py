"""Wake-ups over Celery. They may be lost, late or doubled: the ledger is the truth.

The ledger's scripts ring by themselves, with a message that Celery has made for them; `Bell` is how
the reconciler rings, through Celery's own door.
"""

import contextlib
import json
from enum import StrEnum
from typing import Any

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared.connections import CONNECT_TIMEOUT_S, REPLY_TIMEOUT_S, sentinel_options
from shared.redis_url import broker_url, tls_options, watched
from shared.settings import Settings

log = structlog.get_logger()


class Stage(StrEnum):
    """The queues, in the order of a job's way."""

    PLAN = "plan"
    SYNTH = "synth"
    ASSEMBLE = "assemble"
    DELIVER = "deliver"

    @property
    def queue(self) -> str:
        """Name of the Celery queue and of its Redis list."""
        return f"kc.{self}"

    @property
    def task(self) -> str:
        """Name of the Celery task."""
        return f"kc.{self}"


def _carrier(broker: str) -> Celery:
    app = Celery(
        "kokoro-cluster", broker=broker, amqp="shared.carrier:Messages", set_as_current=False
    )
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        # A wake-up is worth nothing once its process is gone: the ledger knows what it held.
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        task_serializer="json",
        accept_content=["json"],
        task_track_started=False,
        task_routes={stage.task: {"queue": stage.queue} for stage in Stage},
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=10,
    )
    return app


def make_celery(settings: Settings) -> Celery:
    """Return the Celery application: carrier of wake-ups, nothing else."""
    app = _carrier(broker_url(settings.redis))
    app.conf.broker_transport = "shared.carrier:Transport"
    app.conf.broker_use_ssl = tls_options(settings.redis) or False
    app.conf.broker_transport_options = {
        # What is taken is written down nowhere. The ledger knows what a lost worker held, and the
        # reconciler rings again; and a Redis that is full refuses such notes, which ends workers.
        "ack_emulation": False,
        "socket_timeout": REPLY_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_retries": 1,
    }
    if (found := watched(settings.redis)) is not None:
        app.conf.broker_transport = "shared.carrier:SentinelTransport"
        app.conf.broker_transport_options |= {
            "master_name": found.service,
            "sentinel_kwargs": sentinel_options(found),
        }
    return app


MOST_WAITING = 32
"""Wake-ups in a queue beyond which one more would tell nobody anything new."""


def wakeup_template() -> str:
    """Return a wake-up as Celery writes it into Redis, with `@stage@` and `@id@` to be filled in.

    It is the same in every process of one version of Celery and Kombu, and made by them: sent into
    a queue in memory and taken out again.
    """
    name = "kc.@stage@"
    with _carrier("memory://") as app, app.connection_for_write() as connection:
        app.send_task(
            name,
            queue=name,
            connection=connection,
            task_id="@id@",
            reply_to="nobody",
            ignore_result=True,
            retry=False,
        )
        channel: Any = connection.default_channel
        message = channel._get(name)  # what every transport of Kombu implements
    message["headers"]["origin"] = "ledger"
    message["properties"]["delivery_tag"] = "@id@"
    return json.dumps(message)


class Bell:
    """Rings stages; a ring that fails is logged and left to the reconciler."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self._app = app
        self._client = client

    def ring(self, stage: Stage) -> None:
        """Wake one worker of a stage."""
        try:
            if self.waiting(stage) < MOST_WAITING:
                self._app.send_task(stage.task, queue=stage.queue, ignore_result=True, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("ring failed", action="ring", stage=stage.value, error=str(error))

    def waiting(self, stage: Stage) -> int:
        """Return how many wake-ups a stage's queue holds. Raises `RedisError`."""
        return int(self._client.llen(stage.queue))

    def close(self) -> None:
        """Close the pooled connections."""
        with contextlib.suppress(OSError):
            self._app.close()
