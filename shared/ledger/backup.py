"""A copy of the ledger in one file, and back.

In: all keys `kc:*` of one Redis. Out: gzipped lines of JSON: a head, one line a key, an end that
counts them and holds a checksum. Values are written by what they are and not as Redis dumps them,
so a copy moves between versions, and between Redis and Valkey.

The copy is of one moment: writers wait while it is read (`CLIENT PAUSE … WRITE`), and if the server
counts a change meanwhile all the same, it is no copy. Leases live on over the pause.
"""

import gzip
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from shared.errors import PermanentError, TransientError
from shared.ledger.leases import Leases
from shared.ledger.scripts import text

FORMAT, VERSION = "kokoro-cluster ledger", 1

PAUSE_MOST_S = 4.0
"""How long writers wait at most. A lease of 5 s outlives that, with what others then wait."""

AT_ONCE = 1000

TOKEN_MARGIN = 3_600_000
"""Fencing tokens given between the copy and its restoring are unknown, and must not be given anew.
They run with the clock, in milliseconds; this covers a clock that is an hour behind the old one."""

LEFT_OUT = ("kc:alive:", "kc:worker:", "kc:ask:", "kc:answer:", "kc:rate:", "kc:rate_limit:")
"""What says who lives, or is over in seconds."""
LEFT_OUT_WHOLE = frozenset({"kc:workers", "kc:asks", "kc:none"})


class NotQuiet(TransientError):
    """The ledger changed while it was copied."""

    code = "ledger_not_quiet"


class BadBackup(PermanentError):
    """The file is no whole copy of a ledger that this version can read."""

    code = "bad_backup"


class LedgerNotEmpty(PermanentError):
    """The ledger that should be restored has data already."""

    code = "ledger_not_empty"


@dataclass(frozen=True)
class Copy:
    """A backup file's content in short.

    Attributes:
        created_ms: by Redis's clock, since 1970.
        keys: in it.
        jobs: their records among them.
        paused_s: how long writers waited for it; 0 when it was read from a file.
    """

    created_ms: int
    keys: int
    jobs: int
    paused_s: float = 0.0


@dataclass(frozen=True)
class _Entry:
    key: str
    kind: str
    value: Any
    expires_ms: int | None


def back_up(client: redis.Redis, path: Path, *, pause_s: float = PAUSE_MOST_S) -> Copy:
    """Write a copy of the ledger into a file, whole or not at all; only its owner can read it.

    Args:
        client: whose replies are not decoded.
        path: is replaced if it is there.
        pause_s: seconds that writers may be kept waiting; 0: they are not, so nobody may write.

    Raises:
        NotQuiet: there was more to copy than fits the pause, or somebody wrote.
        RedisError: Redis is away or refuses.
        OSError: the file can't be written.
    """
    began = time.monotonic()
    with _paused(client, pause_s):
        before = _changes(client)
        now_s, micros = client.time()
        now_ms = int(now_s) * 1000 + int(micros) // 1000
        entries = list(_read(client, now_ms, began + pause_s if pause_s else None))
        if _changes(client) != before:
            raise NotQuiet(
                "The ledger changed while it was copied. Stop whatever writes (gateways, workers, "
                "the reconciler), or let writers wait with --pause-s."
            )
        paused_s = time.monotonic() - began if pause_s else 0.0
    _write(path, entries, now_ms)
    return Copy(now_ms, len(entries), sum(map(_is_job, entries)), paused_s)


def look_at(path: Path) -> Copy:
    """Read a file through to its end.

    Raises:
        BadBackup: it is not whole, or of another version.
        OSError: it can't be read.
    """
    created_ms, entries = _load(path)
    keys = jobs = 0
    for entry in entries:
        keys += 1
        jobs += _is_job(entry)
    return Copy(created_ms, keys, jobs)


def restore(client: redis.Redis, path: Path) -> Copy:
    """Write a copy back into a ledger that has nothing in it, while nothing of the cluster runs.

    What was being worked on goes back to its queue and its attempt is not counted. What has run out
    since the copy is left out.

    Raises:
        BadBackup: nothing was written.
        LedgerNotEmpty: nothing was written.
        RedisError: Redis is away or refuses; what it holds by then should be flushed.
        OSError: the file can't be read.
    """
    copy = look_at(path)
    found = next(iter(client.scan_iter("kc:*", count=AT_ONCE)), None)
    if found is not None:
        raise LedgerNotEmpty(
            f"This Redis already has a ledger (for example the key {text(found)}). Stop gateways, "
            "workers and reconciler, and give them an empty database."
        )
    _, entries = _load(path)
    pipe = client.pipeline(transaction=False)
    for entry in entries:
        _put(pipe, entry)
        if len(pipe) >= AT_ONCE:
            pipe.execute()
    pipe.execute()
    now_s, _ = client.time()
    token = int(client.get("kc:token") or 0)
    client.set("kc:token", max(token, copy.created_ms, int(now_s) * 1000) + TOKEN_MARGIN)
    leases = Leases(client, lease_s=1)
    for incarnation in client.smembers("kc:incarnations"):
        leases.release(text(incarnation), stopped=True)
    return copy


def _is_job(entry: _Entry) -> bool:
    return entry.key.startswith("kc:job:") and entry.key.count(":") == 2


@contextmanager
def _paused(client: redis.Redis, pause_s: float) -> Iterator[None]:
    if not pause_s:
        yield
        return
    # A little longer than the copy may take: it must be given up before the pause is over.
    client.client_pause(int(pause_s * 1000) + 200, all=False)
    try:
        yield
    finally:
        client.client_unpause()


def _changes(client: redis.Redis) -> tuple[int, int]:
    """Return a number that grows with every write to the server, and when it was last set to 0."""
    info = client.info("persistence")
    return int(info["rdb_changes_since_last_save"]), int(info["rdb_last_save_time"])


def _read(client: redis.Redis, now_ms: int, until: float | None) -> Iterator[_Entry]:
    cursor = -1
    seen: set[bytes] = set()  # a scan may tell of a key twice
    while cursor != 0:
        cursor, found = client.scan(max(cursor, 0), match="kc:*", count=AT_ONCE)
        keys = [key for key in found if isinstance(key, bytes)]
        wanted = [key for key in keys if key not in seen and not _left_out(_decode(key))]
        seen.update(wanted)
        yield from _read_keys(client, wanted, now_ms)
        if until is not None and time.monotonic() > until:
            raise NotQuiet(
                "There is more to copy than writers may be kept waiting for. Stop gateways, "
                "workers and reconciler and copy with --pause-s 0, or allow a longer pause."
            )


def _left_out(key: str) -> bool:
    return key in LEFT_OUT_WHOLE or key.startswith(LEFT_OUT)


def _read_keys(client: redis.Redis, keys: list[bytes], now_ms: int) -> Iterator[_Entry]:
    about = client.pipeline(transaction=False)
    for key in keys:
        about.type(key)
        about.pttl(key)
    answers = about.execute() if keys else []
    rows = list(zip(keys, map(text, answers[::2]), answers[1::2], strict=True))
    rows = [row for row in rows if row[1] != "none"]
    pipe = client.pipeline(transaction=False)
    for key, kind, _ in rows:
        match kind:
            case "string":
                pipe.get(key)
            case "hash":
                pipe.hgetall(key)
            case "list":
                pipe.lrange(key, 0, -1)
            case "set":
                pipe.smembers(key)
            case "zset":
                pipe.zrange(key, 0, -1, withscores=True)
            case _:
                raise NotQuiet(f"{_decode(key)} is a {kind}, which no key of the ledger is.")
    for (key, kind, left_ms), value in zip(rows, pipe.execute() if rows else [], strict=True):
        expires_ms = now_ms + left_ms if left_ms >= 0 else None
        yield _Entry(_decode(key), kind, _plain(kind, value), expires_ms)


def _plain(kind: str, value: Any) -> Any:
    match kind:
        case "string":
            return _decode(value)
        case "hash":
            return {_decode(name): _decode(item) for name, item in value.items()}
        case "zset":
            return [[_decode(member), score] for member, score in value]
        case _:
            return [_decode(item) for item in value]


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(data: str) -> bytes:
    return data.encode("utf-8", "surrogateescape")


def _put(pipe: Any, entry: _Entry) -> None:
    key, value = _encode(entry.key), entry.value
    match entry.kind:
        case "string":
            pipe.set(key, _encode(value))
        case "hash":
            pipe.hset(key, mapping={_encode(name): _encode(item) for name, item in value.items()})
        case "list":
            pipe.rpush(key, *map(_encode, value))
        case "set":
            pipe.sadd(key, *map(_encode, value))
        case "zset":
            pipe.zadd(key, {_encode(member): score for member, score in value})
    if entry.expires_ms is not None:
        pipe.pexpireat(key, entry.expires_ms)  # one that is past deletes it


def _write(path: Path, entries: Iterable[_Entry], now_ms: int) -> None:
    staged = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    digest, keys = hashlib.sha256(), 0
    try:
        # Its owner's alone: it holds texts and receivers' addresses.
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb") as file:
            file.write(_line({"format": FORMAT, "version": VERSION, "created_ms": now_ms}))
            for entry in entries:
                line = _line([entry.key, entry.kind, entry.value, entry.expires_ms])
                digest.update(line)
                file.write(line)
                keys += 1
            file.write(_line({"end": True, "keys": keys, "sha256": digest.hexdigest()}))
            file.flush()
            os.fsync(raw.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _load(path: Path) -> tuple[int, Iterator[_Entry]]:
    """Return when a copy was made, and its entries; what is wrong shows at their end at latest."""
    lines = _lines(path)
    head = next(lines, None)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadBackup(f"{path} is no copy of a ledger.")
    if head.get("version") != VERSION:
        raise BadBackup(
            f"{path} is of version {head.get('version')}, and this release reads {VERSION}: "
            "restore it with the release that made it."
        )
    return int(head["created_ms"]), _entries(path, lines)


def _lines(path: Path) -> Iterator[Any]:
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                yield json.loads(line)
    except (gzip.BadGzipFile, EOFError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadBackup(f"{path} is no copy of a ledger, or cut short.") from error


def _entries(path: Path, lines: Iterator[Any]) -> Iterator[_Entry]:
    digest = hashlib.sha256()
    for keys, line in enumerate(lines):
        if isinstance(line, dict):
            if line.get("keys") != keys or line.get("sha256") != digest.hexdigest():
                raise BadBackup(f"{path} is damaged: its checksum is another.")
            return
        digest.update(_line(line))
        yield _Entry(*line)
    raise BadBackup(f"{path} is cut short.")
