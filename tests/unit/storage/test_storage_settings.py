"""What needs no store: keys, and the ways a storage URL can be wrong."""

from pathlib import Path

import pytest

from shared.errors import InvalidSettings
from shared.storage import check_key, open_storage


@pytest.mark.parametrize("key", ["a", "jobs/01J/audio.mp3", "a.b/c_d-e", "..a/b", "x" * 512])
def test_ordinary_keys_are_accepted(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a/...",
        "a b",
        "a\nb",
        "a\n",
        "a\x00b",
        "a\\b",
        "a%2e%2e/b",
        "a#1",
        "é",
        "x" * 513,
    ],
)
def test_keys_that_could_leave_the_prefix_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="storage key"):
        check_key(key)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "folder",
        "/absolute/folder",
        "file://relative/folder",
        "s3://",
        "s3:bucket",
        "gs://",
        "memory:///",
        "http://example.com/bucket",
        "s3://key:secret@bucket",
        "s3://bucket?region=x",
        "file:///proc/1/no/such",
    ],
)
def test_a_url_that_names_no_store_is_a_bad_setting(url: str) -> None:
    with pytest.raises(InvalidSettings):
        open_storage(url)


def test_the_secret_in_a_url_is_not_repeated_in_the_message() -> None:
    with pytest.raises(InvalidSettings) as caught:
        open_storage("s3://key:hunter2@bucket")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://localhost"])
def test_an_endpoint_must_be_an_http_address(endpoint: str) -> None:
    with pytest.raises(InvalidSettings, match="endpoint"):
        open_storage("s3://bucket", endpoint=endpoint)


def test_an_endpoint_goes_with_s3_only(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="endpoint"):
        open_storage(tmp_path.as_uri(), endpoint="http://127.0.0.1:9000")


def test_google_and_azure_are_chosen_by_their_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    open_storage("gs://bucket/prefix")
    open_storage("az://container/prefix")


def test_azure_without_an_account_is_a_bad_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(InvalidSettings, match="Account"):
        open_storage("az://container/prefix")
