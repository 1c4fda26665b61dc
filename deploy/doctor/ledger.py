"""Redis: reached, safe, quick, with room, of its own, and of the same time."""

import contextlib
import ssl
import statistics
import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from deploy.doctor.finding import Finding, Verdict
from shared.connections import connect
from shared.redis_url import without_login
from shared.settings import Settings

AREA = "redis"
OLDEST = (6, 2)
"""The scripts use commands of this version of Redis; every Valkey has them."""

PINGS = 50
SLOW_S, TOO_SLOW_S = 0.005, 0.05
"""Half of the answers take longer."""

NEARLY_FULL = 0.85
SKEW_S = 2.0
"""Clocks this far apart show in times of jobs and logs."""
SIGNING_SKEW_S = 240.0
"""Receivers of webhooks and stores of objects refuse what is signed five minutes off."""

OURS = ("kc:", "kc.", "_kombu.", "unacked", "celery")
SAMPLES = 30


def examine_redis(settings: Settings) -> Iterator[Finding]:
    """Look at Redis."""
    url = _url(settings)
    where = without_login(url)
    try:
        client = connect(url, retries=0, within_s=3.0)
    except ValueError as error:
        yield Finding(AREA, "address", Verdict.ERROR, str(error), "Correct KC_REDIS_URL.")
        return
    with client:
        try:
            client.ping()
        except (RedisError, OSError) as error:
            yield Finding(AREA, "reached", Verdict.ERROR, f"{where}: {error}", _reaching(error))
            return
        try:
            yield from _look(client, where)
        except (RedisError, OSError) as error:
            again = "Run the doctor again; look at Redis' log."
            yield Finding(AREA, "answers", Verdict.ERROR, f"It stopped answering: {error}", again)


def _url(settings: Settings) -> str:
    """Return the address: without one in the settings that of `up`'s own Redis, if it runs."""
    if "redis_url" not in settings.model_fields_set:
        own = f"redis://127.0.0.1:{settings.redis_port}/0"
        with contextlib.suppress(RedisError, OSError), connect(own, retries=0, within_s=1.0) as up:
            up.ping()
            return own
    return settings.redis


def _reaching(error: Exception) -> str:
    if isinstance(error, AuthenticationError | NoPermissionError):
        return "Put the user and password into KC_REDIS_URL: redis://user:password@host:6379/0."
    if _is_tls(error):
        return (
            "Have KC_REDIS_CA_FILE hold the authority that signed Redis' certificate, which must "
            "name the host of KC_REDIS_URL; see that Redis speaks TLS on that port."
        )
    return (
        "Start Redis there, or correct KC_REDIS_URL; look at the network in between. "
        "`kokoro-cluster up` starts one of its own."
    )


def _is_tls(error: BaseException | None) -> bool:
    """Return whether it came of a failed handshake, however it was wrapped."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _look(client: redis.Redis, where: str) -> Iterator[Finding]:
    try:
        facts: dict[str, Any] = client.info()
    except ResponseError as error:
        remedy = "Allow this user the command INFO to have Redis looked at."
        yield Finding(AREA, "reached", Verdict.OK, where)
        yield Finding(AREA, "set-up", Verdict.SKIPPED, f"INFO is refused: {error}", remedy)
        facts = {}
    if facts:
        yield _server(facts, where)
        yield from _role(facts)
        yield from _safety(client, facts)
        yield _room(facts)
    yield _latency(client)
    yield _clock(client)
    yield _of_its_own(client)


def _server(facts: dict[str, Any], where: str) -> Finding:
    name = "Valkey" if facts.get("server_name") == "valkey" else "Redis"
    version = str(facts.get("valkey_version") or facts.get("redis_version", ""))
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    detail = f"{name} {version} at {where}"
    if name == "Redis" and found and found < OLDEST:
        remedy = "Use Redis 6.2 or later, or any Valkey."
        return Finding(AREA, "reached", Verdict.ERROR, detail, remedy)
    return Finding(AREA, "reached", Verdict.OK, detail)


def _role(facts: dict[str, Any]) -> Iterator[Finding]:
    if facts.get("cluster_enabled"):
        remedy = "Use one primary, with replicas if you like: scripts here build names of keys."
        yield Finding(AREA, "role", Verdict.ERROR, "It is a cluster of shards.", remedy)
    elif facts.get("role") not in {"master", None}:
        remedy = "Set KC_REDIS_URL to the primary."
        yield Finding(AREA, "role", Verdict.ERROR, "It is a replica, which takes no jobs.", remedy)
    else:
        yield Finding(AREA, "role", Verdict.OK, "It is one primary.")


def _safety(client: redis.Redis, facts: dict[str, Any]) -> Iterator[Finding]:
    if not facts.get("aof_enabled"):
        remedy = "redis-cli config set appendonly yes, and `appendonly yes` in its configuration."
        detail = "The append-only file is off: a restart loses accepted jobs."
        yield Finding(AREA, "persistence", Verdict.ERROR, detail, remedy)
    elif facts.get("aof_last_write_status", "ok") != "ok":
        detail = "Redis can't write its append-only file, and refuses jobs."
        yield Finding(
            AREA, "persistence", Verdict.ERROR, detail, "Make room on its disk; see its log."
        )
    else:
        yield _sync(client)
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        detail = f"maxmemory-policy is {policy}: a full Redis deletes accepted jobs."
        remedy = "redis-cli config set maxmemory-policy noeviction, and in its configuration."
        yield Finding(AREA, "eviction", Verdict.ERROR, detail, remedy)
    else:
        yield Finding(AREA, "eviction", Verdict.OK, "A full Redis refuses jobs and deletes none.")


def _sync(client: redis.Redis) -> Finding:
    try:
        sync = client.config_get("appendfsync").get("appendfsync")
    except ResponseError:
        return Finding(AREA, "persistence", Verdict.OK, "The append-only file is on.")
    detail = f"The append-only file is on, appendfsync {sync}."
    if sync == "no":
        remedy = "redis-cli config set appendfsync everysec: else a power cut costs half a minute."
        return Finding(AREA, "persistence", Verdict.WARNING, detail, remedy)
    return Finding(AREA, "persistence", Verdict.OK, detail)


def _room(facts: dict[str, Any]) -> Finding:
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    if not most:
        detail = f"{_mib(used)} in use, without a maxmemory."
        remedy = "Set a maxmemory below the machine's, so that jobs are refused before it is full."
        return Finding(AREA, "memory", Verdict.WARNING, detail, remedy)
    detail = f"{_mib(used)} of {_mib(most)} in use."
    if used > NEARLY_FULL * most:
        remedy = "Raise maxmemory, or lower KC_RECORD_TTL_S or KC_MAX_QUEUED_CHARS."
        verdict = Verdict.ERROR if used >= most else Verdict.WARNING
        return Finding(AREA, "memory", verdict, detail, remedy)
    return Finding(AREA, "memory", Verdict.OK, detail)


def _mib(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"


def _latency(client: redis.Redis) -> Finding:
    took = []
    for _ in range(PINGS):
        began = time.perf_counter()
        client.ping()
        took.append(time.perf_counter() - began)
    middle = statistics.median(took)
    detail = f"{middle * 1000:.2f} ms an answer, the slowest {max(took) * 1000:.1f} ms."
    if middle <= SLOW_S:
        return Finding(AREA, "latency", Verdict.OK, detail)
    remedy = "Have Redis near, on a quiet host that does not swap: every step of a job asks it."
    verdict = Verdict.ERROR if middle > TOO_SLOW_S else Verdict.WARNING
    return Finding(AREA, "latency", verdict, detail, remedy)


def _clock(client: redis.Redis) -> Finding:
    before = time.time()
    seconds, micros = client.time()
    skew_s = seconds + micros / 1e6 - (before + time.time()) / 2
    detail = f"This machine's clock and Redis' are {abs(skew_s):.3f} s apart."
    if abs(skew_s) <= SKEW_S:
        return Finding(AREA, "clocks", Verdict.OK, detail)
    remedy = "Synchronise both clocks (chronyc tracking, timedatectl): signatures carry the time."
    verdict = Verdict.ERROR if abs(skew_s) > SIGNING_SKEW_S else Verdict.WARNING
    return Finding(AREA, "clocks", verdict, detail, remedy)


def _of_its_own(client: redis.Redis) -> Finding:
    try:
        found = [client.randomkey() for _ in range(SAMPLES)]
    except NoPermissionError as error:
        remedy = "Look with a user that may run RANDOMKEY, such as kokoro-operator."
        return Finding(AREA, "database", Verdict.SKIPPED, f"Not looked at: {error}", remedy)
    names = {key.decode(errors="replace") for key in found if isinstance(key, bytes)}
    others = sorted(name for name in names if not name.startswith(OURS))
    if not others:
        return Finding(AREA, "database", Verdict.OK, "No other application's keys were seen in it.")
    remedy = "Give it a database of its own: another number at the end of KC_REDIS_URL."
    detail = f"It holds another application's keys, for example {others[0][:60]!r}."
    return Finding(AREA, "database", Verdict.WARNING, detail, remedy)
