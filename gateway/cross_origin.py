"""Which web pages of other origins may call the gateway from a browser (CORS)."""

import re
from typing import Any

from shared.errors import InvalidSettings

ALL = "*"
REMEMBERED_S = 600
"""How long a browser need not ask again whether it may."""

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")


def cross_origin(origins: str) -> dict[str, Any]:
    """Return the arguments of Starlette's `CORSMiddleware`.

    Cookies are never asked for: a key goes in a header, which no page of another origin has.

    Args:
        origins: `https://app.example,…` or `*`; not empty.

    Raises:
        InvalidSettings: one of them is no origin.
    """
    named = [origin.strip() for origin in origins.split(",")]
    for origin in named:
        if origin != ALL and not _ORIGIN.fullmatch(origin):
            raise InvalidSettings(
                f"KC_CORS_ORIGINS: {origin!r} is no origin such as https://app.example; "
                "write no path, and no slash at the end."
            )
    return {
        "allow_origins": named,
        "allow_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
        "allow_headers": ["*"],
        "expose_headers": [
            "Content-Disposition",
            "Content-Range",
            "ETag",
            "Location",
            "Retry-After",
            "X-Download-Path",
            "X-Job-Id",
        ],
        "max_age": REMEMBERED_S,
    }
