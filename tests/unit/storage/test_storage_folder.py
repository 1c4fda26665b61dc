"""What only a local folder does."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import ObjectMissing, StorageUnavailable
from shared.storage import Storage, open_storage
from shared.storage.folder import MARK, Folder


def files_below(folder: Path) -> list[str]:
    """Return what lies in a store's folder but for its mark."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return sorted(found - {MARK})


def test_the_folder_is_made_and_its_url_may_hold_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "a folder" / "of objects"
    open_storage(folder.as_uri()).put("jobs/1/audio.wav", b"audio")
    assert (folder / "jobs/1/audio.wav").read_bytes() == b"audio"


def test_deleting_the_last_object_removes_its_empty_folders(tmp_path: Path) -> None:
    storage = open_storage(tmp_path.as_uri())
    storage.put("jobs/1/audio.wav", b"audio")
    storage.delete(["jobs/1/audio.wav"])
    assert files_below(tmp_path) == []


def test_a_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    storage = open_storage(tmp_path.as_uri())
    storage.put("taken/by/folder", b"x")
    with pytest.raises(StorageUnavailable):
        storage.put("taken", b"y")
    assert files_below(tmp_path) == ["taken", "taken/by", "taken/by/folder"]


@pytest.mark.parametrize(
    "key", ["../secret", "a/../../secret", "/etc/passwd", "..", "a\x00b", "a\\..\\b", ""]
)
@pytest.mark.parametrize(
    "step",
    [
        lambda storage, key: storage.get(key),
        lambda storage, key: storage.head(key),
        lambda storage, key: storage.size(key),
        lambda storage, key: b"".join(storage.stream(key)),
        lambda storage, key: storage.put(key, b"overwritten"),
        lambda storage, key: storage.put_file(key, Path(__file__)),
        lambda storage, key: storage.delete(["fine", key]),
        lambda storage, key: asyncio.run(storage.get_async(key)),
        lambda storage, key: asyncio.run(storage.head_async(key)),
        lambda storage, key: asyncio.run(anext(storage.stream_async(key))),
        lambda storage, key: asyncio.run(storage.delete_async([key])),
        lambda storage, key: list(storage.list(key or "..")),
    ],
)
def test_no_step_leaves_the_folder(
    tmp_path: Path, step: Callable[[Storage, str], object], key: str
) -> None:
    storage = open_storage((tmp_path / "objects").as_uri())
    storage.put("fine", b"kept")
    (tmp_path / "secret").write_bytes(b"private")
    with pytest.raises(ValueError, match="storage key"):
        step(storage, key)
    assert (tmp_path / "secret").read_bytes() == b"private"
    assert storage.get("fine") == b"kept"


def test_a_folder_signs_no_urls(tmp_path: Path) -> None:
    assert open_storage(tmp_path.as_uri()).sign_get("a", expires_s=60) is None


def test_what_a_killed_writer_left_is_swept_once_it_is_old(tmp_path: Path) -> None:
    storage = open_storage(tmp_path.as_uri())
    storage.put("jobs/1/audio.wav", b"audio")
    staged = tmp_path / "jobs/1/other.wav#1"
    staged.write_bytes(b"half")
    assert storage.sweep_staged(older_than_s=60) == 0
    an_hour_ago = time.time() - 3600
    os.utime(staged, (an_hour_ago, an_hour_ago))
    assert storage.sweep_staged(older_than_s=60) == 1
    assert files_below(tmp_path) == ["jobs", "jobs/1", "jobs/1/audio.wav"]


ASKED: dict[str, Callable[[Storage], object]] = {
    "get": lambda storage: storage.get("jobs/1/audio.wav"),
    "get_async": lambda storage: asyncio.run(storage.get_async("jobs/1/audio.wav")),
    "head": lambda storage: storage.head("jobs/1/audio.wav"),
    "head_async": lambda storage: asyncio.run(storage.head_async("jobs/1/audio.wav")),
    "stream": lambda storage: list(storage.stream("jobs/1/audio.wav")),
    "put": lambda storage: storage.put("jobs/2/audio.wav", b"audio"),
    "delete": lambda storage: storage.delete(["jobs/1/audio.wav"]),
    "list": lambda storage: list(storage.list("jobs")),
    "ping": lambda storage: storage.ping(),
    "ping_async": lambda storage: asyncio.run(storage.ping_async()),
    "delete_async": lambda storage: asyncio.run(storage.delete_async(["jobs/1/audio.wav"])),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another store's folder"])
def test_a_folder_whose_disk_is_not_mounted_is_away_and_its_objects_are_not_missing(
    tmp_path: Path, asked: str, left: str
) -> None:
    folder, unmounted = tmp_path / "objects", tmp_path / "unmounted"
    storage = open_storage(folder.as_uri())
    storage.put("jobs/1/audio.wav", b"audio")
    folder.rename(unmounted)
    if left == "an empty folder":
        folder.mkdir()
    elif left == "another store's folder":
        open_storage(folder.as_uri())
    with pytest.raises(StorageUnavailable):
        ASKED[asked](storage)
    if folder.exists():
        assert files_below(folder) == []
        shutil.rmtree(folder)
    unmounted.rename(folder)
    assert storage.get("jobs/1/audio.wav") == b"audio"
    with pytest.raises(ObjectMissing):
        storage.get("jobs/1/other.wav")


def test_a_stores_mark_is_no_object_and_is_the_same_for_all_who_open_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        opened = list(pool.map(Folder.open, [tmp_path] * 64))
    assert len({folder.mark for folder in opened}) == 1
    assert opened[0].mark
    storage = open_storage(tmp_path.as_uri())
    assert list(storage.list()) == []
    assert [path.name for path in tmp_path.iterdir()] == [MARK]


def test_a_folder_that_cannot_be_marked_is_a_store_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("a read-only disk")

    monkeypatch.setattr("shared.storage.folder.os.link", refuse)
    storage = open_storage(tmp_path.as_uri())
    storage.put("a", b"1")
    assert storage.get("a") == b"1"
    with pytest.raises(ObjectMissing):
        storage.get("b")


def test_importing_the_store_loads_no_numpy_and_no_torch() -> None:
    code = "import sys, shared.storage; assert not {'numpy', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
