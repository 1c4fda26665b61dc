"""API keys: made and revoked by a command, kept hashed in one JSON file, checked by the gateway.

A key reads `kc_<id>_<secret>`: the id, 12 hex digits, is no secret and finds the record; the
secret, 64 hex digits, is shown once and stored only as its SHA-256. A plain hash is right here: the
secret is 256 random bits, so there is nothing to guess that a slow hash would protect, and a slow
hash on every request would be a way to stop the gateway.
"""

import fcntl
import hashlib
import hmac
import json
import math
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from shared.errors import InvalidInput, InvalidSettings, UnknownApiKey

MAX_TOKEN_CHARS = 256
"""A longer token is refused unread."""

MAX_NAME_CHARS = 100

RECHECK_S = 1.0
"""Seconds for which the file is taken to be unchanged: how late a revocation can take effect."""

_ID = re.compile(r"[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_UNKNOWN_HASH = hashlib.sha256(b"no key has this hash").hexdigest()

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ApiKey:
    """One key, without its secret.

    Attributes:
        id: 12 hex digits; may be logged.
        name: whose key it is.
        secret_sha256: hash of the secret, 64 hex digits; kept out of the repr.
        rate_per_min: jobs a minute, or None for the gateway's default.
        max_queued_chars: characters it may have in the queue, or None for the gateway's default.
        share: weight of its jobs against those of other keys; above 0.
        created_at: RFC 3339 UTC.
        revoked_at: RFC 3339 UTC, or None while it is good.
    """

    id: str
    name: str
    secret_sha256: str = field(repr=False)
    rate_per_min: int | None = None
    max_queued_chars: int | None = None
    share: float = 1.0
    created_at: str = ""
    revoked_at: str | None = None

    def __post_init__(self) -> None:
        """Raise InvalidInput unless every field is in its range."""
        if not _ID.fullmatch(self.id) or not _HASH.fullmatch(self.secret_sha256):
            raise InvalidInput("A key's id is 12 hex digits and its hash 64.", param="id")
        if not (0 < len(self.name) <= MAX_NAME_CHARS and self.name.isprintable()):
            raise InvalidInput(
                f"A key's name has 1 to {MAX_NAME_CHARS} printable characters.", param="name"
            )
        for name in ("rate_per_min", "max_queued_chars"):
            limit = getattr(self, name)
            if limit is not None and (type(limit) is not int or limit < 1):
                raise InvalidInput(f"{name} is a whole number above 0, or not set.", param=name)
        if type(self.share) not in (int, float) or not 0 < self.share < math.inf:
            raise InvalidInput("share is a number above 0.", param="share")


class KeyFile:
    """The keys a gateway accepts, read again soon after the file changes.

    Safe for threads. A file that becomes unreadable changes nothing: keys known to be good stay
    good, no other becomes so, and each change for the worse is logged once.
    """

    def __init__(
        self,
        path: Path,
        recheck_s: float = RECHECK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file.

        Raises:
            InvalidSettings: it is missing or damaged.
        """
        self._path = path
        self._recheck_s = recheck_s
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._keys = _by_id(_read(path))
        self._checked_at_s = clock()

    def authenticate(self, token: str) -> ApiKey | None:
        """Return the key that `token` proves, or None.

        An unknown id takes the same path as a wrong secret, and the hashes are compared in
        constant time, so that the answer's delay tells nothing.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return None
        self._reload_if_changed()
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._keys.get(key_id)
        expected = _UNKNOWN_HASH if key is None else key.secret_sha256
        matches = hmac.compare_digest(_hash(secret), expected)
        if key is None or not matches or prefix != "kc" or key.revoked_at is not None:
            return None
        return key

    def _reload_if_changed(self) -> None:
        if self._clock() - self._checked_at_s < self._recheck_s:
            return
        with self._lock:
            self._checked_at_s = self._clock()
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._keys = _by_id(_read(self._path))
            except InvalidSettings as error:
                _log.error("key file unusable, keeping the last good keys", reason=error.message)
            else:
                _log.info("key file read again", keys=len(self._keys))


def add_key(
    path: Path,
    name: str,
    *,
    rate_per_min: int | None = None,
    max_queued_chars: int | None = None,
    share: float = 1.0,
) -> tuple[ApiKey, str]:
    """Make a key and return it with its token, which can never be shown again.

    The file is made when there is none; it is readable by its owner only.

    Raises:
        InvalidInput: the name or a limit is out of range.
        InvalidSettings: the file is damaged; it is left as it is.
    """
    secret = secrets.token_hex(32)
    key = ApiKey(
        id=secrets.token_hex(6),
        name=name,
        secret_sha256=_hash(secret),
        rate_per_min=rate_per_min,
        max_queued_chars=max_queued_chars,
        share=share,
        created_at=_now(),
    )
    with _locked(path):
        keys = _read(path) if path.exists() else []
        _write(path, [*keys, key])
    return key, f"kc_{key.id}_{secret}"


def list_keys(path: Path) -> list[ApiKey]:
    """Return all keys, the revoked ones included, oldest first.

    Raises:
        InvalidSettings: the file is missing or damaged.
    """
    return _read(path)


def revoke_key(path: Path, key_id: str) -> ApiKey:
    """Make a key useless from now on, and return it; revoking twice changes nothing.

    Raises:
        UnknownApiKey: no key has that id.
        InvalidSettings: the file is missing or damaged.
    """
    with _locked(path):
        keys = _by_id(_read(path))
        if key_id not in keys:
            raise UnknownApiKey(f"No API key has the id {key_id[:20]!r}.")
        if keys[key_id].revoked_at is None:
            keys[key_id] = replace(keys[key_id], revoked_at=_now())
            _write(path, keys.values())
        return keys[key_id]


def limit_key(
    path: Path,
    key_id: str,
    *,
    rate_per_min: int | None = None,
    max_queued_chars: int | None = None,
    share: float | None = None,
) -> ApiKey:
    """Change those limits of a key that are given, and return it.

    Raises:
        InvalidInput: a limit is out of range.
        UnknownApiKey: no key has that id.
        InvalidSettings: the file is missing or damaged.
    """
    given = {"rate_per_min": rate_per_min, "max_queued_chars": max_queued_chars, "share": share}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with _locked(path):
        keys = _by_id(_read(path))
        if key_id not in keys:
            raise UnknownApiKey(f"No API key has the id {key_id[:20]!r}.")
        keys[key_id] = replace(keys[key_id], **changes)
        _write(path, keys.values())
        return keys[key_id]


def _read(path: Path) -> list[ApiKey]:
    try:
        content = json.loads(path.read_bytes())
        keys = [ApiKey(**record) for record in content["keys"]]
    except OSError as error:
        raise InvalidSettings(f"The key file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, InvalidInput) as error:
        # Of the error only its type: its text may quote the file.
        raise InvalidSettings(
            f"The key file {path} is damaged ({type(error).__name__}). Restore it, or move it "
            "away and make new keys."
        ) from None
    if len(_by_id(keys)) != len(keys):
        raise InvalidSettings(f"The key file {path} is damaged (an id occurs twice).")
    return keys


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    path = path.resolve()
    content = json.dumps({"keys": [asdict(key) for key in keys]}, indent=2) + "\n"
    # mkstemp makes it 0600, and a rename is seen whole or not at all.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The lock has a file of its own, since the key file is replaced under it.
    path = path.resolve()
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _by_id(keys: Iterable[ApiKey]) -> dict[str, ApiKey]:
    return {key.id: key for key in keys}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
