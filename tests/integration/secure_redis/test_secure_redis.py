"""A cluster on a Redis that speaks TLS only, asks for certificates and knows its users."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from deploy.cli import main
from deploy.doctor.examination import examine
from deploy.doctor.finding import Verdict
from shared.bell import Bell, Stage, make_celery
from shared.connections import connect
from shared.ledger.upkeep import Upkeep
from shared.settings import Settings
from tests.conftest import free_port
from tests.integration.secure_redis.conftest import ROOT, USERS, Authority, SecureRedis
from tests.integration.workers.conftest import Cluster

GATEWAY, WORKER, OPERATOR = "kokoro-gateway", "kokoro-worker", "kokoro-operator"
ROLES = (GATEWAY, WORKER, OPERATOR)
FOR_CONNECTIONS = {"eval", "evalsha", "script|load", "select", "ping"}
"""What redis-py and Kombu send by themselves."""
OWN: dict[str, set[str]] = {
    GATEWAY: {"subscribe", "unsubscribe", "info", "script|exists"}
    | {"getdel", "hkeys", "hvals", "mget"},
    WORKER: {"brpop", "multi", "exec", "hkeys", "pexpire", "pttl"},
    OPERATOR: {"client|pause", "client|unpause", "config|get", "info", "scan", "randomkey"}
    | {"script|exists", "pexpireat", "pttl", "type"},
}
"""What the processes of a role send beside what scripts run."""


@pytest.fixture
def cluster(secure: SecureRedis, tmp_path: Path) -> Iterator[Cluster]:
    with redis.Redis.from_url(secure.server.url) as admin:
        admin.flushall()
        cluster = Cluster(admin, secure.server, tmp_path)
        yield cluster
        cluster.group.stop()
        cluster.celery.close()


def commands_of(user: str) -> set[str]:
    """Return the commands the shipped file allows a user."""
    (line,) = re.findall(rf"^user {user} (.*)$", USERS.read_text(), re.MULTILINE)
    assert "-@all" in line
    assert re.findall(r"~\S+|&\S+", line) == ["~kc:*", "~kc.*", "&kc:*"]
    return set(re.findall(r"\+(\S+)", line))


@pytest.mark.slow
def test_a_whole_job_is_done_over_tls_by_users_with_the_least_rights(
    secure: SecureRedis, cluster: Cluster
) -> None:
    cluster.client.acl_log_reset()
    for stage in ("plan", "synth", "assemble", "deliver", "reconciler"):
        cluster.start(stage, **secure.settings(WORKER))
    port = free_port()
    cluster.start("gateway", port=port, **secure.settings(GATEWAY))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:

        def ready() -> bool:
            try:
                return http.get("/health/ready").status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        cluster.wait(ready, 90)
        job = http.post(
            "/v1/jobs", json={"input": "Good morning. And good night.", "voice": "af_heart"}
        )
        assert job.status_code in {200, 202}, job.text
        uid = job.json()["id"]
        cluster.wait(lambda: http.get(f"/v1/jobs/{uid}").json()["status"] == "succeeded")
        audio = http.get(f"/v1/jobs/{uid}/audio", follow_redirects=True)
        assert audio.status_code == httpx.codes.OK
        assert len(audio.content) > 1000
        # A streamed answer follows its job by what is published on the ledger's channels.
        speech = {
            "input": "Spoken while it is made.",
            "voice": "af_heart",
            "response_format": "wav",
        }
        streamed = http.post("/v1/audio/speech", json=speech)
        assert streamed.content.startswith(b"RIFF")
        assert b"kc_" in http.get("/metrics").content
        assert http.get("/v1/jobs").json()["data"]
        assert http.delete(f"/v1/jobs/{uid}").is_success
    refused = {(row["username"], row["object"]) for row in cluster.client.acl_log()}
    # redis-py tells a server its version, and asks how it would be moved; neither is needed.
    assert {what for _, what in refused} <= {"client|setinfo", "client|maint_notifications"}


@pytest.mark.parametrize("user", ROLES)
def test_no_user_can_empty_redis_or_set_it_up_otherwise(secure: SecureRedis, user: str) -> None:
    with secure.client(user) as client:
        client.set("kc:probe", "1")
        assert client.delete("kc:probe") == 1
        for refused in (
            ["FLUSHALL"],
            ["FLUSHDB"],
            ["CONFIG", "SET", "appendonly", "no"],
            ["KEYS", "*"],
            ["ACL", "LIST"],
            ["SHUTDOWN", "NOSAVE"],
            ["REPLICAOF", "NO", "ONE"],
            ["GET", "another-application"],
            ["PUBLISH", "another-channel", "x"],
            ["EVAL", "return redis.call('GET', 'another-application')", "0"],
        ):
            with pytest.raises(
                (NoPermissionError, redis.ResponseError), match=r"permission|can't access"
            ):
                client.execute_command(*refused)


@pytest.mark.parametrize("user", ROLES)
def test_a_user_may_run_what_scripts_and_its_processes_run_and_nothing_else(user: str) -> None:
    scripts = (ROOT / "shared" / "ledger" / "lua").glob("*.lua")
    called = {
        name.lower()
        for path in scripts
        for name in re.findall(r"redis\.p?call\('(\w+)'", path.read_text())
    }
    assert {"hset", "zpopmin", "publish"} <= called
    assert commands_of(user) == called | FOR_CONNECTIONS | OWN[user]


def test_nobody_can_log_in_before_the_hashes_are_replaced(secure: SecureRedis) -> None:
    assert USERS.read_text().count("#" + "0" * 64) == len(ROLES)
    with (
        redis.Redis.from_url(
            f"rediss://127.0.0.1:{secure.server.port}/0",
            ssl_ca_certs=str(secure.ca),
            ssl_certfile=str(secure.cert),
            ssl_keyfile=str(secure.key),
        ) as nobody,
        pytest.raises(AuthenticationError),
    ):
        nobody.ping()


def test_wake_ups_ring_over_tls(secure: SecureRedis, tmp_path: Path) -> None:
    settings: Any = secure.settings(WORKER)
    asked = Settings(data_dir=tmp_path, **settings)
    with connect(asked.redis, retries=0) as client, make_celery(asked) as app:
        client.delete("kc.plan")
        Bell(app, client).ring(Stage.PLAN)
        assert client.llen("kc.plan") == 1
        client.delete("kc.plan")


def test_a_server_signed_by_a_stranger_is_told_of_and_not_spoken_with(
    secure: SecureRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Authority.make(tmp_path, "stranger")
    use(monkeypatch, tmp_path, secure.settings(OPERATOR) | {"redis_ca_file": str(stranger.path)})
    (found,) = (finding for finding in examine(["redis"]) if finding.area == "redis")
    assert (found.check, found.verdict) == ("reached", Verdict.ERROR)
    assert "KC_REDIS_CA_FILE" in (found.remedy or "")
    assert secure.passwords[OPERATOR] not in found.detail


def test_a_client_without_a_certificate_is_refused_where_redis_asks_for_one(
    secure: SecureRedis, tmp_path: Path
) -> None:
    asked = Settings(data_dir=tmp_path, redis_url=secure.url(WORKER), redis_ca_file=secure.ca)
    with connect(asked.redis, retries=0) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_the_doctor_looks_at_redis_as_the_operator(
    secure: SecureRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path, secure.settings(OPERATOR))
    found = {f.check: f.verdict for f in examine(["redis"]) if f.area == "redis"}
    assert found.pop("memory") is Verdict.WARNING, "it has no maxmemory"
    assert set(found.values()) == {Verdict.OK}, found
    assert {"reached", "persistence", "database", "role"} <= found.keys()


def test_the_operator_copies_the_ledger_and_puts_it_back(
    secure: SecureRedis, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = cluster.ledger.accept("Hello.")
    use(monkeypatch, tmp_path, secure.settings(OPERATOR))
    assert main(["backup", "copy.gz"]) == 0
    cluster.client.flushall()
    assert main(["restore", "copy.gz"]) == 0
    assert cluster.ledger.job(uid).status == "queued"


def test_the_operator_sees_what_is_held_and_ends_a_job(
    secure: SecureRedis,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uid = cluster.ledger.accept("Hello.")
    cluster.ledger.plan(["1" * 64])
    assert cluster.ledger.worker("synth.b1/1-aa").claim_segments(8)
    use(monkeypatch, tmp_path, secure.settings(OPERATOR))
    assert main(["held"]) == 0
    assert re.search(rf"^synth\.b1 +segment +{uid} ", capsys.readouterr().out, re.MULTILINE)
    assert main(["end", uid]) == 0
    assert cluster.ledger.job(uid).status == "canceled"


def test_the_operator_sweeps(
    secure: SecureRedis, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.ledger.accept("Hello.")
    use(monkeypatch, tmp_path, secure.settings(OPERATOR))
    cluster.client.acl_log_reset()
    assert main(["sweep"]) == 0
    assert main(["sweep", "--unknown"]) == 0
    refused = {row["object"] for row in cluster.client.acl_log()}
    assert refused <= {"client|setinfo", "client|maint_notifications"}


def test_the_step_that_ends_a_job_is_done_to_its_end(cluster: Cluster) -> None:
    # Redis 7.0, which this server is where Debian's is fetched, refuses numbers that Valkey takes;
    # a script that fails half way leaves the first half written.
    ledger = cluster.ledger
    hook = {"webhook_url": "https://x.example/", "webhook_host": "x.example"}
    uid = ledger.accept("Hello.", webhook_events="job.succeeded", **hook)
    ledger.plan(["1" * 64])
    ledger.render_all(ledger.worker())
    assert ledger.assemble(ledger.worker()) == uid
    assert ledger.client.get("kc:queued_jobs") == b"0"
    assert ledger.client.hget("kc:totals", "ended.succeeded") == b"1"
    claim = ledger.worker().claim_delivery(host_slots=1)
    assert claim is not None
    assert claim.event == "job.succeeded"


def test_the_reconciler_may_look_at_which_workers_have_their_model(
    secure: SecureRedis, cluster: Cluster
) -> None:
    cluster.ledger.leases.announce("synth.b1", {"state": "unloaded"})
    with secure.client(WORKER) as client:
        assert Upkeep(client).synth_states() == ["unloaded"]


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: dict[str, str]) -> None:
    """Have commands run in this folder, with these settings."""
    monkeypatch.chdir(folder)
    for name, value in {"data_dir": str(folder), **settings}.items():
        monkeypatch.setenv(f"KC_{name.upper()}", value)
