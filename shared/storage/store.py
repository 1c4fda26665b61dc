"""The store itself."""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.store import AzureStore, GCSStore, S3Store

from shared.errors import StorageUnavailable
from shared.storage.folder import MARK, Folder
from shared.storage.keys import check_key
from shared.storage.outages import named_errors

if TYPE_CHECKING:
    from obstore import Attributes, ObjectMeta
    from obstore.store import ObjectStore

PART_BYTES = 8 * 1024 * 1024
"""A multipart upload's part; 10 000 of them make the longest file, 80 GB."""
PARTS_AT_ONCE = 2
STREAM_BYTES = 1024 * 1024
"""What a reader holds: a stream is a row of ranged requests, so a slow client meets no timeout."""

_STAGED = re.compile(r".+#\d+")


@dataclass(frozen=True)
class ObjectInfo:
    """What the store knows of an object.

    Attributes:
        key: relative to the store's prefix.
        size: bytes.
        etag: quoted, as HTTP has it; None where the store gives none.
        modified: when it was written, UTC, by the store's clock.
    """

    key: str
    size: int
    etag: str | None
    modified: datetime


class Storage:
    """An object store. Methods block; those named `…_async` are for an event loop.

    Every method raises `ValueError` for a malformed key and `StorageUnavailable` when the store
    does not answer, refuses, or has no room: trying again may help.

    Args:
        store: any of obstore's.
        folder: where a local store keeps its files.
        signer: signs URLs in place of `store`.
    """

    def __init__(
        self, store: "ObjectStore", *, folder: Folder | None = None, signer: S3Store | None = None
    ) -> None:
        self._store = store
        self._folder = folder
        self._signer = signer or (
            store if isinstance(store, S3Store | GCSStore | AzureStore) else None
        )

    def put(
        self, key: str, data: bytes, *, media_type: str | None = None, filename: str | None = None
    ) -> None:
        """Write `data` under `key`, whole or not at all.

        Args:
            key: see `check_key`.
            data: the object.
            media_type: the `Content-Type` a signed download answers with.
            filename: the name a browser saves a signed download under.
        """
        self._write(key, data, media_type, filename)

    def put_file(
        self, key: str, path: Path, *, media_type: str | None = None, filename: str | None = None
    ) -> None:
        """Write the file at `path` under `key`; see `put`. Holds some 32 MiB at most."""
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        self._write(key, path, media_type, filename)

    def get(self, key: str) -> bytes:
        """Return the whole object.

        Raises:
            ObjectMissing: there is none.
        """
        with self._finding(key):
            return obstore.get(self._store, check_key(key)).bytes().to_bytes()

    async def get_async(self, key: str) -> bytes:
        """Do as `get` does."""
        with self._finding(key):
            result = await obstore.get_async(self._store, check_key(key))
            return (await result.bytes_async()).to_bytes()

    def size(self, key: str) -> int:
        """Return the object's size in bytes, or raise `ObjectMissing`."""
        return self.head(key).size

    def head(self, key: str) -> ObjectInfo:
        """Describe an object.

        Raises:
            ObjectMissing: there is none.
        """
        with self._finding(key):
            return _info(obstore.head(self._store, check_key(key)))

    async def head_async(self, key: str) -> ObjectInfo:
        """Do as `head` does."""
        with self._finding(key):
            return _info(await obstore.head_async(self._store, check_key(key)))

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes `start` (included) to `end` (excluded; None: the object's) in order.

        Chunks are at most `STREAM_BYTES` long. An `end` past the object's stops at its own.

        Raises:
            ObjectMissing: there is none, or it was deleted meanwhile.
        """
        size = self.size(key)
        for first, last in _ranges(start, size if end is None else min(end, size)):
            with self._finding(key):
                chunk = obstore.get_range(self._store, key, start=first, end=last)
            yield chunk.to_bytes()

    async def get_start_async(self, key: str, most: int) -> bytes:
        """Return the first `most` bytes of an object that has no fewer.

        Raises:
            ObjectMissing: there is none.
        """
        with self._finding(key):
            start = await obstore.get_range_async(self._store, check_key(key), start=0, end=most)
            return start.to_bytes()

    async def stream_async(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Do as `stream` does."""
        size = (await self.head_async(key)).size
        for first, last in _ranges(start, size if end is None else min(end, size)):
            with self._finding(key):
                chunk = await obstore.get_range_async(self._store, key, start=first, end=last)
            yield chunk.to_bytes()

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those already gone are fine."""
        self._check_root()
        for paths in self._deletions(keys):
            with named_errors("(deletion)", missing_ok=True):
                obstore.delete(self._store, paths)

    async def delete_async(self, keys: Iterable[str]) -> None:
        """Do as `delete` does."""
        await asyncio.to_thread(self._check_root)
        for paths in self._deletions(keys):
            with named_errors("(deletion)", missing_ok=True):
                await obstore.delete_async(self._store, paths)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object below the folder `prefix`, in no order, holding a page at a time."""
        self._check_root()
        with named_errors(prefix, missing_ok=False):
            for page in obstore.list(self._store, check_key(prefix) if prefix else None):
                yield from (_info(meta) for meta in page if meta["path"] != MARK)

    def sign_get(self, key: str, *, expires_s: float) -> str | None:
        """Return a URL that downloads `key` without credentials, or None if the store has none.

        The object need not exist. Type and name of the download are those given to `put`: obstore
        signs no response headers.
        """
        check_key(key)
        if self._signer is None:
            return None
        with named_errors(key):
            return obstore.sign(self._signer, "GET", key, timedelta(seconds=expires_s))

    async def sign_get_async(self, key: str, *, expires_s: float) -> str | None:
        """Do as `sign_get` does."""
        check_key(key)
        if self._signer is None:
            return None
        with named_errors(key):
            return await obstore.sign_async(self._signer, "GET", key, timedelta(seconds=expires_s))

    def ping(self) -> None:
        """Write, read and delete a small object.

        Raises:
            InvalidSettings: the store refuses the credentials or has no such bucket.
            StorageUnavailable: it does not answer, or lost the object.
        """
        self._check_root()
        key = f"ping/{secrets.token_hex(8)}"
        with named_errors(key, at_start=True):
            obstore.put(self._store, key, b"ping")
            data = obstore.get(self._store, key).bytes()
            obstore.delete(self._store, key)
        if data.to_bytes() != b"ping":
            raise StorageUnavailable("Object storage returned other bytes than were written.")

    async def ping_async(self) -> None:
        """Do as `ping` does."""
        await asyncio.to_thread(self._check_root)
        key = f"ping/{secrets.token_hex(8)}"
        with named_errors(key, at_start=True):
            await obstore.put_async(self._store, key, b"ping")
            data = await (await obstore.get_async(self._store, key)).bytes_async()
            await obstore.delete_async(self._store, key)
        if data.to_bytes() != b"ping":
            raise StorageUnavailable("Object storage returned other bytes than were written.")

    def sweep_staged(self, *, older_than_s: float) -> int:
        """Delete what killed writers left half-written in a local folder; return how many files.

        `list` does not show these. In a bucket, unfinished multipart uploads are invisible too:
        give it a lifecycle rule that aborts them.
        """
        swept = 0
        for path, _ in self.staged(older_than_s=older_than_s):
            with contextlib.suppress(FileNotFoundError):  # another sweep was faster
                path.unlink()
                swept += 1
        return swept

    def staged(self, *, older_than_s: float) -> Iterator[tuple[Path, int]]:
        """Yield what `sweep_staged` would delete: path and bytes of each file."""
        before = time.time() - older_than_s
        for path in self._folder.path.rglob("*#*") if self._folder else ():
            with contextlib.suppress(FileNotFoundError):  # its writer has just finished
                status = path.stat()
                if _STAGED.fullmatch(path.name) and status.st_mtime < before:
                    yield path, status.st_size

    def _finding(self, key: str) -> AbstractContextManager[None]:
        return named_errors(key, is_there=self._folder.is_there if self._folder else lambda: True)

    def _check_root(self) -> None:
        """Do nothing to a folder that is not the one that was opened; see `Folder`."""
        if self._folder and not self._folder.is_there():
            raise StorageUnavailable(
                "Object storage lacks its root: its folder is gone, or its disk is not mounted."
            )

    def _write(
        self, key: str, data: bytes | Path, media_type: str | None, filename: str | None
    ) -> None:
        attributes: Attributes = {}
        if media_type:
            attributes["Content-Type"] = media_type
        if filename:
            attributes["Content-Disposition"] = f'attachment; filename="{check_key(filename)}"'
        if self._folder:  # a folder keeps no attributes, and obstore refuses them there
            attributes = {}
        self._check_root()
        with named_errors(check_key(key), missing_ok=False):
            obstore.put(
                self._store,
                key,
                data,
                attributes=attributes or None,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    def _deletions(self, keys: Iterable[str]) -> Sequence[str | Sequence[str]]:
        """Return what to delete in one call each: only S3 skips the missing in a bulk deletion."""
        paths = [check_key(key) for key in keys]
        if isinstance(self._store, S3Store):
            return [paths] if paths else []
        return paths


def _info(meta: "ObjectMeta") -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["e_tag"], meta["last_modified"])


def _ranges(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut [start, end) into stretches of at most `STREAM_BYTES`."""
    for first in range(start, end, STREAM_BYTES):
        yield first, min(first + STREAM_BYTES, end)
