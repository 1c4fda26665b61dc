"""What may name an object."""

import re

MAX_KEY_CHARS = 512

_KEY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


def check_key(key: str) -> str:
    """Return `key` if it is one: `[A-Za-z0-9._-]` parts joined by `/`, none of them dots only.

    Raises:
        ValueError: it is not; it could leave the store's prefix, or mean two things in two stores.
    """
    if len(key) > MAX_KEY_CHARS or not _KEY.fullmatch(key):
        raise ValueError(f"not a storage key: {key[:80]!r}")
    if any(not part.strip(".") for part in key.split("/")):
        raise ValueError(f"a storage key's part cannot be dots only: {key[:80]!r}")
    return key
