"""The deliver stage: an outbox row in, a signed POST and its record out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog

from shared import tracing
from shared.addresses import AddressRules, parse_rules
from shared.batch_view import batch_view
from shared.bell import Stage as StageName
from shared.errors import LostLease
from shared.job_view import job_view, timestamp
from shared.ledger.batch_record import BATCH_PREFIX, BatchRecord
from shared.ledger.messages import DeliveryClaim
from shared.ledger.records import JobRecord
from shared.ledger.states import DeliveryStatus
from shared.steps import Step, reached
from worker.deliver.payload import webhook_body
from worker.deliver.schedule import next_delay_s
from worker.deliver.sender import Attempt, Verdict, default_ssl_context, send, verdict
from worker.deliver.signing import parse_secrets, sign
from worker.stage import Stage
from worker.traced import attempt as traced_attempt

log = structlog.get_logger()


@dataclass
class Delivering(Stage):
    """Delivers webhooks; its methods are called from many threads."""

    def __post_init__(self) -> None:
        self._secrets = parse_secrets(self.settings.webhook_secret)
        self._rules: AddressRules = parse_rules(
            self.settings.webhook_allow_private, self.settings.webhook_ports
        )
        default_ssl_context()  # now, and not by the first few webhooks at a time

    @property
    def can_sign(self) -> bool:
        """Whether there is a secret to sign with; without one, rows wait in the outbox."""
        return bool(self._secrets)

    @contextmanager
    def busy(self, claim: DeliveryClaim) -> Iterator[None]:
        """Hold the claim for a block."""
        reached(Step.DELIVER_CLAIMED, job=claim.uid, delivery=claim.id, attempt=claim.attempt)
        facts: dict[str, str | int] = {
            "http.request.method": "POST",
            "server.address": _host(claim.url),
            "kc.attempt": claim.attempt,
            "kc.delivery.id": claim.id,
            "kc.event": claim.event,
        }
        traced = traced_attempt(
            self.ledger.client, StageName.DELIVER, claim.uid, facts, kind=tracing.Kind.CLIENT
        )
        with traced, self._lease(claim):
            yield

    @contextmanager
    def _lease(self, claim: DeliveryClaim) -> Iterator[None]:
        try:
            yield
        except LostLease as error:
            tracing.fail(error.code)
            log.info("lease lost", action="deliver", job_id=claim.uid, delivery=claim.id)

    def frozen_body(self, claim: DeliveryClaim) -> bytes:
        """Return the bytes of this delivery, the same at every attempt."""
        if claim.body is not None:
            return claim.body
        of_batch = claim.uid.startswith(BATCH_PREFIX)
        at, view = self._batch(claim.uid) if of_batch else self._job(claim.uid)
        body = webhook_body(claim.event, str(timestamp(at or time.time())), view)
        frozen = self.persist(lambda: self.ledger.freeze_body(claim, body))
        reached(Step.DELIVER_FROZEN, job=claim.uid, delivery=claim.id)
        return frozen

    @property
    def _base_url(self) -> str:
        return self.settings.public_url or f"http://{self.settings.host}:{self.settings.port}"

    def _job(self, uid: str) -> tuple[float | None, dict[str, Any]]:
        fields = self.persist(lambda: self.ledger.job_fields(uid))
        if not fields:
            raise LostLease("The job was deleted.")
        record = JobRecord.from_hash(fields)
        warnings = self.persist(lambda: self.ledger.warnings(uid))
        view = job_view(record, warnings=warnings, queue_position=None, base_url=self._base_url)
        return record.completed_at, view

    def _batch(self, batch_id: str) -> tuple[float | None, dict[str, Any]]:
        fields = self.persist(lambda: self.ledger.batch_fields(batch_id))
        if not fields:
            raise LostLease("The batch was deleted.")
        record = BatchRecord.from_hash(fields)
        return record.completed_at, batch_view(record, base_url=self._base_url)

    def send(self, claim: DeliveryClaim, body: bytes) -> Attempt:
        """POST the body to a checked address."""
        # What is signed is the same with and without: a receiver may or may not go on with a trace.
        headers = sign(claim.id, time.time(), body, self._secrets) | tracing.headers()
        attempt = send(
            claim.url,
            body,
            headers,
            rules=self._rules,
            connect_timeout_s=self.settings.webhook_connect_timeout_s,
            total_timeout_s=self.settings.webhook_timeout_s,
        )
        reached(Step.DELIVER_SENT, job=claim.uid, delivery=claim.id, status=attempt.status)
        return attempt

    def record(self, claim: DeliveryClaim, attempt: Attempt) -> None:
        """Write what came of an attempt, and when the next one is due."""
        status, next_s = DeliveryStatus.DELIVERED, 0.0
        decided = verdict(attempt)
        if attempt.status is not None:
            tracing.note({"http.response.status_code": attempt.status})
        if decided is not Verdict.DELIVERED:
            tracing.fail(attempt.error or str(attempt.status))
        if decided is Verdict.GIVE_UP:
            status = DeliveryStatus.GONE
        elif decided is Verdict.RETRY:
            delay_s = next_delay_s(
                claim.attempt, self.settings.webhook_schedule_s, attempt.retry_after_s
            )
            status = DeliveryStatus.EXHAUSTED if delay_s is None else DeliveryStatus.PENDING
            next_s = delay_s or 0.0
        entry = {
            "attempt": claim.attempt,
            "at": timestamp(time.time() - attempt.duration_s),
            "status": attempt.status,
            "error": attempt.error,
            "duration_s": round(attempt.duration_s, 3),
            "response_excerpt": attempt.response_excerpt,
        }
        self.persist(
            lambda: self.ledger.record_attempt(claim, status=status, next_s=next_s, entry=entry)
        )
        reached(Step.DELIVER_RECORDED, job=claim.uid, delivery=claim.id, outcome=status)
        log.info(
            "webhook attempt",
            action="deliver",
            job_id=claim.uid,
            delivery=claim.id,
            attempt=claim.attempt,
            status=attempt.status,
            outcome=status.value,
        )


def _host(url: str) -> str:
    """Return what of a webhook's address holds no secret; nothing of one that is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
