"""Wake-ups that the ledger's scripts send are Celery's own, to the field and to the last loss."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from shared.bell import MOST_WAITING, Bell, Stage, make_celery
from shared.settings import Settings
from tests.integration.ledger.conftest import LedgerDriver

CHOSEN_ANEW = {
    ("headers", "id"),
    ("headers", "root_id"),
    ("headers", "origin"),
    ("properties", "correlation_id"),
    ("properties", "reply_to"),
    ("properties", "delivery_tag"),
}
"""What differs from one message to the next, or from one sender to the next."""


@pytest.fixture
def app(ledger: LedgerDriver) -> Iterator[Celery]:
    """The application as workers have it."""
    with make_celery(Settings(redis_url=ledger.url)) as app:
        yield app


def fields(message: bytes | str) -> dict[tuple[str, ...], Any]:
    """Return a message's fields, those of its two tables one by one."""
    found: dict[tuple[str, ...], Any] = {}
    for name, value in json.loads(message).items():
        if name in {"headers", "properties"}:
            found |= {(name, inner): deep for inner, deep in value.items()}
        else:
            found[name,] = value
    return found


def test_a_message_of_the_ledger_is_the_one_that_celery_would_write(
    ledger: LedgerDriver, app: Celery
) -> None:
    ledger.accept()
    Bell(app, ledger.client).ring(Stage.PLAN)
    # The newest first: both are put at the same end, of the same list.
    theirs, ours = map(fields, ledger.client.lrange("kc.plan", 0, -1))
    assert list(ours) == list(theirs)
    assert {name for name in ours if ours[name] != theirs[name]} == CHOSEN_ANEW
    assert all(type(ours[name]) is type(theirs[name]) for name in CHOSEN_ANEW)
    assert (
        ours["headers", "id"] == ours["headers", "root_id"] == ours["properties", "correlation_id"]
    )


def test_no_two_wake_ups_have_the_same_name(ledger: LedgerDriver) -> None:
    for _ in range(5):
        ledger.accept()
    sent = [fields(message) for message in ledger.client.lrange("kc.plan", 0, -1)]
    for name in (("headers", "id"), ("properties", "delivery_tag")):
        assert len({message[name] for message in sent}) == 5


def test_a_queue_that_is_long_enough_is_rung_no_more(ledger: LedgerDriver) -> None:
    for _ in range(MOST_WAITING + 5):
        ledger.accept()
    assert ledger.client.llen("kc.plan") == MOST_WAITING


def test_a_script_rings_a_stage_once(ledger: LedgerDriver) -> None:
    for name in "abcde":
        ledger.accept(name)
        ledger.plan([name])
    ledger.rung()
    worker = ledger.worker()
    ledger.finish(worker, worker.claim_segments(8))
    assert ledger.client.llen("kc.assemble") == 1


TAKE_AND_DIE = """
import os, sys
from kombu import Connection
queue = Connection(sys.argv[1], transport_options={"ack_emulation": False}).SimpleQueue("kc.plan")
queue.get(timeout=5)
os._exit(0)
"""


def by_the_ledger(ledger: LedgerDriver, app: Celery) -> None:
    ledger.accept()


def by_celery(ledger: LedgerDriver, app: Celery) -> None:
    Bell(app, ledger.client).ring(Stage.PLAN)


@pytest.mark.parametrize("ring", [by_the_ledger, by_celery])
def test_what_a_lost_worker_had_taken_leaves_nothing_behind(
    ledger: LedgerDriver, app: Celery, ring: Callable[[LedgerDriver, Celery], None]
) -> None:
    ring(ledger, app)
    subprocess.run([sys.executable, "-c", TAKE_AND_DIE, ledger.url], check=True, timeout=60)
    assert ledger.client.exists("unacked", "unacked_index", "kc.plan") == 0


def test_workers_write_down_nothing_that_they_take(ledger: LedgerDriver, app: Celery) -> None:
    ledger.accept()
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("kc.plan").get(timeout=5)
        assert ledger.client.exists("unacked", "unacked_index") == 0
        message.ack()
    assert ledger.client.exists("unacked", "unacked_index", "kc.plan") == 0


def test_a_redis_that_refuses_to_hand_out_wake_ups_counts_as_away(
    ledger: LedgerDriver, app: Celery
) -> None:
    # Celery ends a worker for any other error than those of a lost connection.
    with app.connection_for_read() as broker:
        consumer = broker.Consumer([Queue(Stage.PLAN.queue)], accept=["json"])
        ledger.client.config_set("min-replicas-to-write", 1)
        try:
            with consumer, pytest.raises(broker.connection_errors, match="refuses"):
                broker.drain_events(timeout=5)
        finally:
            ledger.client.config_set("min-replicas-to-write", 0)
