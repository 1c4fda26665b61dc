"""A zip archive that is read, never unpacked, and within bounds."""

import io
import struct
import zipfile
import zlib

from gateway.documents.faults import DocumentBomb, DocumentBroken, DocumentEncrypted

MAX_ENTRIES = 20_000
"""Files in one archive."""

MAX_ENTRY_BYTES = 24 * 1024 * 1024
"""Of one file that is read, unpacked."""

MAX_READ_BYTES = 96 * 1024 * 1024
"""Of all files that are read, unpacked."""

MAX_RATIO, RATIO_FROM_BYTES = 200, 1024 * 1024
"""How many times its packed size a file may have, from so many bytes on; text has 3 to 20."""

_ENCRYPTED = 0x1


class Archive:
    """Files by name.

    Raises:
        DocumentBroken: it is no zip archive, or is cut short.
        DocumentBomb: it has far too many files.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
            raise DocumentBroken("The archive is damaged or cut short.", param="file") from error
        infos = self._zip.infolist()
        if len(infos) > MAX_ENTRIES:
            raise DocumentBomb(f"The archive has {len(infos)} files in it.", param="file")
        self._infos = {info.filename: info for info in infos}
        self._read_bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def read(self, name: str) -> bytes:
        """Return a file of the archive.

        Raises:
            KeyError: there is none of that name.
            DocumentBomb: it, or all that was read, is too large, whatever the archive says of it.
            DocumentEncrypted: it wants a password.
            DocumentBroken: it is damaged.
        """
        info = self._infos[name]
        if info.flag_bits & _ENCRYPTED:
            raise DocumentEncrypted("The archive wants a password.", param="file")
        try:
            with self._zip.open(info) as file:
                data = file.read(MAX_ENTRY_BYTES + 1)
        except (
            zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError,
            struct.error,
        ) as error:  # fmt: skip
            raise DocumentBroken("A file in the archive is damaged.", param="file") from error
        self._read_bytes += len(data)
        if (
            len(data) > MAX_ENTRY_BYTES
            or self._read_bytes > MAX_READ_BYTES
            or (len(data) > RATIO_FROM_BYTES and len(data) > MAX_RATIO * max(1, info.compress_size))
        ):
            raise DocumentBomb("The archive grows without bounds when it is read.", param="file")
        return data
