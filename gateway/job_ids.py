"""Ids of jobs and batches: `job_` and a ULID, so that they sort by the time they were made."""

import re
import secrets
import time

from shared.ledger.batch_record import BATCH_PREFIX
from shared.ledger.intake import UID_PREFIX

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_UID = re.compile(rf"{UID_PREFIX}[{_CROCKFORD}]{{26}}")
_BATCH_ID = re.compile(rf"{BATCH_PREFIX}[{_CROCKFORD}]{{26}}")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{3,64}")


def new_uid(prefix: str = UID_PREFIX) -> str:
    """Return a new id: 48 bits of Unix milliseconds, then 80 random ones, in Crockford's base 32.

    `prefix` stands before them. Source: the ULID specification, https://github.com/ulid/spec.
    """
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    digits = (_CROCKFORD[number >> 5 * place & 31] for place in range(25, -1, -1))
    return prefix + "".join(digits)


def is_client_id(text: str) -> bool:
    """Say whether a client may call its job so."""
    return _CLIENT_ID.fullmatch(text) is not None and not text.startswith(UID_PREFIX)


def is_job_id(text: str) -> bool:
    """Say whether any job can be called so; what can't be never reaches the ledger."""
    return is_client_id(text) or _UID.fullmatch(text) is not None


def is_batch_id(text: str) -> bool:
    """Say whether any batch can be called so; what can't be never reaches the ledger."""
    return _BATCH_ID.fullmatch(text) is not None
