"""The object store: written, read, read in part, listed, signed, deleted."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

import httpx

from deploy.doctor.finding import Finding, Verdict
from deploy.doctor.ledger import SIGNING_SKEW_S, SKEW_S
from shared.errors import ClusterError, ObjectMissing
from shared.settings import Settings
from shared.storage import Storage, open_storage

AREA = "storage"
BYTES = 64 * 1024
SIGNED_FOR_S = 60.0
FETCH_TIMEOUT_S = 10.0
SLOW_S = 1.0
"""For a small object, the first connection included, beyond which devices idle."""
LITTLE_BYTES = 2**30
"""Free space of a local folder below which it soon is full: some ten hours of audio."""


def examine_storage(settings: Settings) -> Iterator[Finding]:
    """Look at the store; what is written is deleted again."""
    try:
        storage = open_storage(
            settings.storage,
            endpoint=settings.storage_endpoint,
            public_endpoint=settings.storage_public_endpoint,
            request_timeout_s=10.0,
            max_retries=1,
        )
    except (ClusterError, OSError) as error:
        detail = error.message if isinstance(error, ClusterError) else str(error)
        remedy = "Correct KC_STORAGE_URL and KC_STORAGE_ENDPOINT; see the README's table."
        yield Finding(AREA, "opened", Verdict.ERROR, detail, remedy)
        return
    yield from _room(settings)
    yield from _try(storage, settings)


def _room(settings: Settings) -> Iterator[Finding]:
    parts = urlsplit(settings.storage)
    if parts.scheme != "file":
        return
    try:
        free = shutil.disk_usage(unquote(parts.path)).free
    except OSError:  # writing to it tells why
        return
    detail = f"{free / 2**30:,.1f} GiB are free."
    if free < LITTLE_BYTES:
        remedy = "Make room, or lower KC_JOB_TTL_S and KC_SEGMENT_TTL_S."
        yield Finding(AREA, "room", Verdict.WARNING, detail, remedy)
    else:
        yield Finding(AREA, "room", Verdict.OK, detail)


def _try(storage: Storage, settings: Settings) -> Iterator[Finding]:
    key, data = f"ping/doctor-{secrets.token_hex(8)}", secrets.token_bytes(BYTES)
    began = time.monotonic()
    written = _attempt(
        "write", lambda: storage.put(key, data), f"{settings.storage} can be written to."
    )
    took_s = time.monotonic() - began
    yield written
    if written.verdict is not Verdict.OK:
        detail = "Not tried, since nothing could be written."
        for check in ("read", "range", "sign", "delete"):
            yield Finding(AREA, check, Verdict.SKIPPED, detail)
        return
    yield _speed(took_s)
    try:
        yield _attempt("read", lambda: _same(storage.get(key), data), "What was written is read.")
        yield _attempt(
            "range",
            lambda: _same(b"".join(storage.stream(key, 100, 1100)), data[100:1100]),
            "A part of it is read.",
        )
        yield from _sign(storage, key, data)
    finally:
        deleted = _attempt("delete", lambda: _delete(storage, key), "It was deleted.")
    yield deleted


def _speed(took_s: float) -> Finding:
    detail = f"Writing {BYTES // 1024} KiB took {took_s:.2f} s."
    if took_s <= SLOW_S:
        return Finding(AREA, "speed", Verdict.OK, detail)
    remedy = (
        "Workers wait for it after each batch. Look at the way there: region, proxy, throttling, a"
        " disk that others write to. Restart nothing: what is not stored yet is kept and retried."
    )
    return Finding(AREA, "speed", Verdict.WARNING, detail, remedy)


def _attempt(check: str, call: Callable[[], object], done: str) -> Finding:
    try:
        call()
    except ClusterError as error:
        return Finding(AREA, check, Verdict.ERROR, error.message, _remedy(check))
    except OSError as error:
        return Finding(AREA, check, Verdict.ERROR, str(error), _remedy(check))
    return Finding(AREA, check, Verdict.OK, done)


def _remedy(check: str) -> str:
    return (
        f"Let this process {check} objects: a folder's owner, mode and free space (with the user it"
        " runs as), or a bucket's name, credentials, policy and endpoint."
    )


def _same(found: bytes, written: bytes) -> None:
    if found != written:
        raise OSError("other bytes came back than were written")


def _delete(storage: Storage, key: str) -> None:
    storage.delete([key])
    try:
        storage.head(key)
    except ObjectMissing:
        return
    raise OSError("what was deleted is still there")


def _sign(storage: Storage, key: str, data: bytes) -> Iterator[Finding]:
    try:
        url = storage.sign_get(key, expires_s=SIGNED_FOR_S)
    except ClusterError as error:
        yield Finding(AREA, "sign", Verdict.ERROR, error.message, _remedy("sign"))
        return
    if url is None:
        yield Finding(AREA, "sign", Verdict.OK, "Nothing to sign: gateways serve its audio.")
        return
    host = urlsplit(url).netloc
    try:
        answer = httpx.get(url, timeout=FETCH_TIMEOUT_S, follow_redirects=False)
    except httpx.HTTPError as error:
        detail = f"{host} can't be reached from here: {error}"
        remedy = "Set KC_STORAGE_PUBLIC_ENDPOINT to an address that clients reach, and open it."
        yield Finding(AREA, "sign", Verdict.ERROR, detail, remedy)
        return
    if answer.status_code == httpx.codes.OK and answer.content == data:
        yield Finding(AREA, "sign", Verdict.OK, f"A presigned URL of {host} downloads it.")
    else:
        detail = f"A presigned URL of {host} answers {answer.status_code}."
        remedy = (
            "Set KC_STORAGE_PUBLIC_ENDPOINT to the address that clients use, with nothing in"
            " between that changes the host; check the clock and the right to read objects."
        )
        yield Finding(AREA, "sign", Verdict.ERROR, detail, remedy)
    yield from _clock(answer)


def _clock(answer: httpx.Response) -> Iterator[Finding]:
    try:
        skew_s = parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return
    detail = f"This machine's clock and the store's are about {abs(skew_s):.0f} s apart."
    if abs(skew_s) <= SKEW_S:
        yield Finding(AREA, "clocks", Verdict.OK, detail)
        return
    verdict = Verdict.ERROR if abs(skew_s) > SIGNING_SKEW_S else Verdict.WARNING
    yield Finding(AREA, "clocks", verdict, detail, "Synchronise this machine's clock.")
