"""`kokoro-cluster doctor` before real servers that are set up well, and wrongly."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from moto.server import ThreadedMotoServer

from deploy.cli import main
from deploy.doctor import ledger, store
from deploy.doctor.examination import examine
from deploy.doctor.finding import Finding, Verdict
from deploy.redis_server import RedisServer
from shared.languages import Language
from tests.conftest import free_port
from tests.faults.proxy import Mode, Proxy

BUCKET = "doctors"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("KC_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # no .env of a developer's
    monkeypatch.setenv("KC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KC_ENGINE", "scripted")
    monkeypatch.setenv("KC_MODEL", "scripted:")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis of the test's own, as a cluster should have it."""
    found = RedisServer(tmp_path / "redis", free_port())
    found.start()
    monkeypatch.setenv("KC_REDIS_URL", found.url)
    with redis.Redis.from_url(found.url) as client:
        client.config_set("maxmemory", 100_000_000)
    yield found
    found.stop()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as found:
        yield found


def findings(area: str) -> dict[str, Finding]:
    """Examine one area; return what was found by the name of the check."""
    found = {finding.check: finding for finding in examine([area])}
    for finding in found.values():
        assert finding.area in {area, "settings"}
        needs_one = finding.verdict in {Verdict.WARNING, Verdict.ERROR}
        assert finding.remedy or not needs_one, f"no remedy: {finding}"
    return found


def wrong(area: str) -> dict[str, Verdict]:
    """Return the checks of an area that are not as they should be."""
    return {
        check: finding.verdict
        for check, finding in findings(area).items()
        if finding.verdict is not Verdict.OK
    }


# Redis


def test_a_redis_that_is_set_up_well_has_nothing_wrong(server: RedisServer) -> None:
    found = findings("redis")
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert set(found) == {
        "reached",
        "role",
        "persistence",
        "eviction",
        "memory",
        "latency",
        "clocks",
        "database",
    }
    assert str(server.port) in found["reached"].detail


def test_without_an_address_it_is_the_one_that_up_started(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KC_REDIS_URL")
    monkeypatch.setenv("KC_REDIS_PORT", str(server.port))
    assert f":{server.port}/" in findings("redis")["reached"].detail


def test_a_redis_that_loses_jobs_is_an_error_until_its_remedy_was_done(client: redis.Redis) -> None:
    client.config_set("appendonly", "no")
    client.config_set("maxmemory-policy", "allkeys-lru")
    assert wrong("redis") == {"persistence": Verdict.ERROR, "eviction": Verdict.ERROR}
    for finding in findings("redis").values():
        if finding.remedy:
            command = finding.remedy.partition(",")[0]
            name, value = command.removeprefix("redis-cli config set ").split()
            client.config_set(name, value)
    assert wrong("redis") == {}


def test_a_file_that_is_never_synced_is_warned_of(client: redis.Redis) -> None:
    client.config_set("appendfsync", "no")
    assert wrong("redis") == {"persistence": Verdict.WARNING}


def test_a_redis_without_room_or_without_a_limit_is_told_of(client: redis.Redis) -> None:
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", int(used * 1.08))
    assert wrong("redis") == {"memory": Verdict.WARNING}
    client.config_set("maxmemory", used // 2)
    assert wrong("redis") == {"memory": Verdict.ERROR}
    client.config_set("maxmemory", 0)
    assert wrong("redis") == {"memory": Verdict.WARNING}


def test_another_applications_keys_are_noticed_and_our_own_are_not(client: redis.Redis) -> None:
    client.mset({"kc:token": 1, "kc.plan": 1, "_kombu.binding.kc.plan": 1})
    assert wrong("redis") == {}
    client.delete("kc:token", "kc.plan", "_kombu.binding.kc.plan")
    client.set("shop:cart:17", 1)
    assert wrong("redis") == {"database": Verdict.WARNING}
    assert "shop:cart:17" in findings("redis")["database"].detail


def test_a_replica_takes_no_jobs(client: redis.Redis, tmp_path: Path, server: RedisServer) -> None:
    primary = RedisServer(tmp_path / "primary", free_port())
    primary.start()
    try:
        client.replicaof("127.0.0.1", primary.port)
        assert wrong("redis")["role"] is Verdict.ERROR
    finally:
        primary.stop()


def test_a_missing_password_is_told_from_a_redis_that_is_away_and_is_never_shown(
    client: redis.Redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.config_set("requirepass", "the-right-one")
    finding = findings("redis")["reached"]
    assert finding.verdict is Verdict.ERROR
    assert "password" in str(finding.remedy)
    monkeypatch.setenv("KC_REDIS_URL", f"redis://:the-right-one@127.0.0.1:{server.port}/0")
    found = findings("redis")
    assert wrong("redis") == {}
    assert not any("the-right-one" in finding.detail for finding in found.values())
    client.auth("the-right-one")
    client.config_set("requirepass", "")


def test_a_user_that_may_not_ask_is_no_reason_to_fail(
    client: redis.Redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.acl_setuser(
        "kokoro", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-info"]
    )
    monkeypatch.setenv("KC_REDIS_URL", f"redis://kokoro:pw@127.0.0.1:{server.port}/0")
    assert wrong("redis") == {"set-up": Verdict.SKIPPED}


def test_a_redis_that_is_away_or_answers_nothing_is_an_error_within_seconds(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(server.port)
    try:
        monkeypatch.setenv("KC_REDIS_URL", f"redis://127.0.0.1:{proxy.port}/0")
        proxy.set(Mode.SILENT)
        began = time.monotonic()
        assert wrong("redis") == {"reached": Verdict.ERROR}
        assert time.monotonic() - began < 15
    finally:
        proxy.close()
    assert wrong("redis") == {"reached": Verdict.ERROR}, "now nobody listens there"


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(90, Verdict.WARNING), (-90, Verdict.WARNING), (600, Verdict.ERROR)]
)
def test_clocks_that_disagree_are_told_of(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, ahead_s: float, verdict: Verdict
) -> None:
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + ahead_s)
    assert wrong("redis") == {"clocks": verdict}


def test_slow_answers_are_told_of(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SLOW_S", 0.0)
    assert wrong("redis") == {"latency": Verdict.WARNING}
    monkeypatch.setattr(ledger, "TOO_SLOW_S", 0.0)
    assert wrong("redis") == {"latency": Verdict.ERROR}


# Storage


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    assert wrong("storage") == {}
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert [path.name for path in left] == [".kokoro-cluster"]


def test_a_folder_that_cannot_be_written_to_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("This is no folder.")
    monkeypatch.setenv("KC_STORAGE_URL", (tmp_path / "file" / "objects").as_uri())
    assert Verdict.ERROR in wrong("storage").values()
    assert main(["doctor", "--only", "storage"]) == 1


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real S3 server's address; the settings name it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("KC_STORAGE_URL", f"s3://{BUCKET}"),
        ("KC_STORAGE_ENDPOINT", address),
    ):
        monkeypatch.setenv(name, value)
    yield address
    server.stop()


def test_a_bucket_is_written_read_signed_and_emptied(endpoint: str) -> None:
    found = findings("storage")
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert set(found) == {"write", "speed", "read", "range", "sign", "clocks", "delete"}
    assert "downloads" in found["sign"].detail


def test_a_slow_bucket_is_told_of(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = int(endpoint.rpartition(":")[2])
    proxy = Proxy(upstream)
    try:
        monkeypatch.setenv("KC_STORAGE_ENDPOINT", f"http://127.0.0.1:{proxy.port}")
        proxy.delay_s = store.SLOW_S + 0.2
        found = wrong("storage")
        assert found["speed"] is Verdict.WARNING
        assert Verdict.ERROR not in found.values()
    finally:
        proxy.close()


def test_a_public_address_that_clients_cannot_use_is_an_error(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KC_STORAGE_PUBLIC_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    assert wrong("storage") == {"sign": Verdict.ERROR}
    assert "KC_STORAGE_PUBLIC_ENDPOINT" in str(findings("storage")["sign"].remedy)


def test_a_bucket_that_is_not_there_is_an_error_and_nothing_more_is_tried(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KC_STORAGE_URL", "s3://no-such-bucket")
    skipped = dict.fromkeys(("read", "range", "sign", "delete"), Verdict.SKIPPED)
    assert wrong("storage") == {"write": Verdict.ERROR, **skipped}


# Weights, G2P, GPUs


def test_weights_are_loaded_as_a_worker_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["checkpoint", str(tmp_path / "tiny"), "--size", "tiny"]) == 0
    monkeypatch.setenv("KC_ENGINE", "kokoro")
    monkeypatch.setenv("KC_MODEL", str(tmp_path / "tiny"))
    assert wrong("model") == {}
    (weights,) = (tmp_path / "tiny").glob("*.pth")
    weights.write_bytes(weights.read_bytes()[:1000])
    assert wrong("model") == {"weights": Verdict.ERROR}
    weights.unlink()
    assert "*.pth" in findings("model")["weights"].detail
    assert wrong("model") == {"weights": Verdict.ERROR}


def test_weights_that_are_neither_here_nor_a_repository_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KC_ENGINE", "kokoro")
    monkeypatch.setenv("KC_MODEL", "/no/such/folder")
    assert wrong("model") == {"weights": Verdict.ERROR}


def test_a_stand_in_is_warned_of() -> None:
    assert wrong("model") == {"engine": Verdict.WARNING}


def test_each_language_is_tried_and_a_missing_one_names_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "fugashi", None)  # as where the extra is not installed
    found = findings("g2p")
    assert set(found) == set(Language)
    assert Verdict.ERROR not in {finding.verdict for finding in found.values()}
    japanese = found[Language.JAPANESE]
    assert japanese.verdict is Verdict.WARNING
    assert "kokoro-cluster[ja]" in japanese.detail
    assert found[Language.SPANISH].verdict is Verdict.OK


def test_a_gpu_that_torch_does_not_see_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 570.1, 10 MiB, 81559 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert wrong("gpu") == {"torch": Verdict.ERROR}
    assert "H100" in findings("gpu")["driver"].detail


def test_a_device_that_is_asked_for_and_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wrong("gpu") == {}, "a CPU will do where no other was asked for"
    monkeypatch.setenv("KC_DEVICE", "cuda:0")
    assert wrong("gpu") == {"driver": Verdict.ERROR}


# Settings and this machine


def test_what_a_gateway_would_refuse_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KC_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert wrong("settings") == {}
    monkeypatch.setenv("KC_HOST", "0.0.0.0")
    assert wrong("settings") == {"access": Verdict.ERROR}
    monkeypatch.setenv("KC_WEBHOOK_ALLOW_PRIVATE", "not a network")
    assert wrong("settings") == {"access": Verdict.ERROR, "gateway": Verdict.ERROR}


def test_a_port_that_another_program_has_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("KC_PORT", str(other.getsockname()[1]))
        assert wrong("machine") == {"port": Verdict.ERROR}
    monkeypatch.setenv("KC_PORT", str(free_port()))
    assert wrong("machine") == {}


def test_a_data_folder_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("This is no folder.")
    monkeypatch.setenv("KC_PORT", str(free_port()))
    monkeypatch.setenv("KC_DATA_DIR", str(tmp_path / "file" / "data"))
    assert wrong("machine") == {"data folder": Verdict.ERROR}


# The command


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("kokoro-cluster")), "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_says_what_is_wrong_and_what_to_do_and_exits_so(
    client: redis.Redis, server: RedisServer
) -> None:
    fine = run("--only", "redis", "--only", "storage")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout.splitlines()[-1] == "15 ok"
    client.config_set("maxmemory-policy", "volatile-ttl")
    bad = run("--only", "redis")
    assert bad.returncode == 1
    line, remedy, *_ = bad.stdout[bad.stdout.index("error") :].splitlines()
    assert "volatile-ttl" in line
    assert "noeviction" in remedy


def test_json_holds_every_finding(client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "volatile-ttl")
    done = run("--only", "redis", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["object"], answer["ok"]) == ("examination", False)
    (error,) = [one for one in answer["findings"] if one["verdict"] == "error"]
    assert (error["area"], error["check"]) == ("redis", "eviction")
    assert set(error) == {"area", "check", "verdict", "detail", "remedy"}


def test_settings_that_cannot_be_read_are_a_finding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KC_LEASE_S", "-1")
    done = run("--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["check"], finding["verdict"]) == ("values", "error")
    assert "KC_LEASE_S" in finding["detail"]
