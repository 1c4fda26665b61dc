import hmac
import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared import apikeys
from shared.apikeys import KeyFile, add_key, limit_key, list_keys, revoke_key
from shared.errors import InvalidInput, InvalidSettings, UnknownApiKey


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_made_is_accepted_with_its_limits(path: Path) -> None:
    key, token = add_key(path, "ada", rate_per_min=60, max_queued_chars=1000, share=2.5)
    assert re.fullmatch(r"kc_[0-9a-f]{12}_[0-9a-f]{64}", token)
    found = KeyFile(path).authenticate(token)
    assert found == key
    assert found is not None
    assert (found.name, found.rate_per_min, found.max_queued_chars) == ("ada", 60, 1000)
    assert (found.share, found.revoked_at) == (2.5, None)


def test_the_secret_is_neither_in_the_file_nor_in_the_repr(path: Path) -> None:
    key, token = add_key(path, "ada")
    secret = token.split("_")[2]
    assert secret not in path.read_text()
    assert secret not in repr(key)
    assert key.secret_sha256 not in repr(key)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token.upper(),
        lambda token: "kd" + token[2:],
        lambda token: token.replace("_", ""),
        lambda token: "kc_000000000000_" + token.split("_")[2],
        lambda token: token.rpartition("_")[0],
        lambda token: token.rpartition("_")[0] + "_",
        lambda token: "Bearer " + token,
        lambda token: "",
        lambda token: "_",
        lambda token: "kc__",
        lambda token: "é\ud800\x00",
        lambda token: token + "x" * 300,
        lambda token: "x" * 10_000_000,
    ],
)
def test_anything_but_the_exact_token_is_refused(path: Path, change: Any) -> None:
    _, token = add_key(path, "ada")
    assert KeyFile(path).authenticate(change(token)) is None


def test_a_known_and_an_unknown_id_both_cost_one_constant_time_comparison(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    compare = hmac.compare_digest

    def spy(left: str, right: str) -> bool:
        compared.append((len(left), len(right)))
        return compare(left, right)

    key, _ = add_key(path, "ada")
    keys = KeyFile(path)
    monkeypatch.setattr(hmac, "compare_digest", spy)
    keys.authenticate(f"kc_{key.id}_{'0' * 64}")
    keys.authenticate(f"kc_000000000000_{'0' * 64}")
    assert compared == [(64, 64), (64, 64)]


def test_a_key_longer_than_any_is_refused_without_hashing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_key(path, "ada")
    keys = KeyFile(path)
    monkeypatch.setattr(apikeys, "_hash", lambda _: pytest.fail("hashed"))
    assert keys.authenticate("kc_000000000000_" + "0" * 257) is None


def test_a_revoked_key_is_refused_and_stays_listed(path: Path) -> None:
    key, token = add_key(path, "ada")
    _, other = add_key(path, "bob")
    revoked = revoke_key(path, key.id)
    assert revoked.revoked_at is not None
    assert revoke_key(path, key.id) == revoked
    keys = KeyFile(path)
    assert keys.authenticate(token) is None
    assert keys.authenticate(other) is not None
    assert [(k.name, k.revoked_at is None) for k in list_keys(path)] == [
        ("ada", False),
        ("bob", True),
    ]


def test_revoking_an_unknown_id_is_an_error(path: Path) -> None:
    add_key(path, "ada")
    with pytest.raises(UnknownApiKey):
        revoke_key(path, "nope")


def test_a_change_takes_effect_within_a_second_and_costs_one_look_a_second(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    first, token = add_key(path, "ada")
    keys = KeyFile(path, clock=clock)
    looks = []
    stamp = apikeys._stamp

    def spy(path: Path) -> tuple[int, int, int] | None:
        looks.append(path)
        return stamp(path)

    monkeypatch.setattr(apikeys, "_stamp", spy)
    _, added = add_key(path, "bob")
    revoke_key(path, first.id)
    assert keys.authenticate(added) is None
    assert keys.authenticate(token) is not None
    assert looks == []
    clock.now_s = 1.0
    assert keys.authenticate(added) is not None
    assert keys.authenticate(token) is None
    assert len(looks) == 1


@pytest.mark.parametrize("damage", ["{", "", "[]", '{"keys": [{"id": "x"}]}', "\xff", None])
def test_a_file_damaged_later_keeps_the_good_keys_and_says_so_once(
    path: Path, damage: str | None
) -> None:
    clock = Clock()
    _, token = add_key(path, "ada")
    good = path.read_bytes()
    keys = KeyFile(path, clock=clock)
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage, encoding="latin-1")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            clock.now_s += 2
            assert keys.authenticate(token) is not None
            assert keys.authenticate("kc_000000000000_" + "0" * 64) is None
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert token not in str(logs)

    path.write_bytes(good)
    _, added = add_key(path, "bob")
    clock.now_s += 2
    assert keys.authenticate(added) is not None


RECORD = {"id": "0" * 12, "name": "ada", "secret_sha256": "0" * 64}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"keys": {"a": 1}}',
        json.dumps({"keys": [{**RECORD, "id": "x"}]}),
        json.dumps({"keys": [{**RECORD, "secret_sha256": ""}]}),
        json.dumps({"keys": [{**RECORD, "name": 7}]}),
        json.dumps({"keys": [{**RECORD, "share": 0}]}),
        json.dumps({"keys": [{**RECORD, "rate_per_min": "60"}]}),
        json.dumps({"keys": [{**RECORD, "surprise": 1}]}),
        json.dumps({"keys": [RECORD, RECORD]}),
    ],
)
def test_a_damaged_file_stops_the_start_and_is_never_written_over(path: Path, content: str) -> None:
    path.write_text(content)
    for action in (lambda: KeyFile(path), lambda: add_key(path, "ada"), lambda: list_keys(path)):
        with pytest.raises(InvalidSettings, match=r"keys\.json is damaged"):
            action()
    assert path.read_text() == content


def test_a_missing_file_stops_the_start(path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be read"):
        KeyFile(path)


def test_the_file_is_for_its_owner_only_and_replaced_whole(path: Path) -> None:
    add_key(path, "ada")
    before = path.stat().st_ino
    path.chmod(0o644)
    add_key(path, "bob")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino != before
    assert sorted(os.listdir(path.parent)) == ["keys.json", "keys.json.lock"]


def test_keys_added_at_the_same_time_are_all_kept(path: Path) -> None:
    threads = [threading.Thread(target=add_key, args=(path, f"k{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in list_keys(path)} == {f"k{n}" for n in range(20)}


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"rate_per_min": 0},
        {"rate_per_min": 1.5},
        {"max_queued_chars": -1},
        {"share": 0},
        {"share": float("nan")},
        {"share": float("inf")},
        {"share": True},
    ],
)
def test_a_key_out_of_range_is_refused_and_nothing_is_written(
    path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        add_key(path, **{"name": "ada", **options})
    assert not path.exists()


def test_a_limit_changed_counts_for_a_gateway_that_runs_and_leaves_the_others(path: Path) -> None:
    key, token = add_key(path, "ada", rate_per_min=60, share=2.5)
    clock = Clock()
    gateway = KeyFile(path, clock=clock)
    changed = limit_key(path, key.id, max_queued_chars=1000)
    clock.now_s += apikeys.RECHECK_S
    found = gateway.authenticate(token)
    assert found == changed
    assert (found.rate_per_min, found.max_queued_chars, found.share) == (60, 1000, 2.5)


def test_a_limit_out_of_range_or_of_no_key_changes_nothing(path: Path) -> None:
    key, _ = add_key(path, "ada")
    before = path.read_text()
    with pytest.raises(InvalidInput, match="share"):
        limit_key(path, key.id, share=0)
    with pytest.raises(UnknownApiKey):
        limit_key(path, "0" * 12, rate_per_min=1)
    assert path.read_text() == before
